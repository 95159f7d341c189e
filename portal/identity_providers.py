"""Logging in at a company's own identity provider (OpenID Connect)."""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.adapter import DefaultSocialAccountAdapter, get_adapter
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

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


def providers_of(request: HttpRequest, user: Any) -> list[Any]:
    """Those where this person can log in, as long as they are configured."""
    theirs = set(SocialAccount.objects.filter(user=user).values_list("provider", flat=True))
    return [each for each in get_adapter().list_providers(request) if each.sub_id in theirs]


def ways_to_prove(request: HttpRequest, user: Any) -> list[dict[str, Any]]:
    """As allauth names its own: a page that sends them to their provider, and from there back."""
    if not providers_of(request, user):
        return []
    page = reverse("account-prove-elsewhere")
    return [{"id": "elsewhere", "description": _("Log in elsewhere again"), "url": page}]
