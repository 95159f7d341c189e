from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from provisioning import tasks
from provisioning.errors import ClusterMisconfigured
from provisioning.management.commands._base import StoreCommand, all_as_json
from stores.models import Store


class Command(StoreCommand):
    help = "Ask for a pass over every store that is due: what the clock does, by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say which stores are due")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run_command(self, **options: Any) -> None:
        due = list(Store.objects.due().select_related("owner"))
        if not options["dry_run"]:
            try:
                rung = tasks.reconcile()
            except ClusterMisconfigured as error:
                raise CommandError(str(error)) from None
            due = [store for store in due if store.pk in rung]
        if options["json"]:
            return self.print_json(all_as_json(due))
        for store in due:
            self.stdout.write(
                f"{store.pk}  {store.status:12}  {store.url}  {store.sentence}".rstrip()
            )
        verb = "due" if options["dry_run"] else "rung"
        self.stdout.write(f"{len(due)} stores {verb}.")
