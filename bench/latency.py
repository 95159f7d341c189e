"""How soon the platform notices, on an idle system: milliseconds, one after the other."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from uuid import UUID

from django.conf import settings

from bench.errors import BenchError
from bench.observer import Observer
from bench.portal import Portal
from stores import queue
from stores.lifecycle import Status
from stores.models import Store

# Between two samples, so that they do not fall into step with the queue's looks.
PAUSE_SECONDS = (0.1, 0.4)
LOOK_SECONDS = 0.002


def ready_to_row(portal: Portal, observer: Observer, count: int) -> list[float]:
    """From the last workload's readiness, as a watch sees it, to READY in the row."""
    found = []
    for _ in range(count):
        [store_id] = portal.create(1)
        portal.wait_ready([store_id])
        in_row = Store.objects.values_list("status_since", flat=True).get(pk=store_id)
        found.append((in_row.timestamp() - observer.last_ready(str(store_id))) * 1000)
        portal.wait_idle()
        pause()
    return found


def ring_to_pass(portal: Portal, count: int) -> tuple[list[float], list[float]]:
    """From the commit of a ring to the lease, and from there to its end, of READY stores."""
    ids = list(Store.objects.filter(status=Status.READY).values_list("pk", flat=True))
    starts: list[float] = []
    lengths: list[float] = []
    for number in range(count):
        store_id = ids[number % len(ids)]
        fence = Store.objects.values_list("fence", flat=True).get(pk=store_id)
        queue.ring(store_id)
        rung = time.time()
        begun, ended = follow_pass(store_id, fence + 1, portal.ground.options.seconds)
        starts.append((begun - rung) * 1000)
        lengths.append((ended - begun) * 1000)
        portal.wait_idle()
        pause()
    return starts, lengths


def follow_pass(store_id: UUID, fence: int, seconds: float) -> tuple[float, float]:
    """When the pass with this fence took its lease and when it gave it back."""
    row = Store.objects.filter(pk=store_id).values_list("fence", "lease_until")
    deadline = time.monotonic() + seconds
    begun = math.inf
    while time.monotonic() < deadline:
        now = time.time()
        seen, until = row.get()
        if seen >= fence:
            begun = min(begun, now)
            if until is None:
                return begun, now
            # The lease runs from the moment it was taken, and says so to the millisecond.
            begun = min(begun, until.timestamp() - settings.LEASE_SECONDS)
        time.sleep(LOOK_SECONDS)
    raise BenchError(f"No pass within {seconds:.0f} s of a ring.")


def pause() -> None:
    time.sleep(random.uniform(*PAUSE_SECONDS))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many per cent do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]
