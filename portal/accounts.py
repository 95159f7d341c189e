"""How people prove who they are: our choices where allauth leaves some."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.account.internal.userkit import filter_users_by_email, get_user_by_username
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest


class Backend(AuthenticationBackend):
    """By user name or e-mail address, whatever was typed."""

    def _authenticate(
        self, request: HttpRequest | None, **credentials: Any
    ) -> AbstractBaseUser | None:
        # Exactly one password is computed, as for somebody unknown: allauth's own would compute
        # two for a known address and a wrong password, and so tell by the time it takes.
        login = credentials.get("username") or credentials.get("email") or ""
        user = get_user_by_username(login) or next(
            iter(filter_users_by_email(login, prefer_verified=True, for_login=True)), None
        )
        return self._check_password(user, credentials["password"])


class AccountAdapter(DefaultAccountAdapter):
    def get_client_ip(self, request: HttpRequest) -> str:
        return request.client_address or super().get_client_ip(request)

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return settings.SIGNUP == "open"

    def get_login_stages(self) -> list[str]:
        ours = "portal.account_stages.ConfirmAddress"
        theirs = "allauth.account.stages.EmailVerificationStage"
        return [ours if stage == theirs else stage for stage in super().get_login_stages()]
