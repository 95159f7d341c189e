"""Error pages: each says what to do next, and carries the reference that support can search for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import ngettext

from stores.errors import TooMany

# Over which allauth counts, where it does not say otherwise.
LIMIT_SECONDS = 60


def bare(request: HttpRequest, status: int, **context: Any) -> HttpResponse:
    """Without the request's context: what failed may be the database that a page's head asks."""
    known = {
        "reference": getattr(request, "request_id", ""),
        "support_email": settings.SUPPORT_EMAIL,
    }
    return HttpResponse(render_to_string(f"{status}.html", {**known, **context}), status=status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return bare(request, 400)


def server_error(request: HttpRequest) -> HttpResponse:
    return bare(request, 500)


def maintenance(request: HttpRequest, reason: str, seconds: int) -> HttpResponse:
    response = bare(request, 503, reason=reason)
    response["Retry-After"] = str(seconds)
    response["Cache-Control"] = "no-store"
    if request.method in ("GET", "HEAD"):
        # Without any script: the browser asks again by itself.
        response["Refresh"] = str(seconds)
    return response


def too_many(request: HttpRequest, refused: TooMany) -> HttpResponse:
    response = render(request, "429.html", {"sentence": str(refused)}, status=429)
    response["Retry-After"] = str(refused.retry_after)
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    request.form_was_stale = True  # type: ignore[attr-defined]
    return render(request, "403_csrf.html", status=403)


def too_many_requests(request: HttpRequest, wait: int = LIMIT_SECONDS) -> HttpResponse:
    """What allauth's limits answer: ``wait`` seconds later it may be tried again."""
    minutes = -(-wait // 60)
    again = ngettext(
        "That was tried too often. Nothing is locked for good: wait %(minutes)d minute, "
        "then try again.",
        "That was tried too often. Nothing is locked for good: wait %(minutes)d minutes, "
        "then try again.",
        minutes,
    )
    return too_many(request, TooMany(again % {"minutes": minutes}, retry_after=wait))
