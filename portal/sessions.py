"""How long one stays logged in: not longer than SESSION_ABSOLUTE_SECONDS, nor SESSION_IDLE_SECONDS
after one last did something.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

# When the session began, and when the person last did something: seconds, in the session itself,
# which every page reads anyway.
BEGAN, SEEN = "began", "seen"
# What is written about activity is that old at most.
WRITE_SECONDS = 60


def limits(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            look_after(request)
        return get_response(request)

    return middleware


def look_after(request: HttpRequest) -> None:
    now, session = time.time(), request.session
    began, seen = session.get(BEGAN, now), session.get(SEEN, 0.0)
    if now - began > settings.SESSION_ABSOLUTE_SECONDS:
        end(request, _("You were logged in for long: log in again, please."))
    elif seen and now - seen > settings.SESSION_IDLE_SECONDS:
        end(request, _("You were away for a while and are logged out: log in again, please."))
    elif not seen or (is_activity(request) and now - seen >= WRITE_SECONDS):
        session[BEGAN], session[SEEN] = began, now
        note(request)


def is_activity(request: HttpRequest) -> bool:
    """An open page asks for its fragments by itself: that is nobody who does something."""
    return not (request.method == "GET" and request.headers.get("HX-Request") == "true")


def note(request: HttpRequest) -> None:
    """For the person's list of sessions."""
    UserSession.objects.filter(session_key=request.session.session_key).update(
        last_seen_at=timezone.now(),
        ip=request.client_address or None,
        user_agent=request.headers.get("User-Agent", "")[:200],
    )


def end(request: HttpRequest, why: str) -> None:
    UserSession.objects.filter(session_key=request.session.session_key).delete()
    logout(request)
    messages.info(request, why)


def begin(request: HttpRequest | None, **kwargs: Any) -> None:
    """Django has given the session a new key by now."""
    if request is not None:
        request.session[BEGAN] = request.session[SEEN] = time.time()


user_logged_in.connect(begin, dispatch_uid="portal.sessions.begin")
