"""Invitations to sign up: a signed link, sent to the address that it is for and to no other.

Nothing of it is kept. It proves that the letter was read, so the address counts as confirmed.
"""

from __future__ import annotations

from datetime import timedelta

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

SALT = "storeyard.invitation"
LASTS = timedelta(days=7)
# In the session, who was invited.
INVITED = "invited"


def path_of(email: str) -> str:
    """Where the letter leads to."""
    return reverse("account-invitation", args=[signing.dumps(email.lower(), salt=SALT)])


def address_in(token: str) -> str:
    """Empty for one that is not ours, or too old."""
    try:
        return str(signing.loads(token, salt=SALT, max_age=LASTS))
    except signing.BadSignature:
        return ""


def invited(request: HttpRequest) -> str:
    """The address this visitor was invited by; empty for nobody."""
    return str(request.session.get(INVITED, ""))


@require_safe
def accept(request: HttpRequest, token: str) -> HttpResponse:
    email = address_in(token)
    if not email:
        messages.error(request, _("This invitation is too old. Ask for another one."))
        return redirect("account_login")
    request.session[INVITED] = email
    get_adapter(request).stash_verified_email(request, email)
    return redirect("account_signup")
