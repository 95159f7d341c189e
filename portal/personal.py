"""Everybody's own language and time zone, where they have chosen one."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation


def choices(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """After LocaleMiddleware, which goes by the browser."""

    def middleware(request: HttpRequest) -> HttpResponse:
        user = request.user
        if user.is_authenticated and user.language:
            translation.activate(user.language)
            request.LANGUAGE_CODE = translation.get_language()  # type: ignore[attr-defined]
        with timezone.override(zone_of(user.time_zone if user.is_authenticated else "")):
            return get_response(request)

    return middleware


def zone_of(name: str) -> zoneinfo.ZoneInfo | None:
    """None, the platform's, for none and for one that is not known here (any more)."""
    try:
        return zoneinfo.ZoneInfo(name) if name else None
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return None
