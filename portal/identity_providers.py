"""Logging in at a company's own identity provider (OpenID Connect)."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from django.conf import settings
from django.http import HttpRequest

from portal import invitations


class Adapter(DefaultSocialAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        """Whether an account is made at the first login (OIDC_SIGNUP, which is SIGNUP by default)."""
        if settings.OIDC_SIGNUP == "invitation":
            return invitations.invited(request) in proved_addresses(sociallogin)
        return bool(settings.OIDC_SIGNUP == "open")


def proved_addresses(sociallogin: Any) -> set[str]:
    """What the provider knows to be theirs, in small letters."""
    return {each.email.lower() for each in sociallogin.email_addresses if each.verified}
