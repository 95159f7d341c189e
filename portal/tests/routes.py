"""Every address of the portal, read from the URLconf itself: a new one is tested from the start."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from django.urls import URLPattern, get_resolver, reverse


def routes() -> Iterator[URLPattern]:
    """The portal's own; the admin, which Django tests, apart."""
    for pattern in get_resolver().url_patterns:
        if isinstance(pattern, URLPattern):
            yield pattern


def names_of_store_routes() -> list[str]:
    """Those that take a store's id and nothing else."""
    return [route.name for route in routes() if set(route.pattern.converters) == {"store_id"}]


def names_of_plain_routes() -> list[str]:
    return [route.name for route in routes() if not route.pattern.converters]


def address(name: str, store_id: UUID) -> str:
    """Fails for a route that takes anything but a store id: it needs a test of its own then."""
    return reverse(name, kwargs={"store_id": store_id})


def all_addresses(store_id: UUID) -> list[str]:
    plain = [reverse(name) for name in names_of_plain_routes()]
    return plain + [address(name, store_id) for name in names_of_store_routes()]
