"""What all pages tell alike, whoever asks: read with one query, and kept for a second at most.

A hundred people who poll cost no more of it than one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import caches
from django.db.models import BooleanField, ExpressionWrapper, Min, Q, QuerySet, Value
from django.db.models.fields.json import KT
from django.db.models.functions import Now

from stores.models import Heartbeat, Pause, Store

Kept = TypeVar("Kept")


def for_a_second(name: str, ask: Callable[[], Kept]) -> Kept:
    """In this process, whichever of its threads asks."""
    kept: Kept = caches["process"].get_or_set(name, ask, settings.SHARED_SECONDS)
    return kept


@dataclass
class Facts:
    """``silent``: heartbeats older than a worker's may be, by the database's clock.

    ``waiting_since``: since when a store has waited for a worker, if too long. ``outages``: what
    stores wait for (the code of a message), and since when the first of them does.
    """

    beats: dict[str, datetime] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    pause: tuple[datetime, str] | None = None
    waiting_since: datetime | None = None
    outages: dict[str, datetime] = field(default_factory=dict)

    def seen(self, *names: str) -> datetime | None:
        """When the last of them was heard from; None for never."""
        return max((self.beats[name] for name in names if name in self.beats), default=None)

    def add(self, part: str, name: str, at: datetime, silent: bool) -> None:
        if part == "beat":
            self.beats[name] = at
            self.silent |= {name} if silent else set()
        elif part == "pause":
            self.pause = (at, name)
        elif part == "outage":
            self.outages[name] = at
        else:
            self.waiting_since = at


def facts() -> Facts:
    return for_a_second("facts", read)


def read() -> Facts:
    found = Facts()
    for row in beats().union(pause(), outages(), waiting(), all=True):
        found.add(*row)
    return found


def looked_at() -> datetime | None:
    """When somebody last looked at all stores."""
    return facts().seen(Heartbeat.WATCHER, Heartbeat.SWEEP)


# --- Parts of the query: each with the same four columns -----------------------------------


def long_ago() -> Any:
    return Now() - timedelta(seconds=settings.WORKER_SILENT_SECONDS)


def beats() -> QuerySet[Any, Any]:
    silent = ExpressionWrapper(Q(at__lt=long_ago()), BooleanField())
    rows = Heartbeat.objects.annotate(silent=silent)
    return rows.values_list(Value("beat"), "name", "at", "silent")


def pause() -> QuerySet[Any, Any]:
    return Pause.objects.values_list(Value("pause"), "reason", "since", Value(False))


def outages() -> QuerySet[Any, Any]:
    # Not by exclude: SQLite knows its partial index only by these words.
    rows = Store.objects.filter(outage_since__isnull=False).order_by()
    rows = rows.values_list(Value("outage"), KT("message__code"))
    return rows.annotate(at=Min("outage_since"), silent=Value(False))


def waiting() -> QuerySet[Any, Any]:
    rows = Store.objects.unsettled().filter(status_since__lt=long_ago()).order_by()
    return rows.values_list(Value("waiting"), Value("")).annotate(
        at=Min("status_since"), silent=Value(False)
    )
