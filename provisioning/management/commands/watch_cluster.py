"""The doorbell at the cluster's side, and a clock that does not depend on the queue's."""

from __future__ import annotations

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioning.cluster import get_cluster
from provisioning.errors import ClusterMisconfigured
from provisioning.watcher import Watcher


class Command(BaseCommand):
    help = (
        "Watch the cluster, write down how stores are, and wake the workers when they are needed."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            cluster = get_cluster()
        except ClusterMisconfigured as error:
            raise CommandError(str(error)) from None
        over = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: over.set())
        self.stdout.write(f"Watching {cluster.name}.")
        self.stdout.flush()
        Watcher(cluster).run(over)
