"""The worker, started only where it can work."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from provisioning.cluster.helm import Helm
from provisioning.errors import ClusterMisconfigured
from provisioning.worker import Supervisor


class Command(BaseCommand):
    help = "Work on stores: checks Helm, then runs the queue and keeps it working."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.CLUSTER == "kubernetes":
            try:
                # Not the whole cluster: its client must be made after the fork.
                Helm(settings.HELM, settings.KUBECONFIG, settings.HELM_SECONDS).check_version()
            except ClusterMisconfigured as error:
                raise CommandError(str(error)) from None
        Supervisor().run()
