"""What is known of the platform as a whole: who is alive, how the cluster is, whether all is paused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Max
from django.db.models.functions import Now


class Heartbeat(models.Model):
    """When something that must not stand still was last alive, by the database's clock."""

    WATCHER, SWEEP, WORKER = "watcher", "sweep", "worker"

    name = models.CharField(primary_key=True, max_length=40)
    at = models.DateTimeField(db_default=Now())
    details = models.JSONField(default=dict, blank=True)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def beat(cls, name: str, **details: Any) -> None:
        if not cls.objects.filter(pk=name).update(at=Now(), details=details):
            cls.objects.update_or_create(name=name, defaults={"at": Now(), "details": details})

    @classmethod
    def claim(cls, name: str, seconds: float) -> bool:
        """Whether it is so long since anybody claimed it; then it is ours."""
        before = Now() - timedelta(seconds=seconds)
        # Mostly it is not time yet, and an UPDATE takes the database's write lock all the same.
        if cls.objects.filter(pk=name, at__gt=before).exists():
            return False
        if cls.objects.filter(pk=name, at__lte=before).update(at=Now()):
            return True
        return cls.objects.get_or_create(name=name)[1]

    @classmethod
    def seen(cls, *names: str) -> datetime | None:
        """When the last of them was heard from; None for never."""
        at: datetime | None = cls.objects.filter(pk__in=names).aggregate(at=Max("at"))["at"]
        return at


class Pause(models.Model):
    """While its one row is there, no store is set up or changed."""

    since = models.DateTimeField(db_default=Now())
    reason = models.CharField(max_length=300)
    actor_name = models.CharField(max_length=150)

    def __str__(self) -> str:
        return self.reason

    @classmethod
    def current(cls) -> Pause | None:
        return cls.objects.filter(pk=1).first()


class Snapshot(models.Model):
    """What the last survey found out about the cluster as a whole: one row (provisioning/sweep.py)."""

    at = models.DateTimeField(db_default=Now())
    facts = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"The cluster at {self.at}"

    @classmethod
    def latest(cls) -> Snapshot | None:
        return cls.objects.filter(pk=1).first()
