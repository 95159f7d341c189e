"""For somebody who has lost app, keys and recovery codes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stores import accounts
from stores.actor import Actor
from stores.errors import Refused
from stores.models import User


class Command(BaseCommand):
    help = "Remove a person's second factor and log them out; ask who they are before."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--reason", required=True, help="Kept in the audit trail.")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"]).first()
        if user is None:
            raise CommandError(f"There is no user “{options['username']}”.")
        try:
            accounts.forget_second_factor(user, options["reason"], actor=Actor(None, "command"))
        except Refused as refused:
            raise CommandError(str(refused)) from None
        self.stdout.write("At the next login the password is enough: have them set up another one.")
