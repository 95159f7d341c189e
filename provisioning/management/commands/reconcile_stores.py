from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from provisioning import sweep, tasks
from provisioning.cluster import get_cluster
from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed
from provisioning.management.commands._base import StoreCommand, all_as_json
from provisioning.picture import Picture
from stores.messages import Message
from stores.models import Store

Findings = dict[Any, list[Message]]


class Command(StoreCommand):
    help = (
        "Ask for a pass over every store that is due, and look for what has drifted if it is time: "
        "what the clock does, by hand."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true",
            help="only say which stores are due, and what of the ready ones would be repaired",
        )  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run_command(self, **options: Any) -> None:
        stores = list(Store.objects.due().select_related("owner"))
        findings: Findings = {}
        due = len(stores)
        try:
            if options["dry_run"]:
                drifted = sweep.find_drift(Picture.of(get_cluster().survey()))
                findings = {store.pk: found for store, found in drifted}
                stores += [store for store, _ in drifted if store not in stores]
            else:
                rung = tasks.reconcile()
                stores = [store for store in stores if store.pk in rung]
                due = len(stores)
        except (ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed) as error:
            raise CommandError(f"The cluster could not be looked at: {error}") from None
        if options["json"]:
            return self.print_json(
                [
                    {**row, "findings": [str(one) for one in findings.get(store.pk, [])]}
                    for row, store in zip(all_as_json(stores), stores, strict=True)
                ]
            )
        self.print_table(stores, findings)
        what = f"due, {len(findings)} to repair" if options["dry_run"] else "rung"
        self.stdout.write(f"{due} stores {what}.")

    def print_table(self, stores: list[Store], findings: Findings) -> None:
        for store in stores:
            said = " ".join(str(one) for one in findings.get(store.pk, [])) or store.sentence
            self.stdout.write(f"{store.pk}  {store.status:12}  {store.url}  {said}".rstrip())
