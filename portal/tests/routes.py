"""Every address of the portal, read from the URLconf itself: a new one is tested from the start."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.urls import URLPattern, get_resolver, reverse
from django.urls.resolvers import RegexPattern


@dataclass(frozen=True)
class Route:
    """``name`` with its namespace; ``path`` as it is written down, for those without a name."""

    name: str
    path: str
    takes: frozenset[str]

    @property
    def key(self) -> str:
        return self.name or self.path


def every_route() -> list[Route]:
    return list(walk(get_resolver().url_patterns))


def walk(patterns: list[Any], space: str = "", path: str = "", takes: tuple[str, ...] = ()) -> Any:
    for each in patterns:
        here = path + str(each.pattern)
        takes_here = (*takes, *each.pattern.converters)
        if isinstance(each.pattern, RegexPattern):
            takes_here += tuple(each.pattern.regex.groupindex)
        if isinstance(each, URLPattern):
            name = f"{space}{each.name}" if each.name else ""
            yield Route(name, here, frozenset(takes_here))
        else:
            inner = f"{space}{each.namespace}:" if each.namespace else space
            yield from walk(each.url_patterns, inner, here, takes_here)


def ours() -> Iterator[Route]:
    """The portal's own: neither the admin's nor those of one's account."""
    for route in every_route():
        if not re.match(r"(admin|account)/", route.path):
            yield route


def names_of_store_routes() -> list[str]:
    """Those that take a store's id and nothing else."""
    return [route.name for route in ours() if route.takes == {"store_id"}]


def names_of_plain_routes() -> list[str]:
    return [route.name for route in ours() if not route.takes]


def address(name: str, store_id: UUID) -> str:
    return reverse(name, kwargs={"store_id": store_id})


def all_addresses(store_id: UUID) -> list[str]:
    plain = [reverse(name) for name in names_of_plain_routes()]
    return plain + [address(name, store_id) for name in names_of_store_routes()]
