"""Questions that pages ask the cluster: asked here, answered by a worker or the watcher
(provisioning/inquiries.py), taken once, and forgotten after a minute whatever happens.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from stores import limits, queue, rules
from stores.actor import Actor
from stores.audit import AuditEvent
from stores.errors import Refused, TooMany
from stores.inquiry import Inquiry
from stores.lifecycle import GOING, Status
from stores.messages import Message
from stores.models import Store
from stores.permissions import Right

Kind = Inquiry.Kind
# Of one person: each keeps a thread of the web process waiting.
MOST_AT_ONCE = 6


# --- Who asks ----------------------------------------------------------------------------


def ask(
    kind: Inquiry.Kind,
    store: Store,
    *,
    actor: Actor,
    params: dict[str, Any] | None = None,
    public_key: bytes = b"",
) -> Inquiry:
    """The question, which somebody may have answered a moment later (``take``). Raises TooMany for a
    person of whom there are many already.
    """
    assert actor.user is not None  # only people look at pages
    forget_expired()
    if Inquiry.objects.filter(asked_by=actor.user).count() >= MOST_AT_ONCE:
        said = _("Too many of your pages ask the cluster at once. Close some, then try again.")
        raise TooMany(said, retry_after=2)
    with transaction.atomic():
        inquiry = Inquiry.objects.create(
            kind=kind,
            store=store,
            asked_by=actor.user,
            params=params or {},
            public_key=public_key,
            expires_at=Now() + timedelta(seconds=settings.INQUIRY_SECONDS),
        )
        # Of the others there is one every other second from each open page, the watcher looks every
        # quarter of one, and a page that is only looked at leaves nothing in the queue.
        if kind == Kind.CREDENTIALS:
            queue.ring_inquiry(inquiry.pk)
    return inquiry


def ask_credentials(store: Store, public_key: bytes, *, actor: Actor) -> Inquiry:
    """The initial password, sealed to that key. Audited here: whoever got this far may see it.

    Raises Refused, and TooMany.
    """
    store.refresh_from_db()
    if refusal := why_no_credentials(store):
        raise Refused(refusal)
    with transaction.atomic():
        rules.held(store, Right.REVEAL, actor)
        inquiry = ask(Kind.CREDENTIALS, store, actor=actor, public_key=public_key)
        AuditEvent.record("store.reveal", actor=actor, store=store)
        limits.keep("store.reveal", actor)
    return inquiry


def why_no_credentials(store: Store) -> str:
    """Why there is no initial password to show; empty where there is."""
    if store.status == Status.DELETED:
        return _("The store is deleted, and its passwords with it.")
    if store.status in GOING:
        return _("The shop is closed. Keep the store first if you want to log in to it.")
    if store.ready_at is None:
        return _("The shop is not set up yet: there is a password as soon as the store is ready.")
    return ""


def refuse_credentials(store: Store, *, actor: Actor) -> None:
    """Whoever asked did not know their own password. Raises TooMany after some of these."""
    with transaction.atomic():
        AuditEvent.record("store.reveal_refused", actor=actor, store=store)
        limits.keep("store.reveal_refused", actor)


def note_unanswered(store: Store, message: Message, *, actor: Actor) -> None:
    """Nothing could be shown after all: the event of the question stays, this one goes with it."""
    AuditEvent.record(
        "store.reveal_unanswered",
        actor=actor,
        store=store,
        details={"message": message.as_json()},
    )


def take(inquiry_id: UUID) -> Inquiry | None:
    """The answered question, once: with that it is gone. None while there is no answer."""
    answered = Inquiry.objects.filter(pk=inquiry_id, answered_at__isnull=False)
    # Asked again and again: a transaction would take the database's write lock each time.
    if not answered.exists():
        return None
    with transaction.atomic():
        inquiry = answered.select_for_update().first()
        if inquiry is not None:
            Inquiry.objects.filter(pk=inquiry_id).delete()
    return inquiry


def withdraw(inquiry_id: UUID) -> None:
    """Nobody waits for the answer any more."""
    Inquiry.objects.filter(pk=inquiry_id).delete()


def forget_expired() -> int:
    """How many nobody has taken in time. Whoever asks, answers or keeps the clock does this."""
    expired = Inquiry.objects.filter(expires_at__lte=Now())
    # Mostly there is none, and a DELETE takes the database's write lock all the same.
    return expired.delete()[0] if expired.exists() else 0


# --- Who answers -------------------------------------------------------------------------


def waiting(kind: str) -> list[UUID]:
    """The questions of that kind that nobody has claimed yet, the oldest first."""
    found = Inquiry.objects.filter(kind=kind, claimed_at=None, expires_at__gt=Now())
    return list(found.order_by("asked_at").values_list("pk", flat=True))


def claim(inquiry_id: UUID) -> Inquiry | None:
    """The question, for whoever was first to claim it; None for everybody else."""
    unclaimed = Inquiry.objects.filter(pk=inquiry_id, claimed_at=None, expires_at__gt=Now())
    if not unclaimed.update(claimed_at=Now()):
        return None
    return Inquiry.objects.select_related("store").filter(pk=inquiry_id).first()


def answer(inquiry: Inquiry, *, said: dict[str, Any] | None = None, sealed: bytes = b"") -> None:
    """Nothing happens if nobody waits for it any more."""
    unanswered = Inquiry.objects.filter(pk=inquiry.pk, answered_at=None)
    unanswered.update(answered_at=Now(), answer=said or {}, sealed=sealed)


def fail(inquiry: Inquiry, message: Message) -> None:
    """There is no answer, for that reason."""
    unanswered = Inquiry.objects.filter(pk=inquiry.pk, answered_at=None)
    unanswered.update(answered_at=Now(), failure=message.as_json())
