from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Prefetch

from provisioning.management.commands._base import StoreCommand, all_as_json, find_user
from stores.lifecycle import Status
from stores.models import Operation, Store


class Command(StoreCommand):
    help = "List stores, newest first; deleted ones only on request."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--owner", help="only this user's")
        parser.add_argument("--status", help=", ".join(Status.values))
        parser.add_argument("--all", action="store_true", help="deleted ones too")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run_command(self, **options: Any) -> None:
        found = Store.objects.select_related("owner")
        if options["owner"]:
            found = found.filter(owner=find_user(options["owner"]))
        if options["status"]:
            if options["status"] not in Status.values:
                known = ", ".join(Status.values)
                raise CommandError(f"There is no status “{options['status']}”; one of: {known}.")
            found = found.filter(status=options["status"])
        elif not options["all"]:
            found = found.existing()
        if options["json"]:
            # The newest of each tells what is in the way; what it kept besides is large.
            operations = Operation.objects.defer("evidence", "inventory", "receipt")
            found = found.prefetch_related(Prefetch("operations", operations))
            return self.print_json(all_as_json(found))
        for store in found:
            line = f"{store.pk}  {store.status:12}  {store.owner.get_username():15}  {store.url}"
            self.stdout.write(f"{line}  {store.sentence}".rstrip())
