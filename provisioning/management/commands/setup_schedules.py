from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django_q.models import Schedule

NAME = "reconcile"


class Command(BaseCommand):
    help = "Set up what the queue does by the clock. Run on every deployment; repeating it is harmless."

    def handle(self, *args: Any, **options: Any) -> None:
        Schedule.objects.update_or_create(
            name=NAME,
            defaults={
                "func": "provisioning.tasks.reconcile",
                "schedule_type": Schedule.MINUTES,
                "minutes": 1,
                "repeats": -1,
            },
        )
        self.stdout.write("Schedules are set up: reconcile every minute.")
