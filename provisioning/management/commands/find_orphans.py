from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from provisioning import orphans
from provisioning.cluster import get_cluster
from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed
from provisioning.management.commands._base import StoreCommand


class Command(StoreCommand):
    help = "List namespaces without a row, rows without a namespace, and disks without a claim."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run_command(self, **options: Any) -> None:
        try:
            found = orphans.find(get_cluster())
        except (ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed) as error:
            raise CommandError(f"The cluster cannot be asked: {error}") from None
        if options["json"]:
            return self.print_json([orphan.as_json() for orphan in found])
        for orphan in found:
            self.stdout.write(f"{orphan.kind:9}  {orphan.name}  {orphan.why}")
        self.stdout.write(f"{len(found)} orphans.")
