"""The doorbell at the cluster's side, and a clock that does not depend on the queue's."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connection

from provisioning import tasks
from provisioning.cluster import get_cluster
from provisioning.cluster.base import Change
from provisioning.errors import ClusterMisconfigured
from stores import queue
from stores.models import Store

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Watch the cluster and wake the workers when something of a store changes."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            cluster = get_cluster()
        except ClusterMisconfigured as error:
            raise CommandError(str(error)) from None
        over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        clock = threading.Thread(target=tick, args=(over,), name="clock")
        clock.start()
        self.stdout.write(f"Watching {cluster.name}.")
        self.stdout.flush()
        try:
            for change in cluster.watch(over.is_set):
                if change.turned:
                    pass_on(change)
        finally:
            over.set()
            clock.join(timeout=5)


def pass_on(change: Change) -> None:
    """Ring the store if somebody still has to work on it; after an interruption, all of those."""
    try:
        unsettled = Store.objects.unsettled()
        if change.store_id:
            unsettled = unsettled.filter(pk=UUID(change.store_id))
        for store_id in list(unsettled.values_list("pk", flat=True)):
            queue.ring(store_id)
    except (ValueError, ValidationError):
        log.warning("ignored a change of something with the store label %r", change.store_id)
    except DatabaseError:
        # The clock rings again; the watch must not end over it. A connection that broke stays
        # broken until it is closed.
        log.exception("could not ring for %s", change)
        connection.close()


def tick(over: threading.Event) -> None:
    while not over.wait(settings.TICK_SECONDS):
        try:
            tasks.reconcile()
        except Exception:
            log.exception("reconcile failed; tried again at the next tick")
            connection.close()
    connection.close()
