from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from provisioning.management.commands._base import COMMAND, StoreCommand, find_store
from stores import services


class Command(StoreCommand):
    help = "Have a store back that is being closed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("store", help="id or address")

    def run_command(self, **options: Any) -> None:
        store = find_store(options["store"])
        services.undo_delete(store, actor=COMMAND)
        self.stdout.write(f"{store.pk} {store.status}")
