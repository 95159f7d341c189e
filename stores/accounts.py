"""The verbs about people's accounts: end sessions, deactivate, close. Each audited, in one transaction.

Deactivating somebody leaves their stores running; closing an account needs that it has none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from stores import letters
from stores.actor import Actor
from stores.audit import AuditEvent, AuditOrigin
from stores.errors import NotAllowed, Refused
from stores.models import Handover, Inquiry, Letter, Share, User
from stores.services import clean_reason

PERSONAL_CHOICES = {
    *("first_name", "last_name", "language", "time_zone"),
    *("mail_ready", "mail_failed", "mail_degraded"),
}
# Entries of sessions that are over are kept no longer than that.
SESSION_ENTRY_AGE = timedelta(days=1)


# --- Sessions ----------------------------------------------------------------------------


def end_sessions(user: User, *, actor: Actor, keep: str = "") -> int:
    """Log this person out everywhere (but in the session ``keep``). Returns of how many sessions."""
    with transaction.atomic():
        count = drop_sessions(UserSession.objects.filter(user=user).exclude(session_key=keep))
        tell_ended(user, count, actor)
    return count


def end_session(user: User, number: int, *, actor: Actor) -> int:
    """End one of this person's sessions. Returns how many there were of that number: 0 or 1."""
    with transaction.atomic():
        count = drop_sessions(UserSession.objects.filter(user=user, pk=number))
        tell_ended(user, count, actor)
    return count


def tell_ended(user: User, count: int, actor: Actor) -> None:
    if count:
        by = "account" if actor.user == user else "user"
        details = {"user": user.pseudonym, "sessions": count, **actor.why}
        AuditEvent.record(f"{by}.end_sessions", actor=actor, details=details)


def drop_sessions(entries: QuerySet[Any]) -> int:
    """End these and forget them."""
    keys = list(entries.values_list("session_key", flat=True))
    Session.objects.filter(session_key__in=keys).delete()
    UserSession.objects.filter(session_key__in=keys).delete()
    return len(keys)


def prune_sessions() -> None:
    """Forget sessions that are over, and the entries of those that were ended otherwise."""
    Session.objects.filter(expire_date__lt=timezone.now()).delete()
    before = timezone.now() - SESSION_ENTRY_AGE
    alive = Session.objects.values("session_key")
    UserSession.objects.filter(created_at__lt=before).exclude(session_key__in=alive).delete()


# --- One's own account -------------------------------------------------------------------


def change_account(user: User, wanted: dict[str, Any], *, actor: Actor) -> None:
    """Set these of PERSONAL_CHOICES. Of what is new only the names are kept: the trail is for ever."""
    with transaction.atomic():
        user = held(user)
        if user.closed_at:
            # Sent before, done after: what was erased must not come back.
            raise NotAllowed(_("Only a person with an account can do that."))
        new = {name for name, value in wanted.items() if getattr(user, name) != value}
        if not new <= PERSONAL_CHOICES:
            raise ValueError(f"Not for the owner of an account to set: {new - PERSONAL_CHOICES}")
        if new:
            User.objects.filter(pk=user.pk).update(**{name: wanted[name] for name in new})
            details = {"changed": sorted(new)}
            AuditEvent.record("account.change", actor=actor, details=details)


# --- Letting somebody in, or not ---------------------------------------------------------


def invite(email: str, *, actor: Actor) -> None:
    """A letter with which whoever reads that address can make an account. Keeps no word of whom."""
    email = email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        said = _("“%(email)s” is no e-mail address.") % {"email": email}
        raise Refused(said, field="email") from None
    with transaction.atomic():
        letters.write("invitation", email)
        AuditEvent.record("account.invite", actor=actor)


def deactivate_user(user: User, reason: str, *, actor: Actor) -> None:
    """Nobody gets in with this account any more, and whoever is in is out. Its stores go on."""
    reason = clean_reason(reason)
    with transaction.atomic():
        user = held(user)
        if not user.is_active:
            raise Refused(_("This account is not active."))
        if actor.user == user:
            raise Refused(_("Nobody deactivates their own account: ask a colleague."))
        User.objects.filter(pk=user.pk).update(is_active=False)
        count = drop_sessions(UserSession.objects.filter(user=user))
        details = {"user": user.pseudonym, "reason": reason, "sessions": count}
        AuditEvent.record("user.deactivate", actor=actor, details=details)


def reactivate_user(user: User, reason: str, *, actor: Actor) -> None:
    reason = clean_reason(reason)
    with transaction.atomic():
        user = held(user)
        if user.is_active:
            raise Refused(_("This account is active already."))
        if user.closed_at:
            raise Refused(_("This account was closed by its owner, and nothing of it is left."))
        User.objects.filter(pk=user.pk).update(is_active=True)
        details = {"user": user.pseudonym, "reason": reason}
        AuditEvent.record("user.reactivate", actor=actor, details=details)


def forget_second_factor(user: User, reason: str, *, actor: Actor) -> None:
    """For somebody who lost all of it. They are out everywhere, and set up another one at login."""
    reason = clean_reason(reason)
    with transaction.atomic():
        user = held(user)
        drop_sessions(UserSession.objects.filter(user=user))
        Authenticator.objects.filter(user=user).delete()
        details = {"user": user.pseudonym, "reason": reason}
        AuditEvent.record("user.forget_second_factor", actor=actor, details=details)


def held(user: User) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=user.pk)


# --- Closing -----------------------------------------------------------------------------


def close_account(user: User, *, actor: Actor) -> None:
    """Erase what names this person. What they did stays in the audit trail, under a pseudonym.

    Raises Refused while they have stores: those are to be handed over or deleted first.
    """
    with transaction.atomic():
        user = held(user)
        check_nothing_is_left(user)
        erase_traces(user)
        # Rows before the trail's head: whoever ends one of these shares at this moment holds its row
        # and waits for the head.
        AuditEvent.record("account.close", actor=actor, details={"user": user.pseudonym})
        AuditOrigin.objects.filter(event__actor=user).delete()
        erase_person(user)


def check_nothing_is_left(user: User) -> None:
    if user.is_staff or user.is_superuser:
        raise Refused(_("Accounts of the support team are not closed here: ask an administrator."))
    if names := [store.name for store in user.stores.existing()]:
        said = _("You still have stores. Hand them over or delete them first: %(names)s.")
        raise Refused(said % {"names": ", ".join(names)})


def erase_traces(user: User) -> None:
    """Rows about the person, wherever they are; those of the audit trail name nobody."""
    confirmed = EmailAddress.objects.filter(user=user, verified=True)
    addresses = [user.email.lower(), *confirmed.values_list("email", flat=True)]
    named = Q(email__in=[address for address in addresses if address])
    drop_sessions(UserSession.objects.filter(user=user))
    Share.objects.filter(Q(user=user) | named).delete()
    Handover.objects.filter(named).delete()
    Letter.objects.filter(Q(user=user) | named).delete()
    Inquiry.objects.filter(asked_by=user).delete()
    Authenticator.objects.filter(user=user).delete()
    SocialAccount.objects.filter(user=user).delete()
    EmailAddress.objects.filter(user=user).delete()
    people = ContentType.objects.get_for_model(User)
    LogEntry.objects.filter(Q(user=user) | Q(content_type=people, object_id=user.pk)).delete()


def erase_person(user: User) -> None:
    user.username = user.pseudonym
    user.email = user.first_name = user.last_name = user.time_zone = user.language = ""
    user.is_active = False
    user.max_stores = 0
    user.last_login = None
    user.closed_at = timezone.now()
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()
