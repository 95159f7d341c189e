"""The doorbell. The only place (with the schedule set-up) that knows django-q."""

from uuid import UUID

from django.db import transaction
from django.db.models import F
from django_q.models import OrmQ
from django_q.tasks import async_task

CONVERGE = "provisioning.tasks.converge_store"


def ring(store_id: UUID) -> None:
    """Ask for a pass over the store. Counted on the row until a pass begins, so that one that is
    under way sees it too, and that many rings are answered by one pass.

    Inside a transaction the ring happens only if that commits: the queue is a table of the same
    database.
    """
    from stores.models import Store

    with transaction.atomic():
        Store.objects.filter(pk=store_id).update(rings=F("rings") + 1)
        ring_again(store_id)


def ring_again(store_id: UUID) -> None:
    """Deliver a ring that is counted already."""
    async_task(CONVERGE, str(store_id))


def length() -> int:
    """How many rings are waiting for a worker, or are with one."""
    return int(OrmQ.objects.count())
