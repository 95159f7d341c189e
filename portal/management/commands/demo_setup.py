"""The demo's database and its two people; their passwords are made once and kept beside the data."""

from __future__ import annotations

import io
import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from stores.apps import SUPPORT
from stores.models import User

PEOPLE: dict[str, dict[str, Any]] = {
    "demo": {"email": "demo@example.com"},
    # The support team looks after the stores of others.
    "staff": {
        "email": "staff@example.com",
        "is_staff": True,
        "max_stores": 0,
    },
}


class Command(BaseCommand):
    help = "Set up the demo and print its logins as JSON. Repeating it is harmless."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION:
            raise CommandError("A demo is not set up in production: PRODUCTION is set.")
        call_command("migrate", verbosity=0)
        call_command("setup_schedules", stdout=io.StringIO())
        passwords = kept_passwords(settings.RUN_DIR / "logins.json")
        for name, fields in PEOPLE.items():
            user = User.objects.filter(username=name).first() or User(username=name, **fields)
            if not user.check_password(passwords[name]):
                user.set_password(passwords[name])
                user.save()
            if user.is_staff:
                user.groups.add(Group.objects.get(name=SUPPORT))
        self.stdout.write(json.dumps(passwords))


def kept_passwords(path: Path) -> dict[str, str]:
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump({name: secrets.token_hex(6) for name in PEOPLE}, file)
    return dict(json.loads(path.read_text()))
