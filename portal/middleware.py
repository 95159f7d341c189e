"""What every request gets."""

import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.middleware.gzip import GZipMiddleware
from django.urls import reverse

from portal import errors
from portal.client_address import client_address
from stores import logbook

# How long it is until somebody should ask again.
MAINTENANCE_SECONDS = 60


def request_id(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """A reference of our own making: shown to people, kept in the audit trail."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.request_id = str(uuid.uuid4())  # type: ignore[attr-defined]
        request.client_address = client_address(request)  # type: ignore[attr-defined]
        with logbook.about(lambda: facts(request)):
            response = get_response(request)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        # No page of ours asks for any of these.
        response["Permissions-Policy"] = (
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
        )
        return response

    return middleware


def maintenance(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """While the portal is being worked on, one page for everything but the probe.

    Asked anew for every request: a file that is put there says it to all processes at once.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        reason = maintenance_reason()
        if reason is None or request.path == reverse("healthz"):
            return get_response(request)
        return errors.maintenance(request, reason, MAINTENANCE_SECONDS)

    return middleware


def maintenance_reason() -> str | None:
    """None when there is no maintenance; what the file says about it, which may be nothing."""
    try:
        return settings.MAINTENANCE_FILE.read_text().strip()
    except OSError:
        return "" if settings.MAINTENANCE else None


class Compression(GZipMiddleware):
    """Pages go compressed, but none that may hold a secret: what answers a form (the initial
    password), and those of the account (recovery codes, the key of an authenticator).

    Compression tells by a page's length what in it is alike. Forms' tokens are masked anew in each
    page, and Django pads compressed pages by a random length; yet what is not compressed tells nothing.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        if request.method != "GET" or request.path.startswith("/account/"):
            return response
        return super().process_response(request, response)


def facts(request: HttpRequest) -> logbook.Facts:
    """What the request's log lines name. Asks the database nothing: it may be what is broken."""
    # Who it is is known only if something else has asked.
    user = getattr(request, "_cached_user", None)
    match = request.resolver_match
    return {
        "request": request.request_id,  # type: ignore[attr-defined]
        "store": str(match.kwargs.get("store_id", "")) if match else "",
        "person": user.pseudonym if user and user.is_authenticated else "",
    }
