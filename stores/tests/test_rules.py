"""Whoever lost the right to do something while their request was under way does not do it any more."""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from stores import accounts, inquiries, services, teams
from stores.actor import SYSTEM, Actor
from stores.errors import NotAllowed
from stores.models import AuditEvent, Share, Store, User

VERBS = {
    "retry": ("failed", services.retry_store),
    "refresh": ("ready", services.refresh_store),
    "repair": ("ready", services.ask_repair),
    "delete": ("ready", services.delete_store),
    "delete at once": ("ready", lambda store, actor: services.delete_store(
        store, actor=actor, now=True)),
    "skip the grace period": ("closing", services.skip_grace),
    "undo": ("closing", services.undo_delete),
    "reveal": ("ready", lambda store, actor: inquiries.ask_credentials(
        store, b"key", actor=actor)),
}  # fmt: skip
OWNERS_ONLY = {"delete at once", "skip the grace period"}


def brought_to(store: Store, status: str) -> Store:
    Store.objects.filter(pk=store.pk).update(status=status, ready_at=store.created_at)
    return Store.objects.get(pk=store.pk)


def tried(verb: str, store: Store, actor: Actor) -> None:
    status, do = VERBS[verb]
    do(brought_to(store, status), actor=actor)


@pytest.mark.parametrize("verb", VERBS)
def test_who_owned_the_store_a_moment_ago_does_nothing_to_it(verb, store, alice, dora):
    Store.objects.filter(pk=store.pk).update(owner=dora)
    before = AuditEvent.objects.count()
    with pytest.raises(NotAllowed):
        tried(verb, store, Actor(alice, "portal"))
    assert AuditEvent.objects.count() == before
    assert Store.objects.get(pk=store.pk).status == VERBS[verb][0]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("role", ["viewer", "manager"])
def test_a_share_reaches_no_further_than_its_role(verb, role, store, dora):
    Share.objects.create(
        store=store, email="dora@example.com", role=role, user=dora, accepted_at=Now()
    )
    if role == "manager" and verb not in OWNERS_ONLY:
        tried(verb, store, Actor(dora, "portal"))
        return
    with pytest.raises(NotAllowed):
        tried(verb, store, Actor(dora, "portal"))


def test_the_team_acts_in_the_admin_only_and_nobody_else_can_say_so(store, carol, bob):
    with pytest.raises(NotAllowed):
        tried("refresh", store, Actor(carol, "portal"))
    with pytest.raises(NotAllowed):
        tried("refresh", store, Actor(bob, "admin"))
    with pytest.raises(NotAllowed):
        tried("refresh", store, Actor(None, "portal", stranger=True))
    tried("refresh", store, Actor(carol, "admin"))
    tried("refresh", store, SYSTEM)


@pytest.mark.parametrize("kind", ["share", "handover"])
def test_who_was_deactivated_a_moment_ago_gets_no_store(kind, store, dora, as_alice, carol):
    if kind == "share":
        invitation = teams.share_store(store, "dora@example.com", "viewer", actor=as_alice)
        accept = teams.accept_share
    else:
        invitation = teams.offer_handover(store, "dora@example.com", actor=as_alice)
        accept = teams.accept_handover
    # What the request of dora's has read by now.
    stale = User.objects.get(pk=dora.pk)
    accounts.deactivate_user(dora, "They asked.", actor=Actor(carol, "admin"))
    with pytest.raises(NotAllowed):
        accept(invitation, ["dora@example.com"], actor=Actor(stale, "portal"))
    assert Store.objects.find(store.pk, dora) is None


def test_what_a_closed_account_erased_does_not_come_back(dora):
    stale = User.objects.get(pk=dora.pk)
    accounts.close_account(dora, actor=Actor(dora, "portal"))
    with pytest.raises(NotAllowed):
        accounts.change_account(stale, {"first_name": "Dora"}, actor=Actor(stale, "portal"))
    dora.refresh_from_db()
    assert dora.first_name == ""
