"""Who may start next: how many stores are starting at once is a setting, and owners take turns."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Q
from django.db.models.functions import Now

from provisioning.lease import Lease
from stores import queue
from stores.actor import SYSTEM
from stores.audit import AuditHead
from stores.lifecycle import STARTING, Status
from stores.models import Store, User


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
    busy = dict(
        User.objects.filter(stores__status__in=STARTING)
        .annotate(starting=Count("stores", filter=Q(stores__status__in=STARTING)))
        .values_list("pk", "starting")
    )
    waiting = list(
        Store.objects.filter(status=Status.REQUESTED)
        .order_by("status_since", "pk")
        .values_list("pk", "owner_id")
    )
    chosen: list[UUID] = []
    while waiting and len(chosen) < free:
        pick = min(range(len(waiting)), key=lambda i: (busy.get(waiting[i][1], 0), i))
        store_id, owner_id = waiting.pop(pick)
        busy[owner_id] = busy.get(owner_id, 0) + 1
        chosen.append(store_id)
    return chosen


def ring_next() -> None:
    """A place is free: wake those who may take it."""
    free = settings.MAX_STORES_STARTING - Store.objects.starting().count()
    for store_id in next_in_line(max(free, 0)):
        queue.ring(store_id)
