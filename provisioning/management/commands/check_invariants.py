from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from provisioning import invariants
from provisioning.cluster import get_cluster
from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed
from provisioning.management.commands._base import StoreCommand
from stores.models import Store


class Command(StoreCommand):
    help = "Check, on rows and cluster, what must always hold (I1 to I12); name what does not."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--settled", action="store_true", help="nobody works now: work under way counts too"
        )
        parser.add_argument("--json", action="store_true", help="print the violations as JSON")

    def run_command(self, **options: Any) -> None:
        try:
            said = invariants.check(get_cluster(), settled=options["settled"])
        except (ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed) as error:
            raise CommandError(f"Nothing is known, the cluster cannot be asked: {error}") from None
        if options["json"]:
            self.print_json(said)
        for sentence in () if options["json"] else said:
            self.stdout.write(sentence)
        if said:
            raise CommandError(f"{len(said)} violations.")
        if not options["json"]:
            self.stdout.write(f"All invariants hold: {Store.objects.count()} stores.")
