from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from provisioning.management.commands._base import COMMAND, StoreCommand, find_store
from stores import services


class Command(StoreCommand):
    help = "Give an owner's place back while the removal of the store hangs; the removal goes on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("store", help="id or address")
        parser.add_argument("--reason", required=True, help="the owner reads it in the history")

    def run_command(self, **options: Any) -> None:
        store = find_store(options["store"])
        services.release_slot(store, options["reason"], actor=COMMAND)
        used, of = store.owner.stores_used, store.owner.max_stores
        self.stdout.write(f"{store.pk} {store.status}; {store.owner} has {used} of {of} stores")
