"""When no worker runs, the pages say so; and only then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from portal.shared import facts
from portal.tests.test_fragments import asks
from portal.troubles import worker_silent_since
from provisioning.tasks import heartbeat
from stores.models import Heartbeat, Store

SAID = "Nobody is working on stores"
LONG_AGO = Now() - timedelta(minutes=5)


def silence() -> None:
    Heartbeat.objects.update_or_create(name=Heartbeat.WORKER, defaults={"at": LONG_AGO})


@pytest.mark.parametrize("page", ["/stores/", "/stores/new/", "detail"])
def test_every_page_says_that_no_worker_runs(page, at_alice, store):
    url = store.get_absolute_url() if page == "detail" else page
    assert SAID not in at_alice.get(url).content.decode()
    silence()
    html = at_alice.get(url).content.decode()
    assert html.count(SAID) == 1
    assert "What you ask for is kept" in html


@pytest.mark.parametrize("page", ["/stores/", "detail"])
def test_it_comes_and_goes_without_a_reload(page, at_alice, store):
    asked = asks(
        at_alice.get(store.get_absolute_url() if page == "detail" else page).content.decode()
    )
    silence()
    html = at_alice.get(asked).content.decode()
    assert SAID in html
    heartbeat()
    assert SAID not in at_alice.get(asks(html)).content.decode()


def test_staff_are_told_too(at_carol):
    silence()
    page = at_carol.get(reverse("admin:stores_store_changelist")).content.decode()
    assert SAID in page


def test_visitors_are_told_nothing(client, db):
    silence()
    assert SAID not in client.get("/account/login/").content.decode()


def test_a_fresh_installation_says_nothing(db):
    assert worker_silent_since(facts()) is None


def test_where_no_worker_ever_ran_a_store_that_waits_too_long_says_so(make_store):
    store = make_store("requested")
    assert worker_silent_since(facts()) is None
    Store.objects.filter(pk=store.pk).update(status_since=LONG_AGO)
    assert worker_silent_since(facts()) is not None


def test_a_store_that_takes_long_does_not_mean_that_nobody_works(make_store):
    store = make_store("provisioning")
    Store.objects.filter(pk=store.pk).update(status_since=LONG_AGO)
    heartbeat()
    assert worker_silent_since(facts()) is None


def test_whoever_is_late_is_missed_only_after_the_time_that_is_set(db, settings):
    silence()
    assert worker_silent_since(facts()) is not None
    settings.WORKER_SILENT_SECONDS = 600
    assert worker_silent_since(facts()) is None
