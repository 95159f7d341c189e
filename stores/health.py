"""Health as it can be told at this moment: as it was last seen, unless nobody has looked for too long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from stores.lifecycle import Health
from stores.models import Heartbeat, Store


@dataclass(frozen=True)
class Told:
    """``since``: as long as it is so; ``seen_at``: when somebody last looked, None for never.

    ``sentence``: what shows it; of an unknown health, what was known last.
    """

    health: Health
    since: datetime | None
    seen_at: datetime | None
    sentence: str

    @property
    def word(self) -> str:
        return str(self.health.label)


def looked_at() -> datetime | None:
    """When somebody last looked at all stores."""
    return Heartbeat.seen(Heartbeat.WATCHER, Heartbeat.SWEEP)


def is_old(seen_at: datetime | None) -> bool:
    return seen_at is None or timezone.now() - seen_at > timedelta(seconds=settings.UNKNOWN_SECONDS)


def told(store: Store, looked_at: datetime | None) -> Told | None:
    """None for a store whose health is of no interest. ``looked_at``: as the function says."""
    if not store.is_observed:
        return None
    seen_at = max(filter(None, (store.observed_at, looked_at)), default=None)
    known = Health(store.health or Health.UNKNOWN)
    # What is lost stays so, whether anybody looks or not.
    if known == Health.LOST or not is_old(seen_at):
        return Told(known, store.health_since, seen_at, store.health_sentence)
    return Told(Health.UNKNOWN, seen_at, seen_at, store.health_sentence)
