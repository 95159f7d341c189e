"""Accounts that are shut, opened and closed, and what is left of them."""

from __future__ import annotations

import io

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.core.serializers import serialize
from django.db.models.functions import Now
from django.test import Client

from stores import accounts
from stores.actor import SYSTEM, Actor
from stores.audit import AuditEvent, AuditOrigin, verify
from stores.errors import Refused
from stores.lifecycle import Status
from stores.models import Handover, Letter, Share, Store, User
from stores.services import create_store, delete_store
from stores.tests.people import PASSWORD, enrol


@pytest.fixture
def store(alice: User, as_alice: Actor) -> Store:
    return create_store(actor=as_alice, owner=alice, name="Anna’s", address="annas-shop")


def gone(store: Store, actor: Actor) -> None:
    delete_store(store, actor=actor, now=True)
    store.refresh_from_db()
    store.move_to(Status.DELETED, actor=SYSTEM, slot=None, deleted_at=Now())


def everything() -> str:
    """All rows of all tables, as text."""
    return "".join(serialize("json", model._base_manager.all()) for model in apps.get_models())


def test_a_deactivated_owners_stores_go_on(alice, store, as_carol):
    accounts.deactivate_user(alice, "Did not  pay", actor=as_carol)
    alice.refresh_from_db()
    store.refresh_from_db()
    assert not alice.is_active and store.status == Status.REQUESTED
    event = AuditEvent.objects.get(action="user.deactivate")
    assert event.details == {"user": alice.pseudonym, "reason": "Did not pay", "sessions": 0}


def test_a_deactivated_person_can_be_let_in_again(alice, as_carol):
    accounts.deactivate_user(alice, "A mistake", actor=as_carol)
    accounts.reactivate_user(alice, "It was one", actor=as_carol)
    alice.refresh_from_db()
    assert alice.is_active
    assert AuditEvent.objects.filter(action="user.reactivate").count() == 1


def test_each_needs_a_reason_and_happens_once(alice, as_carol):
    with pytest.raises(Refused, match="reason"):
        accounts.deactivate_user(alice, " ", actor=as_carol)
    with pytest.raises(Refused, match="active already"):
        accounts.reactivate_user(alice, "Why not", actor=as_carol)
    accounts.deactivate_user(alice, "Asked to", actor=as_carol)
    with pytest.raises(Refused, match="not active"):
        accounts.deactivate_user(alice, "Asked to", actor=as_carol)


def test_nobody_shuts_themself_out(carol, as_carol):
    with pytest.raises(Refused, match="ask a colleague"):
        accounts.deactivate_user(carol, "By mistake", actor=as_carol)


# --- Closing -----------------------------------------------------------------------------


def test_an_account_with_stores_is_not_closed_and_they_are_named(alice, store, as_alice):
    with pytest.raises(Refused, match="Hand them over or delete them first: Anna’s"):
        accounts.close_account(alice, actor=as_alice)
    alice.refresh_from_db()
    assert alice.is_active and alice.email == "alice@example.com"


def test_the_support_team_does_not_close_its_own(carol, as_carol):
    with pytest.raises(Refused, match="ask an administrator"):
        accounts.close_account(carol, actor=as_carol)


@pytest.fixture
def closed(alice: User, bob: User, store: Store) -> User:
    """Alice, who left traces everywhere, after she closed her account."""
    alice.first_name, alice.last_name = "Alicia", "Wonderland"
    alice.save()
    EmailAddress.objects.create(user=alice, email="alice@example.com", verified=True, primary=True)
    enrol(alice)
    SocialAccount.objects.create(user=alice, provider="oidc", uid="alice-at-work")
    Client(headers={"user-agent": "Alice’s browser"}).post(
        "/account/login/", {"login": "alice", "password": "wrong"}, REMOTE_ADDR="198.51.100.7"
    )
    client = Client()
    client.force_login(alice)
    UserSession.objects.create(
        user=alice, ip="198.51.100.7", session_key=client.session.session_key, user_agent="x"
    )
    actor = Actor(alice, "portal", address="198.51.100.8", request_id="r")
    gone(store, actor)
    theirs = create_store(actor=Actor(bob, "test"), owner=bob, name="Bob’s", address="bobs-shop")
    Share.objects.create(store=theirs, email="alice@example.com", user=alice, accepted_at=Now())
    other = create_store(actor=Actor(bob, "test"), owner=bob, name="Other", address="bobs-other")
    Share.objects.create(store=other, email="alice@example.com")
    Handover.objects.create(store=other, email="alice@example.com")
    Letter.objects.create(user=alice, code="store-ready")
    Letter.objects.create(email="alice@example.com", code="share-invitation")
    accounts.close_account(alice, actor=actor)
    alice.refresh_from_db()
    return alice


def test_nothing_in_the_database_names_the_person_any_more(closed):
    left = everything()
    for trace in ("alice", "Alicia", "Wonderland", "198.51.100.8", "Alice’s browser"):
        assert trace not in left, trace


def test_the_account_is_nobodys_and_lets_nobody_in(closed):
    assert closed.username == closed.pseudonym and closed.closed_at
    assert not closed.is_active and not closed.has_usable_password()
    assert not Session.objects.exists() and not Authenticator.objects.exists()
    with pytest.raises(Refused, match="closed by its owner"):
        accounts.reactivate_user(closed, "Let me in", actor=SYSTEM)


def test_what_was_done_stays_under_a_pseudonym_and_the_chain_is_whole(closed):
    assert verify() == ""
    theirs = AuditEvent.objects.filter(actor=closed)
    assert {event.actor_name for event in theirs} == {closed.pseudonym}
    assert theirs.filter(action="account.close").count() == 1
    assert not AuditOrigin.objects.filter(event__actor=closed).exists()
    assert call_command("verify_audit", stdout=io.StringIO()) is None


def test_the_name_and_the_address_are_free_again(closed):
    again = User.objects.create_user("alice", "alice@example.com", PASSWORD)
    assert again.pseudonym != closed.pseudonym


def test_only_what_is_ones_own_to_set_can_be_set(alice, as_alice):
    accounts.change_account(alice, {"language": "de", "mail_ready": True}, actor=as_alice)
    event = AuditEvent.objects.get()
    assert (event.action, event.details) == ("account.change", {"changed": ["language"]})
    with pytest.raises(ValueError, match="max_stores"):
        accounts.change_account(alice, {"max_stores": 99}, actor=as_alice)
