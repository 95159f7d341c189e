"""How people prove who they are: our choices where allauth leaves some."""

from __future__ import annotations

import base64
import hashlib
import logging
from smtplib import SMTPException
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.account.internal.userkit import filter_users_by_email, get_user_by_username
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.usersessions.adapter import DefaultUserSessionsAdapter
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.base_user import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal import account_audit, errors, identity_providers, invitations
from portal.access import actor_of, proved_lately
from portal.staff import FACTORS
from stores import accounts
from stores.models import User

log = logging.getLogger(__name__)


def whose(login: str) -> User | None:
    """Whom a user name or an e-mail address belongs to."""
    by_name: User | None = get_user_by_username(login)
    return by_name or next(
        iter(filter_users_by_email(login, prefer_verified=True, for_login=True)), None
    )


def login_of(credentials: dict[str, Any]) -> str:
    return str(credentials.get("username") or credentials.get("email") or "")


class Backend(AuthenticationBackend):
    """By user name or e-mail address, whatever was typed."""

    def _authenticate(
        self, request: HttpRequest | None, **credentials: Any
    ) -> AbstractBaseUser | None:
        # Exactly one password is computed, as for somebody unknown: allauth's own would compute
        # two for a known address and a wrong password, and so tell by the time it takes.
        return self._check_password(whose(login_of(credentials)), credentials["password"])


class AccountAdapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        # One sentence, whatever was typed.
        f"{method}_password_mismatch": gettext_lazy(
            "This is not right. Look at the name or e-mail address and the password again."
        )
        for method in ("email", "username")
    }

    def get_client_ip(self, request: HttpRequest) -> str:
        return request.client_address or super().get_client_ip(request)

    # --- Limits --------------------------------------------------------------------------

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """A person from one address: nobody can lock out somebody else by guessing."""
        return f"{login_of(credentials).lower()} {self.get_client_ip(request)}"

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        try:
            super().pre_authenticate(request, **credentials)
        except ValidationError as refused:
            key = self._get_login_attempts_cache_key(request, **credentials)
            wait = settings.LOGIN_LOCK_SECONDS
            account_audit.locked_out(request, whose(login_of(credentials)), key, wait)
            answer = errors.too_many_requests(request, wait)
            raise ImmediateHttpResponse(answer) from refused

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        if request.user.is_authenticated:
            account_audit.record(request, "reauthentication_failed", request.user)
        else:
            account_audit.failed(request, whose(login_of(credentials)))

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Not by allauth's own pages either, right after the login.

        Afterwards of everybody: allauth itself would take those for proved who have neither password
        nor second factor.
        """
        required: bool = super().is_reauthentication_required(app=app, **kwargs)
        if not required or proved_lately(self.request):
            return False
        if not get_reauthentication_flows(self.request.user):
            raise ReauthenticationRequired
        return True

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Who has nothing to show here shows it where they log in."""
        here: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if here or user.is_anonymous:
            return here
        return identity_providers.ways_to_prove(self.request, user)

    # --- Signing up ----------------------------------------------------------------------

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        if settings.SIGNUP == "invitation":
            return bool(invitations.invited(request))
        return bool(settings.SIGNUP == "open")

    def get_login_stages(self) -> list[str]:
        ours = "portal.account_stages.ConfirmAddress"
        theirs = "allauth.account.stages.EmailVerificationStage"
        return [ours if stage == theirs else stage for stage in super().get_login_stages()]

    # --- Letters and ways ----------------------------------------------------------------

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Whatever happens to it, the page is the same for everybody."""
        try:
            super().send_mail(template_prefix, email, context)
        except (OSError, SMTPException):
            log.exception("no letter was sent: %s", template_prefix)
            sorry = _("Letters cannot be sent at the moment. Try again in some minutes.")
            messages.error(self.request, sorry)

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account")


class MFAAdapter(DefaultMFAAdapter):
    error_messages = DefaultMFAAdapter.error_messages | {
        "cannot_delete_authenticator": gettext_lazy(
            "The support team needs a second factor. Add another one before you remove this."
        ),
    }

    def encrypt(self, text: str) -> str:
        """Who reads the database can make no codes of it."""
        return str(fernet().encrypt(text.encode()).decode())

    def decrypt(self, encrypted_text: str) -> str:
        return str(fernet().decrypt(encrypted_text.encode()).decode())

    def can_delete_authenticator(self, authenticator: Authenticator) -> bool:
        if not (authenticator.user.is_staff and settings.STAFF_NEEDS_SECOND_FACTOR):
            return True
        others = Authenticator.objects.filter(user=authenticator.user, type__in=FACTORS)
        return others.exclude(pk=authenticator.pk).exists()


def fernet() -> MultiFernet:
    """With SECRET_KEY; what was written with one of SECRET_KEY_FALLBACKS can still be read."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    digests = [hashlib.sha256(f"second factor {key}".encode()).digest() for key in keys]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


class SessionsAdapter(DefaultUserSessionsAdapter):
    def end_sessions(self, sessions: list[Any]) -> None:
        """All but this one: what the page of sessions asks for."""
        request = context.request
        accounts.end_sessions(
            request.user, actor=actor_of(request), keep=request.session.session_key
        )
