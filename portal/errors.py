"""Error pages: each says what to do next, and carries the reference that support can search for."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from stores.errors import TooMany


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
    return render(request, "403_csrf.html", status=403)
