"""Invite somebody to make an account, where not everybody may (SIGNUP=invitation)."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from stores import accounts
from stores.actor import Actor
from stores.errors import Refused


class Command(BaseCommand):
    help = "Send a letter with which its reader can make an account within seven days."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIGNUP == "closed":
            raise CommandError("Nobody can sign up: SIGNUP is “closed”. Set it to “invitation”.")
        try:
            accounts.invite(options["email"], actor=Actor(None, "command"))
        except Refused as refused:
            raise CommandError(str(refused)) from None
        self.stdout.write("The letter goes out with the next ones.")
