from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from provisioning.management.commands._base import StoreCommand
from stores import audit


class Command(StoreCommand):
    help = "Prove that no audit event was changed, removed or slipped in; name the first that was."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--anchor",
            action="store_true",
            help="print the newest hash too. Keep it elsewhere: who computed the whole chain anew "
            "would not find it in the new one (see --holds)",
        )
        parser.add_argument(
            "--holds", metavar="HASH", help="fail unless the chain still has this earlier hash"
        )

    def run_command(self, **options: Any) -> None:
        found = audit.verify_and_keep()
        if found.broken:
            raise CommandError(found.broken)
        if (anchor := options["holds"]) and not audit.holds(anchor):
            raise CommandError(
                f"No audit event has the hash {anchor}: the chain was computed anew after it."
            )
        self.stdout.write(f"The audit chain is whole: {found.count} events.")
        if options["anchor"]:
            self.stdout.write(audit.anchor(found))
