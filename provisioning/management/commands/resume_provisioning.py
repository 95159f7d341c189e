from __future__ import annotations

from typing import Any

from provisioning.management.commands._base import COMMAND, StoreCommand
from stores import services


class Command(StoreCommand):
    help = "Go on after pause_provisioning, and wake every store that waited."

    def run_command(self, **options: Any) -> None:
        services.resume_provisioning(actor=COMMAND)
        self.stdout.write("Resumed.")
