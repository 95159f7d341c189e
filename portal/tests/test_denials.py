"""S45: who asks for what is not theirs is written down, but not as often as they like."""

from __future__ import annotations

import uuid

import pytest
from django.core.cache import cache
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from stores.audit import AuditEvent
from stores.models import Share


@pytest.fixture(autouse=True)
def counted_anew(db) -> None:
    cache.clear()


def denied() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action="access.denied").order_by("id"))


def test_a_foreign_store_is_written_down_once_with_who_what_and_from_where(at_bob, bob, store):
    answer = at_bob.get(store.get_absolute_url())
    assert answer.status_code == 404
    (event,) = denied()
    assert (event.actor, event.via) == (bob, "portal")
    assert event.origin.address == "127.0.0.1"
    assert event.request_id == answer["X-Request-ID"]
    assert event.at.utcoffset().total_seconds() == 0
    assert event.details == {
        "route": "store-detail", "method": "GET", "status": 404, "store": str(store.pk),
    }  # fmt: skip


def test_one_that_does_not_exist_costs_as_many_queries_and_is_written_down_alike(
    at_bob, store, django_assert_num_queries
):
    at_bob.get(store.get_absolute_url())
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as foreign:
        at_bob.get(store.get_absolute_url())
    with django_assert_num_queries(len(foreign)):
        at_bob.get(reverse("store-detail", args=[uuid.uuid4()]))
    assert [event.details["status"] for event in denied()] == [404] * 3


def test_who_was_turned_away_is_not_in_the_history_that_the_owner_reads(at_bob, store):
    at_bob.get(store.get_absolute_url())
    assert not store.audit_events.filter(action="access.denied").exists()


def test_a_form_that_is_out_of_date_is_nobodys_attempt(alice, store):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post(reverse("store-retry", args=[store.pk])).status_code == 403
    assert denied() == []


def test_a_right_that_is_lacking_is_written_down(at_bob, bob, store):
    Share.objects.create(store=store, user=bob, email=bob.email, accepted_at=Now())
    assert at_bob.post(reverse("store-retry", args=[store.pk])).status_code == 403
    (event,) = denied()
    assert (event.details["store"], event.details["status"]) == (str(store.pk), 403)


@pytest.mark.parametrize("route", ["admin:index", "admin:stores_store_changelist"])
def test_an_owner_who_asks_for_the_admin_is_written_down(route, at_alice, alice, store):
    assert at_alice.get(reverse(route)).status_code in (302, 403)
    (event,) = denied()
    assert (event.actor, event.via, event.details["route"]) == (alice, "admin", route)


def test_what_is_ones_own_is_no_denial(at_alice, at_carol, store):
    at_alice.get(store.get_absolute_url())
    at_alice.get("/nowhere/")
    at_alice.get("/")
    at_carol.get("/admin/")
    Client().get(store.get_absolute_url())
    Client().get("/admin/")
    assert denied() == []


def test_who_asks_again_and_again_fills_nothing(at_bob, at_alice, store, settings):
    settings.DENIALS_PER_HOUR = 4
    for _ in range(9):
        at_bob.get(store.get_absolute_url())
    assert len(denied()) == 4
    at_alice.get("/admin/")
    assert len(denied()) == 5, "of somebody else all is kept"
