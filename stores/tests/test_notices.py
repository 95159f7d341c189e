"""Who is written to about a store, when, and how often."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from stores import notices
from stores.actor import Actor
from stores.lifecycle import Health
from stores.messages import Message
from stores.models import Letter, Operation, Share, Store, User
from stores.services import create_store


@pytest.fixture
def store(alice: User, as_alice: Actor) -> Store:
    store = create_store(actor=as_alice, owner=alice, name="Anna’s", address="annas-shop")
    Store.objects.filter(pk=store.pk).update(
        status="ready", ready_at=Now(), health="healthy", health_since=Now()
    )
    store.refresh_from_db()
    return store


def share(store: Store, person: User, role: str) -> None:
    Share.objects.create(store=store, user=person, email=person.email, role=role, accepted_at=Now())


def letters() -> list[tuple[str, str]]:
    return [(letter.code, letter.user.username) for letter in Letter.objects.order_by("id")]


def becomes(store: Store, health: str, ago: float) -> None:
    Store.objects.filter(pk=store.pk).update(
        health=health,
        health_since=Now() - timedelta(seconds=ago),
        health_message={"code": "volume-going", "params": {"name": "data"}},
    )


def operation(kind: str) -> Operation:
    operation = Operation.objects.get()
    operation.kind = kind
    return operation


def test_owner_and_managers_read_that_it_is_ready(store, bob, dora):
    share(store, bob, "viewer")
    share(store, dora, "manager")
    notices.tell_ready(store, operation("create"))
    assert letters() == [("store-ready", "alice"), ("store-ready", "dora")]


@pytest.mark.parametrize("kind", ["refresh", "repair"])
def test_nobody_is_written_to_about_what_nobody_waits_for(kind, store):
    notices.tell_ready(store, operation(kind))
    notices.tell_ready(store, None)
    assert letters() == []


def test_who_wants_no_letters_gets_none(store, alice, dora):
    share(store, dora, "manager")
    User.objects.filter(pk=alice.pk).update(
        mail_ready=False, mail_failed=False, mail_degraded=False
    )
    notices.tell_ready(store, operation("retry"))
    notices.tell_failed(store, Message("setup-failed", {"name": "setup", "reason": "no"}))
    becomes(store, Health.DEGRADED, 601)
    notices.tell_health()
    assert letters() == [
        ("store-ready", "dora"), ("store-failed", "dora"), ("store-degraded", "dora"),
    ]  # fmt: skip


def test_a_shop_that_is_unwell_for_a_moment_is_worth_no_letter(store):
    becomes(store, Health.DEGRADED, 500)
    assert notices.tell_health() == 0
    becomes(store, Health.HEALTHY, 500)
    assert notices.tell_health() == 0 and letters() == []


def test_one_that_is_unwell_for_long_is_told_once_and_once_that_it_is_well(store):
    becomes(store, Health.DEGRADED, 601)
    assert [notices.tell_health() for _ in range(3)] == [1, 0, 0]
    becomes(store, Health.HEALTHY, 10)
    assert notices.tell_health() == 0, "it may not last"
    becomes(store, Health.HEALTHY, 61)
    assert [notices.tell_health() for _ in range(3)] == [1, 0, 0]
    assert [code for code, _ in letters()] == ["store-degraded", "store-recovered"]


def test_a_loss_is_told_although_it_was_unwell_before(store):
    becomes(store, Health.DEGRADED, 601)
    notices.tell_health()
    becomes(store, Health.LOST, 601)
    assert [notices.tell_health() for _ in range(2)] == [1, 0]
    assert [code for code, _ in letters()] == ["store-degraded", "store-lost"]


def test_what_two_clocks_see_at_once_is_told_once(store):
    becomes(store, Health.DEGRADED, 601)
    seen, seen_by_the_other = notices.unwell_for_long().get(), notices.unwell_for_long().get()
    assert notices.tell_health_of(seen)
    assert not notices.tell_health_of(seen_by_the_other)
    assert len(letters()) == 1


def test_a_shop_that_is_being_closed_is_nobodys_concern(store):
    becomes(store, Health.DEGRADED, 601)
    Store.objects.filter(pk=store.pk).update(status="closing")
    assert notices.tell_health() == 0
