"""Who asks for what is not theirs is written down: a stranger's store, a right they lack, the admin.

At a bounded rate, because anybody with an account can ask as often as they like. Told by the answer,
so that no view can forget it; a store that does not exist is written down like one that does, or
the time an answer takes would tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.urls import ResolverMatch

from portal.access import actor_of
from stores.audit import AuditEvent
from stores.models import Store

DENIED = "access.denied"
HOUR = 3600


def watch(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if is_denied(request, response):
            write_down(request, response.status_code)
        return response

    return middleware


def is_denied(request: HttpRequest, response: HttpResponse) -> bool:
    match = request.resolver_match
    if match is None or response.status_code not in (302, 403, 404):
        return False
    if not request.user.is_authenticated:
        return False
    if match.namespace == "admin":
        # Whoever is not of the team is led to the login, or told no.
        return response.status_code == 403 or not request.user.is_staff
    if response.status_code == 403:
        # A form whose token is out of date is nobody's attempt at anything.
        return not getattr(request, "form_was_stale", False)
    return response.status_code == 404 and is_foreign(request, match)


def is_foreign(request: HttpRequest, match: ResolverMatch) -> bool:
    """Not something that is missing in a store of theirs."""
    store_id = match.kwargs.get("store_id")
    return bool(store_id) and Store.objects.find(store_id, request.user) is None


def write_down(request: HttpRequest, status: int) -> None:
    match = request.resolver_match
    if match is None or not is_allowed_by_rate(request.user.pk):
        return
    details: dict[str, Any] = {"route": match.view_name, "method": request.method, "status": status}
    # Not as the event's store: who was turned away is no part of the history that its owner reads.
    if store_id := match.kwargs.get("store_id"):
        details["store"] = str(store_id)
    actor = actor_of(request, "admin" if match.namespace == "admin" else "portal")
    AuditEvent.record(DENIED, actor=actor, details=details)


def is_allowed_by_rate(person: int) -> bool:
    key = f"denied-{person}"
    # Two at the same moment may count as one: a bound, not a number.
    done = cache.get(key, 0)
    if done >= settings.DENIALS_PER_HOUR:
        return False
    cache.set(key, done + 1, HOUR)
    return True
