"""What the support team's members need besides their password, and where their pages are."""

from __future__ import annotations

from collections.abc import Callable

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from stores.models import User

# In the session, once it was found to be there: nobody can lose it and stay logged in.
PROVED = "second_factor"
FACTORS = (Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN)


def admin_host(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """With ADMIN_HOST, the admin is on that host only: on the public one there is none."""

    def middleware(request: HttpRequest) -> HttpResponse:
        wanted = settings.ADMIN_HOST
        if (
            wanted
            and request.path_info.startswith(reverse("admin:index"))
            and request.get_host().rpartition(":")[0 if ":" in request.get_host() else 2] != wanted
        ):
            raise Http404
        return get_response(request)

    return middleware


def second_factor(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[..., HttpResponse]:
    """Members of the team without one see the pages of their own account and no others."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if not settings.STAFF_NEEDS_SECOND_FACTOR or is_open(request) or is_proved(request):
            return get_response(request)
        set_up = reverse("mfa_index")
        if request.htmx:
            return HttpResponseClientRedirect(set_up)
        messages.warning(
            request,
            _("The support team needs a second factor. Set up one, then go on where you were."),
        )
        return redirect(set_up)

    return middleware


def is_open(request: HttpRequest) -> bool:
    return request.path_info.startswith(reverse("account")) or not request.user.is_staff


def is_proved(request: HttpRequest) -> bool:
    """Whoever has one was asked for it at login, and whoever sets up one proves it by that."""
    if not request.session.get(PROVED) and has_second_factor(request.user):
        request.session[PROVED] = True
    return bool(request.session.get(PROVED))


def has_second_factor(user: User) -> bool:
    return Authenticator.objects.filter(user=user, type__in=FACTORS).exists()
