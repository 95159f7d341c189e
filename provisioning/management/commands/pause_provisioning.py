from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from provisioning.management.commands._base import COMMAND, StoreCommand
from stores import services


class Command(StoreCommand):
    help = "Set up and change no store until resume_provisioning. Nothing fails, deletions go on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="owners read it on their pages")

    def run_command(self, **options: Any) -> None:
        pause = services.pause_provisioning(options["reason"], actor=COMMAND)
        self.stdout.write(f"Paused: {pause.reason}")
