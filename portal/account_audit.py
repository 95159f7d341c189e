"""What people do about their accounts, in the audit trail: one event each, and nobody named."""

from __future__ import annotations

import hashlib
from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from allauth.mfa.models import Authenticator
from django.contrib.auth.signals import user_logged_out
from django.core.cache import cache
from django.http import HttpRequest

from stores import accounts
from stores.actor import Actor
from stores.audit import AuditEvent
from stores.models import User

CODES = Authenticator.Type.RECOVERY_CODES


def record(request: HttpRequest, action: str, user: User | None, /, **details: Any) -> None:
    """Somebody did this to their own account; ``user`` is None as long as nobody knows who it is."""
    actor = Actor(
        user,
        "portal",
        address=request.client_address,
        request_id=request.request_id,
        stranger=user is None,
    )
    AuditEvent.record(f"account.{action}", actor=actor, details=details)


# --- Getting in, or not ------------------------------------------------------------------


def failed(request: HttpRequest, user: User | None, what: str = "login_failed") -> None:
    """Who tried is not known: ``user`` is whose account it was, if there is such a one."""
    record(request, what, None, **({"user": user.pseudonym} if user else {}))


def locked_out(request: HttpRequest, user: User | None, key: str, seconds: int) -> None:
    """Once, however often it is tried meanwhile."""
    name = "lockout:" + hashlib.sha256(key.encode()).hexdigest()
    if cache.add(name, True, seconds):
        failed(request, user, "lockout")


def logged_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    methods = request.session.get("account_authentication_methods", [])
    record(request, "login", user, by=[method["method"] for method in methods])


def logged_out(request: HttpRequest | None, user: User | None, **kwargs: Any) -> None:
    if user is not None and request is not None:
        record(request, "logout", user)


def wrong_code(request: HttpRequest, user: User, **kwargs: Any) -> None:
    failed(request, user, "second_factor_failed")


account.user_logged_in.connect(logged_in, dispatch_uid="audit.login")
user_logged_out.connect(logged_out, dispatch_uid="audit.logout")
mfa.authentication_failed.connect(wrong_code, dispatch_uid="audit.second_factor_failed")


# --- Changing what gets one in -----------------------------------------------------------


def signed_up(request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(request, "sign_up", user)


def password_changed(request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(request, "change_password", user)


def password_reset(request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(request, "reset_password", user)


def email_changed(request: HttpRequest, user: User, from_email_address: Any, **kwargs: Any) -> None:
    record(request, "change_email" if from_email_address else "confirm_email", user)


def factor_added(
    request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any
) -> None:
    if authenticator.type == CODES:
        return record(request, "make_recovery_codes", user)
    record(request, "add_second_factor", user, kind=authenticator.type)
    if user.is_staff:
        # Sessions that a password alone has begun would count as having proved this factor.
        actor = Actor(user, "portal", address=request.client_address, request_id=request.request_id)
        accounts.end_sessions(user, actor=actor, keep=request.session.session_key)


def factor_removed(
    request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any
) -> None:
    # The codes go with the last of the others.
    if authenticator.type != CODES:
        record(request, "remove_second_factor", user, kind=authenticator.type)


def codes_made(request: HttpRequest, user: User, **kwargs: Any) -> None:
    record(request, "make_recovery_codes", user)


account.user_signed_up.connect(signed_up, dispatch_uid="audit.sign_up")
account.password_changed.connect(password_changed, dispatch_uid="audit.change_password")
account.password_set.connect(password_changed, dispatch_uid="audit.set_password")
account.password_reset.connect(password_reset, dispatch_uid="audit.reset_password")
account.email_changed.connect(email_changed, dispatch_uid="audit.change_email")
mfa.authenticator_added.connect(factor_added, dispatch_uid="audit.add_second_factor")
mfa.authenticator_removed.connect(factor_removed, dispatch_uid="audit.remove_second_factor")
mfa.authenticator_reset.connect(codes_made, dispatch_uid="audit.make_recovery_codes")
