"""An owner lets the support team into one store for a while: asked, given, declined, ended.

Consent is given to the team, not to one person: who enters is in the audit trail each hour anew.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from stores import letters, services
from stores.actor import Actor
from stores.audit import AuditEvent
from stores.errors import NotAllowed, Refused
from stores.lifecycle import Status
from stores.models import Consent, Store, User
from stores.permissions import Right, Standing
from stores.rules import held, locked, person_of
from stores.teams import tell

SHORTEST, LONGEST = 3, 72
ENTERED = "support.enter"
ENTERED_AGAIN = timedelta(hours=1)


def ask_consent(store: Store, reason: str, *, actor: Actor) -> Consent:
    """By a member of the team, who needs no right to see the store for it."""
    reason = services.clean_reason(reason)
    with transaction.atomic():
        store = locked(store)
        member = member_of(actor)
        if store.status == Status.DELETED:
            raise Refused(_("This store is deleted: there is nothing left to look into."))
        if store.consents.open_questions().exists():
            raise Refused(_("The owner has been asked already and has not answered yet."))
        consent = Consent.objects.create(
            store=store, asked_by=member, asked_at=Now(), reason=reason
        )
        tell("store.ask_consent", store, actor, reason=reason)
        letters.write("consent-asked", store.owner, store=store, reason=reason)
    return consent


def give_consent(store: Store, hours: int, *, actor: Actor) -> Consent:
    """From now on for so many hours, in place of what was given before; answers a question."""
    if not SHORTEST <= hours <= LONGEST:
        raise Refused(
            _("Choose between %(shortest)s and %(longest)s hours.")
            % {"shortest": SHORTEST, "longest": LONGEST},
            field="hours",
        )
    with transaction.atomic():
        store = held(store, Right.CONSENT, actor)
        store.consents.in_force().update(revoked_at=Now())
        consent = store.consents.open_questions().first() or Consent(store=store)
        consent.given_at, consent.ends_at = Now(), Now() + timedelta(hours=hours)
        consent.save()
        tell("store.give_consent", store, actor, hours=hours)
    consent.refresh_from_db()
    return consent


def revoke_consent(store: Store, *, actor: Actor) -> None:
    """At once: the next page that somebody of the team asks for is not there."""
    with transaction.atomic():
        store = held(store, Right.CONSENT, actor)
        if not store.consents.in_force().update(revoked_at=Now()):
            raise Refused(_("Support has no access to this store."))
        tell("store.revoke_consent", store, actor)


def decline_consent(store: Store, *, actor: Actor) -> None:
    with transaction.atomic():
        store = held(store, Right.CONSENT, actor)
        if not store.consents.open_questions().update(revoked_at=Now()):
            raise Refused(_("Support does not ask for access any more."))
        tell("store.decline_consent", store, actor)


def enter(store: Store, *, actor: Actor) -> None:
    """Write down that a member of the team looks into an owner's store: once an hour.

    Everything they change there is an event of its own besides.
    """
    if store.standing != Standing.SUPPORT or entered(store, actor):
        return
    with transaction.atomic():
        locked(store)
        if not entered(store, actor):
            AuditEvent.record(ENTERED, actor=actor, store=store)


def entered(store: Store, actor: Actor) -> bool:
    lately = timezone.now() - ENTERED_AGAIN
    events = AuditEvent.objects.filter(actor=actor.user, action=ENTERED, at__gt=lately)
    return events.filter(store=store).exists()


def member_of(actor: Actor) -> User:
    person = person_of(actor)
    if not person.is_staff:
        raise NotAllowed(_("Only the support team asks for an owner's consent."))
    return person
