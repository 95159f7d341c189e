"""The pages about one's own account that are not allauth's: profile, notifications, sessions, closing."""

from __future__ import annotations

from allauth.account import views as allauth
from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import identity_providers
from portal.access import actor_of, reauthenticated, signed_in
from portal.account_forms import CloseForm, NotificationsForm, ProfileForm
from stores import accounts
from stores.errors import Refused

FORM = require_http_methods(["GET", "HEAD", "POST"])


@FORM
@signed_in
def profile(request: HttpRequest) -> HttpResponse:
    return saved_or_shown(request, ProfileForm, "account/profile.html", "account")


@FORM
@signed_in
def notifications(request: HttpRequest) -> HttpResponse:
    return saved_or_shown(
        request, NotificationsForm, "account/notifications.html", "account-notifications"
    )


def sent(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def saved_or_shown(
    request: HttpRequest, kind: type[forms.ModelForm], template: str, route: str
) -> HttpResponse:
    form = kind(sent(request), instance=request.user)
    if request.method == "POST" and form.is_valid():
        accounts.change_account(request.user, form.cleaned_data, actor=actor_of(request))
        messages.success(request, _("Saved."))
        return redirect(route)
    return render(request, template, {"form": form})


@require_POST
@signed_in
def end_session(request: HttpRequest, number: int) -> HttpResponse:
    if not accounts.end_session(request.user, number, actor=actor_of(request)):
        raise Http404("There is no such session.")
    messages.success(request, _("That browser is logged out."))
    return redirect("usersessions_list")


@require_safe
@signed_in
def prove_elsewhere(request: HttpRequest) -> HttpResponse:
    """Is it you? For those who log in at a provider, and have neither password nor second factor."""
    providers = identity_providers.providers_of(request, request.user)
    if not providers:
        raise Http404("This person logs in nowhere else.")
    return render(request, "account/prove_elsewhere.html", {"providers": providers})


@FORM
@signed_in
@reauthenticated
def set_password(request: HttpRequest) -> HttpResponse:
    """A first password proves from then on who one is: not for whoever finds an open browser."""
    response: HttpResponse = allauth.password_set(request)
    return response


@FORM
@signed_in
@reauthenticated
def close(request: HttpRequest) -> HttpResponse:
    form = CloseForm(sent(request))
    if request.method == "POST" and form.is_valid():
        try:
            return closed(request)
        except Refused as refused:
            form.add_error(None, str(refused))
    return render(
        request, "account/close.html", {"form": form, "stores": request.user.stores.existing()}
    )


def closed(request: HttpRequest) -> HttpResponse:
    accounts.close_account(request.user, actor=actor_of(request))
    # Nobody is told that somebody logged out: there is nobody any more.
    request.session.flush()
    messages.success(request, _("Your account is closed, and what named you is erased. Farewell."))
    return redirect("account_login")
