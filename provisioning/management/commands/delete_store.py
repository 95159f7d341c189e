from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from provisioning.management.commands._base import COMMAND, StoreCommand, find_store
from provisioning.management.commands.create_store import wait_until_settled
from stores import services


class Command(StoreCommand):
    help = "Close a store, and delete it with everything in it when the grace period is over."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("store", help="id or address")
        parser.add_argument("--now", action="store_true", help="without the grace period")
        parser.add_argument("--wait", action="store_true", help="until nothing is left")
        parser.add_argument("--timeout", type=float, default=900, help="seconds to wait at most")

    def run_command(self, **options: Any) -> None:
        store = find_store(options["store"])
        services.delete_store(store, actor=COMMAND, now=options["now"])
        store.refresh_from_db()
        if options["wait"]:
            wait_until_settled(store, options["timeout"])
        self.stdout.write(f"{store.pk} {store.status}")
