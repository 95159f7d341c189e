"""What an open list is sent when something changed: the rows that did, and no others.

The page says what it shows: which stores, in which order, and for each a few letters that change with
anything its row shows. A list that no longer holds the same stores is sent whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from portal.templatetags.storeyard import note
from portal.versions import version
from stores.health import told
from stores.models import Store

LETTERS = 6


def mark(store: Store, known: dict[str, Any]) -> str:
    """Changes with anything that the row of this store shows."""
    health = told(store, known["looked_at"])
    shown = health and (health.health, health.since)
    said = note(store, known["waiting"])
    return version(store.revision, shown, said, store.share_role)[:LETTERS]  # type: ignore[attr-defined]


def held(page: Any) -> str:
    """Changes with the stores on the page, their order, and how many there are on all pages."""
    return version([store.pk for store in page], page.paginator.count)[:LETTERS]


def shown(known: dict[str, Any]) -> str:
    """Of all there is on the page, for its address."""
    return held(known["page"]) + "".join(mark(store, known) for store in known["page"])


def changed(known: dict[str, Any], before: str) -> list[Store] | None:
    """The stores whose rows are no longer as ``before`` says; None if the page holds others."""
    now = shown(known)
    if len(before) != len(now) or before[:LETTERS] != now[:LETTERS]:
        return None
    marks = zip(pieces(before), pieces(now), strict=True)
    differ = [old != new for old, new in marks][1:]
    return [store for store, differs in zip(known["page"], differ, strict=True) if differs]


def pieces(text: str) -> Iterable[str]:
    return (text[at : at + LETTERS] for at in range(0, len(text), LETTERS))
