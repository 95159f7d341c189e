"""Who may see a page, and as whom they act."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import get_authentication_records
from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.cache import add_never_cache_headers
from django_htmx.http import HttpResponseClientRedirect

from portal import errors
from stores import consent
from stores.actor import Actor
from stores.errors import NotAllowed, TooMany
from stores.models import Store
from stores.permissions import Right, may, refusal

View = Callable[..., HttpResponse]


def signed_in(view: View) -> View:
    """Everybody else goes to the login page, and from there back to where they were.

    Who does something too often is told when it is possible again (429).
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            try:
                response = view(request, *args, **kwargs)
            except TooMany as refused:
                response = errors.too_many(request, refused)
            except NotAllowed as refused:
                raise PermissionDenied(str(refused)) from refused
            # Nobody keeps a copy: not for the next person at this browser, and a form that was
            # sent must not come back to be sent again.
            add_never_cache_headers(response)
            return response
        if request.htmx:
            # The whole page goes there: a login page swapped into a fragment would be a trap.
            page = request.htmx.current_url_abs_path or reverse("store-list")
            return HttpResponseClientRedirect(redirect_to_login(page).url)
        return redirect_to_login(way_back(request, kwargs.get("store_id")))

    return wrapper


def reauthenticated(view: View) -> View:
    """Below ``signed_in``: whoever has not proved within REAUTHENTICATION_SECONDS who they are, by
    password, second factor or a new login elsewhere, is asked to, and then brought back to the page.

    Nothing of a form that was sent is kept meanwhile: it has to be sent again.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if proved_lately(request):
            return view(request, *args, **kwargs)
        page = way_back(request, kwargs.get("store_id"))
        if request.htmx:
            return HttpResponseClientRedirect(proof_of_identity(request, page))
        return redirect(proof_of_identity(request, page))

    return wrapper


def proved_lately(request: HttpRequest) -> bool:
    """Whether they have shown within REAUTHENTICATION_SECONDS who they are.

    Logging in is that, too: allauth alone would ask for the password twice within a minute. Having
    nothing to show here is not: allauth would believe whoever has neither password nor second factor.
    """
    records = get_authentication_records(request, request.user)
    limit = settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return bool(records) and time.time() - records[-1]["at"] < limit


def proof_of_identity(request: HttpRequest, page: str) -> str:
    """The address that asks who one is, and then leads to ``page``.

    Who can show it nowhere logs out, and finds a way in again.
    """
    methods = get_adapter(request).get_reauthentication_methods(request.user)
    way = methods[0]["url"] if methods else reverse("account_logout")
    return f"{way}?{urlencode({REDIRECT_FIELD_NAME: page})}"


def way_back(request: HttpRequest, store_id: UUID | None) -> str:
    """Where to go after the login: never to an address that only takes a POST."""
    if request.method == "POST" and store_id:
        return reverse("store-detail", args=[store_id])
    return request.get_full_path()


def store_for(request: HttpRequest, store_id: UUID, right: Right = Right.SEE) -> Store:
    """The store, for somebody who may do that with it.

    To whom it is nothing, it is as unknown as none at all (404). Who may see it, but not do this,
    is told so (403). That support looks into it is written down, which is all that a GET may change.
    """
    store = Store.objects.find(store_id, request.user)
    if store is None:
        raise Http404("There is no such store.")
    if not may(store.standing, right):
        raise PermissionDenied(str(refusal(store.standing, right)))
    consent.enter(store, actor=actor_of(request))
    return store


def actor_of(request: HttpRequest, via: str = "portal") -> Actor:
    return Actor(
        request.user,
        via,
        address=request.client_address,
        request_id=request.request_id,
    )
