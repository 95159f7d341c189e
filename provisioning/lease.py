"""Who works on a store: one holder at a time, by the database's clock, with a fence.

The fence grows with every lease. Every write of a pass asks for its own fence, so that a worker
that was paused and comes back late changes nothing any more.
"""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Greatest, Now

from provisioning.errors import LeaseLost
from stores import queue
from stores.lifecycle import Status
from stores.models import Store


@dataclass(frozen=True)
class Lease:
    """The right to work on ``store``; ``status`` is as it was when it was taken."""

    store: Store
    fence: int
    status: str

    @classmethod
    def take(cls, store_id: UUID, *, rung: bool = False) -> Lease | None:
        """None if somebody holds it, or there is nothing (left) to work on.

        It answers all rings so far at once. ``rung``: only if there is one; the queue may hold
        many tasks for one store, and only the first of them still has something to do.
        """
        owner = signature()
        taken = (
            Store.objects.filter(Q(lease_until=None) | Q(lease_until__lt=Now()), pk=store_id)
            .filter(rings__gte=1 if rung else 0)
            .exclude(status=Status.DELETED)
            .update(
                lease_owner=owner,
                lease_until=Now() + timedelta(seconds=settings.LEASE_SECONDS),
                fence=F("fence") + 1,
                attempts=F("attempts") + 1,
                rings=0,
                # Whoever held it last has died then: since then it has been waiting for somebody,
                # which is not to count against its deadline (patience.start_the_clock).
                due_at=Coalesce(F("lease_until"), F("due_at")),
            )
        )
        if not taken:
            return None
        store = Store.objects.select_related("owner").filter(pk=store_id, lease_owner=owner).first()
        return cls(store, store.fence, store.status) if store else None

    @property
    def row(self) -> QuerySet[Store]:
        """The store's row, as long as the lease is ours."""
        return Store.objects.filter(pk=self.store.pk, fence=self.fence, lease_until__isnull=False)

    def renew(self) -> None:
        """Hold it for another while. Raises LeaseLost, also if the store was meant otherwise since."""
        kept = self.row.filter(status=self.store.status).update(
            lease_until=Now() + timedelta(seconds=settings.LEASE_SECONDS)
        )
        if not kept:
            raise LeaseLost(f"{self.store.pk} is no longer ours or no longer {self.store.status}")

    def touch(self, **changes: Any) -> None:
        """Change fields of the row. Raises LeaseLost."""
        if not self.row.update(**changes):
            raise LeaseLost(f"{self.store.pk} is no longer ours")

    def write(self, **changes: Any) -> None:
        """Change fields of the row and of ``store``, to plain values. Raises LeaseLost."""
        self.touch(**changes)
        for name, value in changes.items():
            setattr(self.store, name, value)

    def release(
        self, *, orderly: bool, ring: bool = False, ring_in: float = 0.0, **changes: Any
    ) -> None:
        """Give it back, and deliver the rings that came meanwhile.

        An ``orderly`` end gives its attempt back too: what stays counted are deaths and failures.
        ``ring``: have another pass begin, in so many seconds.
        """
        if orderly:
            # Whoever asked for something new has set the count to 0 meanwhile.
            changes["attempts"] = Greatest(F("attempts"), 1) - 1
        if not self.row.update(lease_owner="", lease_until=None, **changes):
            return  # somebody else's by now, and theirs to ring
        if ring:
            queue.ring(self.store.pk, ring_in)
        elif Store.objects.filter(pk=self.store.pk, rings__gte=1).exists():
            queue.ring_again(self.store.pk)


# --- Whose it is -------------------------------------------------------------------------


def signature() -> str:
    """A new name for a holder: machine, process, the queue it belongs to, and a part of its own.

    The queue's name is new at every start: another process that gets the same number later, here or
    in another container, is not mistaken for this one.
    """
    machine, group = socket.gethostname()[:24], settings.WORKER_GROUP or "alone"
    return f"{machine}/{os.getpid()}/{group}/{uuid.uuid4().hex[:12]}"


def held_by(group: str, pid: int | None = None) -> QuerySet[Store]:
    """The stores on which a queue's processes (or one of them) have a lease, if run out already."""
    owner = f"/{group}/" if pid is None else f"/{pid}/{group}/"
    return Store.objects.filter(lease_owner__contains=owner, lease_until__isnull=False)


def holders(group: str) -> set[int]:
    """Which of a queue's processes hold a lease that has not run out."""
    owners = held_by(group).filter(lease_until__gt=Now()).values_list("lease_owner", flat=True)
    return {int(owner.split("/")[1]) for owner in owners}


def hand_back(group: str, pid: int | None = None) -> None:
    """Free what is held by processes that are certainly dead, and their Helm with them.

    Their attempt stays counted, as for every death.
    """
    for store_id, owner in held_by(group, pid).values_list("pk", "lease_owner"):
        with transaction.atomic():
            held = Store.objects.filter(pk=store_id, lease_owner=owner)
            if held.update(lease_owner="", lease_until=None, due_at=Now()):
                queue.ring(store_id)
