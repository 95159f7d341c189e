"""Every page there is, made from the URLconf: a new route is looked at from the start.

A route that takes anything for which there is no example yet fails test_every_page.py, until it
gets one here or is named among those that are no pages.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

# Not pages, whatever they answer: files for machines, and what leads elsewhere at once.
NO_PAGES = {
    *("healthz", "admin:jsi18n", "admin:autocomplete", "admin:view_on_site"),
    *("openid_connect_login", "openid_connect_callback", "mfa_login_webauthn"),
}
# Parts of one page that change with what is asked, beside what the URLconf can tell.
QUERIES = {
    "store-list": [
        "?q=herbs",
        "?q=nothing-like-it",
        "?status=failed",
        "?status=deleted",
        "?sort=name",
    ],
    "address-check": ["?address=free-one", "?address=www", "?address=A", "?name=Anna"],
}
# These look different for every store; the others are looked at for some.
EVERY_STORE = {"store-detail", "store-status"}
SOME_STORES = ("healthy", "diagnosed", "deleted")
OWNERS, STAFF = ("alice", "bob", "dora", "emil", "flora", "gustav"), ("carol", "ruth")
ABSENT = "00000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Visit:
    """``who``: a name in situations.PEOPLE, or empty for somebody who is not logged in."""

    who: str
    path: str

    def __str__(self) -> str:
        return f"{self.path} as {self.who or 'nobody'}"


@dataclass(frozen=True)
class Route:
    name: str
    takes: tuple[str, ...]


def routes() -> list[Route]:
    return [route for route in walk(get_resolver()) if route.name not in NO_PAGES]


def walk(resolver: URLResolver, space: str = "", taken: tuple[str, ...] = ()) -> Iterator[Route]:
    for pattern in resolver.url_patterns:
        takes = taken + tuple(pattern.pattern.regex.groupindex)
        if isinstance(pattern, URLResolver):
            inner = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from walk(pattern, inner, takes)
        elif isinstance(pattern, URLPattern) and pattern.name:
            yield Route(space + pattern.name, takes)


def examples(route: Route, situation: dict[str, Any]) -> list[dict[str, str]]:
    """What its places in the address are filled with; nothing where no example is known."""
    stores = situation["stores"]
    names = stores if route.name in EVERY_STORE else SOME_STORES
    known = {"store_id": [stores[name] for name in names], "app_label": ["stores"]}
    if route.name.startswith("admin:"):
        model = route.name.removeprefix("admin:").rpartition("_")[0]
        # Where there is none, the admin says so.
        known["object_id"] = known["id"] = [situation["rows"].get(model, "1")]
    known |= {place: [key] for place, key in situation["tickets"].items()}
    known |= situation["examples"].get(route.name, {})
    if any(place not in known for place in route.takes):
        return []
    choices = itertools.product(*(known[place] for place in route.takes))
    return [dict(zip(route.takes, choice, strict=True)) for choice in choices]


def without_example(situation: dict[str, Any]) -> list[str]:
    return [route.name for route in routes() if not addresses(route, situation)]


def addresses(route: Route, situation: dict[str, Any]) -> list[str]:
    found = []
    for arguments in examples(route, situation):
        try:
            found.append(reverse(route.name, kwargs=arguments))
        except NoReverseMatch:
            found.append(reverse(route.name, args=list(arguments.values())))
    return found


def visits(situation: dict[str, Any]) -> list[Visit]:
    """Alice sees everything of her stores; the others what looks different for them."""
    found = [Visit("alice", "/nowhere/"), Visit("", "/nowhere/")]
    shared = situation["stores"]["healthy"]
    for route in routes():
        for path in addresses(route, situation):
            if route.name.startswith("admin:"):
                found += [Visit(who, path) for who in STAFF]
            elif not route.takes:
                found += [Visit(who, path) for who in ("", "alice")]
                queries = QUERIES.get(route.name, [])
                found += [Visit("alice", path + query) for query in queries]
            else:
                found.append(Visit("alice", path))
                if shared in path:
                    found += [Visit(who, path) for who in ("dora", "emil", "carol")]
    found += [
        Visit(who, reverse(name)) for who in OWNERS[1:] for name in ("store-list", "store-create")
    ]
    found.append(Visit("bob", reverse("store-detail", args=[ABSENT])))
    return found
