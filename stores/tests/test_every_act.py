"""S45: whatever a person does is in the audit trail exactly once, with all that it takes to judge it.

A table of every verb there is: a new one without a row here fails.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.db.models.functions import Now

from stores import accounts, consent, inquiries, services, teams
from stores.actor import Actor
from stores.audit import verify
from stores.messages import Message
from stores.models import AuditEvent, Consent, Handover, Pause, Share, Store, User
from stores.permissions import Standing
from stores.tests.people import PASSWORD

MODULES = (services, teams, consent, accounts, inquiries)
# Parts of verbs, and what a person does not do: they get the actor handed on.
PARTS = {"ask", "note_unanswered", "tell_ended"}
# Steps of the lifecycle that go with a request, written by Store.move_to.
MOVES = {f"store.{status}" for status in ("requested", "updating", "closing", "deleting")}
# About the platform, or about whoever does it.
OF_THEMSELVES = {"platform.pause", "platform.resume", "account.change", "account.invite"}
EMAIL = "dora@example.com"
HOUR = timedelta(hours=1)


@dataclass
class Stage:
    """A ready store of alice's, and who else is there; ``actor`` is who does it."""

    store: Store
    alice: User
    dora: User
    carol: User
    actor: Actor

    def is_(self, **fields: object) -> Stage:
        Store.objects.filter(pk=self.store.pk).update(**fields)
        self.store.refresh_from_db()
        return self

    def as_(self, person: User) -> Stage:
        self.actor = Actor(person, "portal", address="192.0.2.7", request_id="request-1")
        return self

    def share(self) -> Share:
        return Share.objects.create(store=self.store, email=EMAIL, role="viewer")

    def shared(self) -> Share:
        return Share.objects.create(
            store=self.store, email=EMAIL, role="viewer", user=self.dora, accepted_at=Now()
        )

    def handover(self) -> Handover:
        return Handover.objects.create(store=self.store, email=EMAIL)

    def consent(self, **fields: object) -> None:
        Consent.objects.create(store=self.store, asked_by=self.carol, asked_at=Now(), **fields)

    def sessions(self) -> UserSession:
        return UserSession.objects.create(
            user=self.dora, ip="192.0.2.8", session_key="a-key", user_agent="test"
        )

    def given(self) -> None:
        self.consent(given_at=Now(), ends_at=datetime.now(UTC) + 3 * HOUR)


def enter(stage: Stage) -> None:
    stage.as_(stage.carol).store.standing = Standing.SUPPORT
    consent.enter(stage.store, actor=stage.actor)


Do = Callable[[Stage], Any]
ACTS: dict[tuple[Any, str], tuple[str, Do]] = {
    (services, "create_store"): ("store.ask_create", lambda s: services.create_store(
        actor=s.actor, owner=s.alice, name="Another", address="another-shop")),
    (services, "retry_store"): ("store.ask_retry", lambda s: services.retry_store(
        s.is_(status="failed").store, actor=s.actor)),
    (services, "refresh_store"): ("store.ask_refresh", lambda s: services.refresh_store(
        s.store, actor=s.actor)),
    (services, "repair_store"): ("store.ask_repair", lambda s: services.repair_store(
        s.store, [Message("repair-asked")], actor=s.actor)),
    (services, "ask_repair"): ("store.ask_repair", lambda s: services.ask_repair(
        s.store, actor=s.actor)),
    (services, "delete_store"): ("store.ask_delete", lambda s: services.delete_store(
        s.store, actor=s.actor)),
    (services, "skip_grace"): ("store.skip_grace", lambda s: services.skip_grace(
        s.is_(status="closing").store, actor=s.actor)),
    (services, "undo_delete"): ("store.ask_undo", lambda s: services.undo_delete(
        s.is_(status="closing").store, actor=s.actor)),
    (services, "release_slot"): ("store.release_slot", lambda s: services.release_slot(
        s.is_(status="deleting").store, "It hangs.", actor=s.actor)),
    (services, "pause_provisioning"): ("platform.pause", lambda s: services.pause_provisioning(
        "Work on the cluster.", actor=s.actor)),
    (services, "resume_provisioning"): ("platform.resume", lambda s: (
        Pause.objects.create(pk=1, reason="x"), services.resume_provisioning(actor=s.actor))),
    (services, "set_quota"): ("user.set_quota", lambda s: services.set_quota(
        s.dora, 9, actor=s.actor)),
    (teams, "share_store"): ("store.share", lambda s: teams.share_store(
        s.store, EMAIL, "viewer", actor=s.actor)),
    (teams, "change_role"): ("store.change_role", lambda s: teams.change_role(
        s.shared(), "manager", actor=s.actor)),
    (teams, "withdraw_share"): ("store.withdraw_share", lambda s: teams.withdraw_share(
        s.shared(), actor=s.actor)),
    (teams, "accept_share"): ("store.accept_share", lambda s: teams.accept_share(
        s.share(), [EMAIL], actor=s.as_(s.dora).actor)),
    (teams, "decline_share"): ("store.decline_share", lambda s: teams.decline_share(
        s.share(), [EMAIL], actor=s.as_(s.dora).actor)),
    (teams, "offer_handover"): ("store.offer_handover", lambda s: teams.offer_handover(
        s.store, EMAIL, actor=s.actor)),
    (teams, "withdraw_handover"): ("store.withdraw_handover", lambda s: (
        s.handover(), teams.withdraw_handover(s.store, actor=s.actor))),
    (teams, "accept_handover"): ("store.accept_handover", lambda s: teams.accept_handover(
        s.handover(), [EMAIL], actor=s.as_(s.dora).actor)),
    (teams, "decline_handover"): ("store.decline_handover", lambda s: teams.decline_handover(
        s.handover(), [EMAIL], actor=s.as_(s.dora).actor)),
    (consent, "ask_consent"): ("store.ask_consent", lambda s: consent.ask_consent(
        s.store, "To see why.", actor=s.as_(s.carol).actor)),
    (consent, "give_consent"): ("store.give_consent", lambda s: consent.give_consent(
        s.store, 3, actor=s.actor)),
    (consent, "revoke_consent"): ("store.revoke_consent", lambda s: (
        s.given(), consent.revoke_consent(s.store, actor=s.actor))),
    (consent, "decline_consent"): ("store.decline_consent", lambda s: (
        s.consent(), consent.decline_consent(s.store, actor=s.actor))),
    (consent, "enter"): ("support.enter", enter),
    (accounts, "deactivate_user"): ("user.deactivate", lambda s: accounts.deactivate_user(
        s.dora, "They asked.", actor=s.actor)),
    (accounts, "reactivate_user"): ("user.reactivate", lambda s: (
        User.objects.filter(pk=s.dora.pk).update(is_active=False),
        accounts.reactivate_user(s.dora, "They are back.", actor=s.actor))),
    (accounts, "forget_second_factor"): ("user.forget_second_factor", lambda s: (
        accounts.forget_second_factor(s.dora, "They lost it.", actor=s.actor))),
    (accounts, "end_sessions"): ("user.end_sessions", lambda s: accounts.end_sessions(
        s.sessions().user, actor=s.actor)),
    (accounts, "end_session"): ("user.end_sessions", lambda s: accounts.end_session(
        s.dora, s.sessions().pk, actor=s.actor)),
    (accounts, "invite"): ("account.invite", lambda s: accounts.invite(
        "new@example.com", actor=s.actor)),
    (accounts, "change_account"): ("account.change", lambda s: accounts.change_account(
        s.alice, {"mail_ready": False}, actor=s.actor)),
    (accounts, "close_account"): ("account.close", lambda s: accounts.close_account(
        s.dora, actor=s.actor)),
    (inquiries, "ask_credentials"): ("store.reveal", lambda s: inquiries.ask_credentials(
        s.is_(ready_at=Now()).store, b"key", actor=s.actor)),
    (inquiries, "refuse_credentials"): ("store.reveal_refused", lambda s: (
        inquiries.refuse_credentials(s.store, actor=s.actor))),
}  # fmt: skip


@pytest.fixture
def stage(store: Store, alice: User, dora: User, carol: User) -> Stage:
    return Stage(store, alice, dora, carol, Actor(alice, "portal")).as_(alice)


@pytest.mark.parametrize("verb", ACTS, ids=lambda verb: f"{verb[0].__name__}.{verb[1]}")
def test_an_act_is_one_event_with_actor_object_time_and_reference(verb, stage):
    action, act = ACTS[verb]
    before = AuditEvent.objects.count()
    act(stage)
    events = list(AuditEvent.objects.order_by("id")[before:])
    (event,) = [one for one in events if one.action not in MOVES]
    assert event.action == action
    for one in events:  # the lifecycle's own too
        assert (one.actor, one.actor_name) == (stage.actor.user, stage.actor.pseudonym)
        assert (one.via, one.request_id) == ("portal", "request-1")
        assert one.origin.address == "192.0.2.7"
        assert one.at.utcoffset() == timedelta(0)
        assert abs(datetime.now(UTC) - one.at) < timedelta(minutes=5)
    about = event.store or event.details.get("user") or action in OF_THEMSELVES
    assert about, "it says what it was done to"
    kept = str(AuditEvent.objects.filter(pk__in=[one.pk for one in events]).values())
    for secret in (PASSWORD, EMAIL, "alice", "dora", "carol", "192.0.2.7"):
        assert secret not in kept
    assert verify() == ""


def test_every_verb_has_its_row():
    verbs = {
        (module, name)
        for module in MODULES
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and "actor" in inspect.signature(function).parameters
        and inspect.signature(function).parameters["actor"].kind is inspect.Parameter.KEYWORD_ONLY
        and name not in PARTS
    }
    assert verbs == set(ACTS)


def test_what_is_refused_leaves_no_event(stage):
    before = AuditEvent.objects.count()
    for refused in (
        lambda: services.retry_store(stage.store, actor=stage.actor),
        lambda: consent.revoke_consent(stage.store, actor=stage.actor),
        lambda: accounts.reactivate_user(stage.dora, "Why not", actor=stage.actor),
    ):
        with pytest.raises(services.Refused):
            refused()
    assert AuditEvent.objects.count() == before
