"""Who may start next: how many stores are starting at once is a setting, and owners take turns."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, Q
from django.db.models.functions import Now

from provisioning.estimates import estimated_duration
from provisioning.lease import Lease
from stores import queue
from stores.actor import SYSTEM
from stores.audit import AuditHead
from stores.lifecycle import Status
from stores.models import Pause, Store, is_starting


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
    return [one.id for one in islice(order(crowd()), max(free, 0))]


class InCrowd(NamedTuple):
    """A store that waits in line, or is ``starting``: its status' age is ``since``."""

    id: UUID
    owner_id: int
    engine: str
    starting: bool
    since: timedelta
    paused: bool


def crowd() -> list[InCrowd]:
    """All of them, the oldest first."""
    found = Store.objects.filter(Q(status=Status.REQUESTED) | is_starting()).annotate(
        starting=~Q(status=Status.REQUESTED),
        since=Now() - F("status_since"),
        paused=Exists(Pause.objects.filter(pk=1)),
    )
    rows = found.order_by("status_since", "pk").values_list(*InCrowd._fields)
    return [InCrowd(*row) for row in rows]


def order(crowd: Iterable[InCrowd]) -> Iterator[InCrowd]:
    """Those that wait, as they would be let in one after the other."""
    busy = Counter(one.owner_id for one in crowd if one.starting)
    waiting: dict[int, deque[tuple[int, InCrowd]]] = defaultdict(deque)
    for number, one in enumerate(crowd):
        if not one.starting:
            waiting[one.owner_id].append((number, one))
    # How many the owner has starting, and since when the owner's oldest waits.
    owners = [(busy[owner], line[0][0], owner) for owner, line in waiting.items()]
    heapify(owners)
    while owners:
        starting, _, owner = heappop(owners)
        yield waiting[owner].popleft()[1]
        if line := waiting[owner]:
            heappush(owners, (starting + 1, line[0][0], owner))


# --- What those who wait are told --------------------------------------------------------


@dataclass(frozen=True)
class Place:
    """``position`` is 1 for who is next; ``wait`` is until it starts, None: no estimate yet."""

    position: int
    of: int
    wait: timedelta | None


def place_in_line(store: Store) -> Place | None:
    """None for a store that does not wait in line (any more)."""
    return places().get(store.pk)


def places() -> dict[UUID, Place]:
    """Of all stores that wait in line; the same few queries however many."""
    all_of_them = crowd()
    line = list(order(all_of_them))
    waits: list[timedelta | None] = [None] * len(line)
    if line and not line[0].paused:
        starting = [(one.engine, one.since) for one in all_of_them if one.starting]
        waits = estimated_waits([one.engine for one in line], starting)
    return {
        one.id: Place(position, len(line), wait)
        for position, (one, wait) in enumerate(zip(line, waits, strict=True), start=1)
    }


def estimated_waits(
    line: list[str], starting: list[tuple[str, timedelta]]
) -> list[timedelta | None]:
    """Until each of the line (engines, in order) starts: whoever ends makes room for the next.

    ``starting``: engine and age of those under way.
    """
    engines = {*line, *(engine for engine, _ in starting)}
    takes = {engine: estimated_duration(engine) for engine in engines}
    if None in takes.values():
        return [None] * len(line)
    known = {engine: length for engine, length in takes.items() if length}
    places = [max(known[engine] - since, timedelta()) for engine, since in starting]
    places += [timedelta()] * (settings.MAX_STORES_STARTING - len(places))
    heapify(places)
    # With a lower cap than stores under way, some must end before a place is free at all.
    for _ in range(len(places) - max(settings.MAX_STORES_STARTING, 1)):
        heappop(places)
    return [heapreplace(places, places[0] + known[engine]) for engine in line]


def ring_next() -> None:
    """A place is free: wake those who may take it."""
    free = settings.MAX_STORES_STARTING - Store.objects.starting().count()
    for store_id in next_in_line(free):
        queue.ring(store_id)
