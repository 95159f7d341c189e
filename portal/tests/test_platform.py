"""The platform's state: for everybody, in words, with its age, and without a name of anybody's."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.cache import caches
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from portal.templatetags.storeyard import moment
from portal.tests.test_fragments import asks
from provisioning.cluster.simulation.looking import FACTS
from stores.messages import Message
from stores.models import Heartbeat, Snapshot, Store
from stores.services import pause_provisioning, resume_provisioning

STATUS = "/status/"


@pytest.fixture(autouse=True)
def at_once(settings) -> None:
    settings.SHARED_SECONDS = 0
    caches["process"].clear()


@pytest.fixture
def well(db) -> None:
    """Everybody has just been heard from."""
    for name in (Heartbeat.WORKER, Heartbeat.WATCHER, Heartbeat.SWEEP):
        Heartbeat.beat(name)
    Snapshot.objects.create(pk=1, at=timezone.now(), facts=FACTS)


def read(client, url: str = STATUS) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def silent(name: str) -> None:
    Heartbeat.objects.filter(pk=name).update(at=Now() - timedelta(minutes=10))


def test_who_has_no_account_may_read_that_everything_works(client, well):
    page = read(client)
    assert "Everything works" in page and "Log in" in page
    for part in ("Control plane", "Workers", "Queue", "Watcher", "Last sweep"):
        assert f"<h2>{part}</h2>" in page
    assert "just now</time>" in page and "notice-outage" not in page


def test_before_anything_runs_nothing_is_claimed(client, db):
    page = read(client)
    assert "Everything works" not in page and page.count("Not heard from yet") == 3


def test_the_page_says_what_the_banner_says(client, at_alice, well, store):
    silent(Heartbeat.WORKER)
    page = read(client)
    assert "Nobody is working on stores" in page and ">Silent<" in page.replace("\n", "")
    assert "Nobody is working on stores" in read(at_alice, "/stores/")
    assert "Everything works" not in page


@pytest.mark.parametrize("looker", [Heartbeat.WATCHER, Heartbeat.SWEEP])
def test_who_looks_no_more_is_told_with_the_time_of_the_last_look(looker, client, well):
    silent(looker)
    page = read(client)
    assert "10 minutes ago</time>" in page and "Everything works" not in page


def test_a_cluster_that_is_away_is_told_since_when(client, well, make_store):
    store = make_store("provisioning")
    away = Message("cluster-unavailable").as_json()
    since = timezone.now() - timedelta(minutes=5)
    Store.objects.filter(pk=store.pk).update(outage_since=since, message=away)
    page = read(client)
    assert "Cannot be reached" in page and f"since {moment(since)}" in page
    assert store.name not in page and store.address not in page


def test_a_part_of_the_cluster_that_is_silent_is_told(client, well, settings):
    leases = {"kube-scheduler": "2020-01-01T00:00:00+00:00"}
    Snapshot.objects.update(facts={**FACTS, "leases": leases})
    assert "A part of the cluster does not work: kube-scheduler" in read(client)


def test_a_pause_is_told_with_its_reason(client, well, as_carol):
    pause_provisioning("New <b>disks</b>.", actor=as_carol)
    page = read(client)
    assert ">Paused<" in page and "New &lt;b&gt;disks" in page and "carol" not in page
    resume_provisioning(actor=as_carol)
    assert ">Paused<" not in read(client)


def test_work_is_counted(client, well, make_store):
    make_store("requested")
    make_store("provisioning")
    make_store("ready")
    assert "2 stores are being worked on: 1 asked for, 1 starting" in read(client)


def test_an_open_page_hears_of_changes_and_else_of_nothing(client, well, as_carol):
    asked = asks(read(client))
    assert client.get(asked).status_code == 204
    pause_provisioning("New disks.", actor=as_carol)
    html = read(client, asked)
    assert "New disks." in html and "<html" not in html
    assert client.get(asks(html)).status_code == 204


@pytest.mark.parametrize("visitor", ["client", "at_alice"])
def test_the_page_takes_few_queries_and_hardly_any_when_many_read_it(
    visitor, request, well, make_store, settings, django_assert_max_num_queries
):
    make_store("requested")
    browser = request.getfixturevalue(visitor)
    settings.SHARED_SECONDS = 60
    with django_assert_max_num_queries(6):
        read(browser)
    # But who it is that asks.
    with django_assert_max_num_queries(2):
        browser.get(reverse("platform-news"))
    caches["process"].clear()
