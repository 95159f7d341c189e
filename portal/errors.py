"""Error pages that are not Django's own: friendly, and with the reference support can search for."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from stores.errors import TooMany


def server_error(request: HttpRequest) -> HttpResponse:
    # Without the request's context: what failed may be the database that the page's head asks.
    reference = getattr(request, "request_id", "")
    return HttpResponse(render_to_string("500.html", {"reference": reference}), status=500)


def too_many(request: HttpRequest, refused: TooMany) -> HttpResponse:
    response = render(request, "429.html", {"sentence": str(refused)}, status=429)
    response["Retry-After"] = str(refused.retry_after)
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return render(request, "403_csrf.html", status=403)
