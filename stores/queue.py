"""The doorbell. The only place (with the schedule set-up) that knows django-q."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now
from django.dispatch import receiver
from django_q.brokers.orm import ORM
from django_q.models import OrmQ, Task
from django_q.signals import pre_enqueue
from django_q.tasks import async_task

TASKS = "provisioning.tasks."
CONVERGE = TASKS + "converge_store"
HEARTBEAT = TASKS + "heartbeat"
ANSWER = TASKS + "answer_inquiry"
SEND_LETTERS = TASKS + "send_letters"
KEPT = timedelta(days=7)


# --- Rings -------------------------------------------------------------------------------


def ring(store_id: UUID, seconds: float = 0.0) -> None:
    """Ask for a pass over the store. Counted on the row until a pass begins, so that one that is
    under way sees it too, and that many rings are answered by one pass.

    Inside a transaction the ring happens only if that commits: the queue is a table of the same
    database.
    """
    from stores.models import Store

    with transaction.atomic():
        Store.objects.filter(pk=store_id).update(rings=F("rings") + 1)
        ring_again(store_id, seconds)


def ring_again(store_id: UUID, seconds: float = 0.0) -> None:
    """Deliver a ring that is counted already, to be heard in so many seconds."""
    async_task(CONVERGE, str(store_id), q_options={"broker": Doorbell(delay=seconds)})


def ring_unanswered() -> None:
    """Deliver what is counted and nobody works on: the queue may have lost it with its processes."""
    from stores.models import Store

    waiting = Store.objects.existing().filter(rings__gte=1, lease_until=None)
    for store_id in waiting.values_list("pk", flat=True):
        ring_again(store_id)


def ring_inquiry(inquiry_id: UUID) -> None:
    """Somebody at a page waits for an answer from the cluster. Not counted: the watcher looks for
    these by itself, since all workers may have their hands full.
    """
    async_task(ANSWER, str(inquiry_id))


def ring_for_letters() -> None:
    """Have a worker send what was written to people."""
    async_task(SEND_LETTERS)


def length() -> int:
    """How many rings are waiting for a worker, or are with one."""
    return int(OrmQ.objects.count())


# --- Heartbeats --------------------------------------------------------------------------


def send_heartbeat(group: str) -> None:
    """Through everything a ring goes through, but heard by this group's processes only."""
    async_task(HEARTBEAT, q_options={"cluster": group})


def heartbeat_is_out(group: str) -> bool:
    """Whether one that was sent is not done yet, or done and not acknowledged."""
    return bool(OrmQ.objects.filter(key=group).exists())


def forget_heartbeats(group: str) -> None:
    OrmQ.objects.filter(key=group).delete()


def prune() -> None:
    """Throw away what nobody reads any more: old failures, and what groups that died left."""
    Task.objects.filter(stopped__lt=Now() - KEPT).only("pk").delete()
    shared = settings.Q_CLUSTER["name"]
    OrmQ.objects.exclude(key=shared).filter(lock__lt=Now() - timedelta(days=1)).delete()


# --- The queue itself --------------------------------------------------------------------


class Doorbell(ORM):  # type: ignore[misc]
    """The queue's table by the database's clock, oldest first; what is for us alone, before all.

    ``delay``: seconds until somebody may take what is put in.
    """

    # Of one that another process got, too: a broker is sent without what is not the base class's.
    delay = timedelta(0)

    def __init__(self, list_key: str | None = None, delay: float = 0.0) -> None:
        super().__init__(list_key)
        self.delay = timedelta(seconds=delay)

    def enqueue(self, task: str) -> int:
        # A sum has other digits than the clock itself on SQLite, which compares them as text.
        due = Now() + self.delay if self.delay else Now()
        row = self.get_connection().create(key=self.list_key, payload=task, lock=due)
        return int(row.pk)

    def dequeue(self) -> list[tuple[int, str]] | None:
        own = settings.WORKER_GROUP
        waiting = self.get_connection().filter(key__in=(own, self.list_key), lock__lte=Now())
        ours_first = Case(When(key=own, then=Value(0)), default=Value(1))
        task = waiting.order_by(ours_first, "pk").first()
        if task is None:
            time.sleep(settings.Q_CLUSTER["poll"])
            return None
        until = Now() + timedelta(seconds=settings.Q_CLUSTER["retry"])
        claimed = waiting.filter(pk=task.pk).update(lock=until)
        # Else somebody else was faster.
        return [(task.pk, task.payload)] if claimed else None


@receiver(pre_enqueue)
def refuse_what_is_not_ours(sender: Any, task: dict[str, Any], **kwargs: Any) -> None:
    """The queue runs any function it is named, on anything that can be pickled: here it does not.

    A row of its schedules, for one, may name whatever somebody wrote there.
    """
    arguments = [*task["args"], *task["kwargs"].values()]
    if not str(task["func"]).startswith(TASKS) or task.get("hook") or task.get("chain"):
        raise ValueError(f"{task['func']!r} is no task of Storeyard's")
    if not all(isinstance(argument, str | int) for argument in arguments):
        raise ValueError(f"{task['func']} is called with something else than ids: {arguments!r}")
