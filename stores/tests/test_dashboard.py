"""The first page of the support team's admin: how things stand, at a constant price."""

from __future__ import annotations

from datetime import timedelta

from django.db.models.functions import Now
from django.test import Client
from django.utils import timezone

from stores.actor import Actor
from stores.letters import write
from stores.messages import Message
from stores.models import Consent, Heartbeat, Operation, Store, User
from stores.services import create_store


def index(client: Client) -> str:
    return " ".join(client.get("/admin/").content.decode().split())


def fail(store: Store, code: str, ago: timedelta = timedelta()) -> None:
    Operation.objects.create(
        store=store, kind="retry", outcome="failed", message={"code": code, "params": {}},
        requested_at=Now(), finished_at=timezone.now() - ago,
    )  # fmt: skip


def test_it_counts_stores_and_leads_to_them(at_erin, store):
    Store.objects.filter(pk=store.pk).update(health="degraded", ready_at=Now())
    page = index(at_erin)
    assert '<a href="/admin/stores/store/?status__exact=ready">Ready</a></dt><dd>1</dd>' in page
    assert '?health__exact=degraded">Degraded</a></dt><dd>1</dd>' in page
    for url in ("?status__exact=ready", "?health__exact=degraded"):
        assert "annas-shop" in at_erin.get(f"/admin/stores/store/{url}").content.decode()


def test_it_says_what_failed_within_a_day_and_why(at_erin, store):
    fail(store, "crash-loop")
    fail(store, "crash-loop")
    fail(store, "setup-failed")
    fail(store, "worker-died", timedelta(hours=25))
    page = index(at_erin)
    assert "crash loop</a></dt><dd>2</dd>" in page and "setup failed</a></dt><dd>1</dd>" in page
    assert "worker died" not in page
    url = page.split('">crash loop')[0].rsplit('href="', 1)[1].replace("&amp;", "&")
    assert at_erin.get(url).content.decode().count('class="field-kind"') == 3


def test_it_says_what_waits(at_erin, store, alice):
    assert "none is open" in index(at_erin)
    create_store(actor=Actor(alice, "test"), owner=alice, name="Another", address="another")
    write("store-ready", alice, store=store)
    Consent.objects.create(store=store, asked_at=Now(), reason="x")
    page = index(at_erin)
    assert "Create: Another</a>" in page
    for heading in ("Letters that wait", "Owners asked for consent, without an answer"):
        assert f"{heading}</dt><dd>1</dd>" in page


def test_it_says_who_was_not_heard_from(at_erin, settings):
    page = index(at_erin)
    assert page.count("never") == 3 and page.count("(too long)") == 3
    Heartbeat.beat(Heartbeat.WORKER)
    Heartbeat.beat(Heartbeat.SWEEP)
    Heartbeat.objects.create(name="watcher", at=timezone.now() - timedelta(minutes=5))
    page = index(at_erin)
    assert page.count("(too long)") == 1 and "5 minutes ago" in page


def test_it_costs_the_same_with_more_of_everything(
    at_erin, alice, store, django_assert_max_num_queries
):
    index(at_erin)
    User.objects.filter(pk=alice.pk).update(max_stores=20)
    for number in range(10):
        create_store(actor=Actor(alice, "t"), owner=alice, name="x", address=f"shop-{number}")
        fail(store, f"code-{number}")
    with django_assert_max_num_queries(24):
        index(at_erin)


def test_who_may_not_see_stores_sees_no_figures(at_erin, erin, store):
    erin.groups.clear()
    page = index(at_erin)
    assert "How things stand" not in page


def test_a_list_of_stores_costs_the_same_with_more_of_them(
    at_erin, alice, store, django_assert_num_queries
):
    def queries() -> int:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(
            connection,
        ) as seen:
            at_erin.get("/admin/stores/store/")
        return len(seen)

    queries()
    few = queries()
    User.objects.filter(pk=alice.pk).update(max_stores=20)
    for number in range(10):
        create_store(actor=Actor(alice, "t"), owner=alice, name="x", address=f"shop-{number}")
    assert queries() == few


def test_the_list_says_how_a_store_is_and_why(at_erin, store):
    message = Message("volume-going", {"name": "data"})
    Store.objects.filter(pk=store.pk).update(
        health="degraded", ready_at=Now(), observed_at=Now(), health_message=message.as_json()
    )
    page = at_erin.get("/admin/stores/store/").content.decode()
    assert "Degraded</span>" in page and "seen just now" in page
    assert "Somebody has asked the cluster to remove the disk data" in page
    Store.objects.filter(pk=store.pk).update(observed_at=timezone.now() - timedelta(hours=2))
    page = at_erin.get("/admin/stores/store/").content.decode()
    assert "Unknown</span>" in page and "seen 2 hours ago" in page


def test_the_list_names_the_diagnosis_of_what_failed(at_erin, store):
    cause = Message("out-of-memory", {"name": "web", "limit": "1Gi"})
    operation = store.operations.first()
    operation.diagnosis = {"cause": cause.as_json()}
    operation.save()
    assert "web needs more memory" not in at_erin.get("/admin/stores/store/").content.decode()
    Store.objects.filter(pk=store.pk).update(status="failed")
    assert "web needs more memory" in at_erin.get("/admin/stores/store/").content.decode()
