"""Who may start next: how many stores are starting at once is a setting, and owners take turns."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from heapq import heapify, heappop, heapreplace
from itertools import islice
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F
from django.db.models.functions import Now

from provisioning.estimates import estimated_duration
from provisioning.lease import Lease
from stores import queue
from stores.actor import SYSTEM
from stores.audit import AuditHead
from stores.lifecycle import Status
from stores.models import Pause, Store


def admit(lease: Lease) -> int:
    """Let the requested store start, if it is its turn: 0, else how many are starting now."""
    store = lease.store
    with transaction.atomic():
        # Rows before the head, as in every other transaction, or two of them could wait for each
        # other; the head, so that two workers do not both take the last place.
        Store.objects.select_for_update().get(pk=store.pk)
        AuditHead.lock()
        starting = Store.objects.starting().count()
        free = settings.MAX_STORES_STARTING - starting
        if free <= 0 or store.pk not in next_in_line(free):
            return max(starting, 1)
        store.move_to(
            Status.PROVISIONING,
            actor=SYSTEM,
            fence=lease.fence,
            deadline_at=Now() + timedelta(seconds=settings.PROVISION_SECONDS),
        )
    return 0


def next_in_line(free: int) -> list[UUID]:
    """Ids of the requested stores that may start: those whose owner has fewest starting, then oldest.

    Each pick counts for its owner at once, so that a batch of one owner does not fill the free
    places while others wait.
    """
    return [store_id for store_id, _ in islice(order(), free)]


def order() -> Iterator[tuple[UUID, str]]:
    """Id and engine of the requested stores, as they would be let in one after the other."""
    busy = dict(
        Store.objects.starting().order_by().values_list("owner_id").annotate(starting=Count("pk"))
    )
    waiting = list(
        Store.objects.filter(status=Status.REQUESTED)
        .order_by("status_since", "pk")
        .values_list("pk", "owner_id", "engine")
    )
    while waiting:
        pick = min(range(len(waiting)), key=lambda i: (busy.get(waiting[i][1], 0), i))
        store_id, owner_id, engine = waiting.pop(pick)
        busy[owner_id] = busy.get(owner_id, 0) + 1
        yield store_id, engine


# --- What those who wait are told --------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """``position`` is 1 for who is next; ``wait`` is until it starts, None: no estimate yet."""

    position: int
    of: int
    wait: timedelta | None


def place_in_line(store: Store) -> Place | None:
    """None for a store that does not wait in line (any more)."""
    return places([store.pk]).get(store.pk) if store.status == Status.REQUESTED else None


def places(wanted: Collection[UUID]) -> dict[UUID, Place]:
    """Of those of these stores that wait in line; the same few queries however many."""
    if not wanted:
        return {}
    line = list(order())
    positions = {store_id: number for number, (store_id, _) in enumerate(line)}
    if not positions.keys() & wanted:
        return {}
    waits: list[timedelta | None] = [None] * len(line)
    if not Pause.current():
        waits = estimated_waits([engine for _, engine in line])
    return {
        store_id: Place(positions[store_id] + 1, len(line), waits[positions[store_id]])
        for store_id in wanted
        if store_id in positions
    }


def estimated_waits(line: list[str]) -> list[timedelta | None]:
    """Until each of the line (engines, in order) starts: whoever ends makes room for the next."""
    under_way = Store.objects.starting().annotate(since=Now() - F("status_since"))
    now = list(under_way.values_list("engine", "since"))
    takes = {engine: estimated_duration(engine) for engine in {*line, *(one for one, _ in now)}}
    if None in takes.values():
        return [None] * len(line)
    known = {engine: length for engine, length in takes.items() if length}
    places = [max(known[engine] - since, timedelta()) for engine, since in now]
    places += [timedelta()] * (settings.MAX_STORES_STARTING - len(places))
    heapify(places)
    # With a lower cap than stores under way, some must end before a place is free at all.
    for _ in range(len(places) - max(settings.MAX_STORES_STARTING, 1)):
        heappop(places)
    return [heapreplace(places, places[0] + known[engine]) for engine in line]


def ring_next() -> None:
    """A place is free: wake those who may take it."""
    free = settings.MAX_STORES_STARTING - Store.objects.starting().count()
    for store_id in next_in_line(max(free, 0)):
        queue.ring(store_id)
