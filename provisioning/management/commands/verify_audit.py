from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from provisioning.management.commands._base import StoreCommand
from stores import audit
from stores.models import AuditEvent


class Command(StoreCommand):
    help = "Prove that no audit event was changed, removed or slipped in; name the first that was."

    def run_command(self, **options: Any) -> None:
        if broken := audit.verify():
            raise CommandError(broken)
        self.stdout.write(f"The audit chain is whole: {AuditEvent.objects.count()} events.")
