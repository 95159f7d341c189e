"""How things stand, on the first page of the admin: a constant number of queries, each a count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from stores import audit, queue
from stores.lifecycle import Health, Status
from stores.models import Consent, Heartbeat, Letter, Operation, Store

# Who must not stand still, what they are called, and the setting that says when it is too long.
BEATS: dict[str, tuple[Any, str]] = {
    Heartbeat.WORKER: (_("Worker"), "WORKER_SILENT_SECONDS"),
    Heartbeat.WATCHER: (_("Watcher"), "UNKNOWN_SECONDS"),
    Heartbeat.SWEEP: (_("Sweep"), "SWEEP_SECONDS"),
}
# A sweep that comes a little late is none that is missing.
PATIENCE = 3


@dataclass(frozen=True)
class Row:
    """``url``: the list of what is counted."""

    word: str
    count: int
    url: str = ""


@dataclass(frozen=True)
class Tally:
    heading: Any
    rows: list[Row]


@dataclass(frozen=True)
class Beat:
    word: str
    at: datetime | None
    late: bool


@dataclass(frozen=True)
class Oldest:
    kind: str
    store: str
    since: datetime
    url: str


@dataclass(frozen=True)
class Board:
    stores: Tally
    health: Tally
    failed: Tally
    oldest: Oldest | None
    queue: int
    letters: int
    consents: int
    beats: list[Beat]
    verified: audit.Verified | None


def board() -> Board:
    return Board(
        stores=by_status(),
        health=by_health(),
        failed=failed_today(),
        oldest=oldest(),
        queue=queue.length(),
        letters=Letter.objects.filter(sent_at=None).count(),
        consents=Consent.objects.open_questions().count(),
        beats=beats(),
        verified=audit.last_verified(),
    )


def listed(model: str, **filters: str) -> str:
    return f"{reverse(f'admin:stores_{model}_changelist')}?{urlencode(filters)}"


def counted(rows: Iterable[Any], field: str) -> dict[str, int]:
    return {row[field]: row["count"] for row in rows}


def by_status() -> Tally:
    found = Store.objects.existing().order_by().values("status").annotate(count=Count("pk"))
    there = counted(found, "status")
    rows = [
        Row(str(status.label), there[status], listed("store", status__exact=status))
        for status in Status
        if status in there
    ]
    return Tally(_("Stores by status"), rows)


def by_health() -> Tally:
    """Of those whose health is told."""
    found = Store.objects.observed().order_by().values("health").annotate(count=Count("pk"))
    there = counted(found, "health")
    rows = [
        Row(str(health.label), there[health], listed("store", health__exact=health))
        for health in Health
        if health in there
    ]
    return Tally(_("Stores by health"), rows)


def failed_today() -> Tally:
    """Operations that failed within the last day, by the code of what was said."""
    since = timezone.now() - timedelta(days=1)
    failed = Operation.objects.filter(outcome=Operation.Outcome.FAILED, finished_at__gte=since)
    found = failed.order_by().values("message__code").annotate(count=Count("pk"))
    causes = counted(found.order_by("-count", "message__code"), "message__code")
    url = listed("operation", outcome__exact="failed", finished_at__gte=since.isoformat())
    rows = [Row(cause_called(code), count, url) for code, count in causes.items()]
    return Tally(_("Failed within a day, by cause"), rows)


def cause_called(code: str | None) -> str:
    """A code is for people who know it; it is what the documentation names too."""
    return code.replace("-", " ") if code else str(_("without a cause"))


def oldest() -> Oldest | None:
    first = Operation.objects.open().select_related("store").order_by("requested_at").first()
    if first is None:
        return None
    url = reverse("admin:stores_operation_change", args=[first.pk])
    kind = str(Operation.Kind(first.kind).label)
    return Oldest(kind, first.store.name, first.requested_at, url)


def beats() -> list[Beat]:
    heard = dict(Heartbeat.objects.filter(pk__in=BEATS).values_list("name", "at"))
    return [beat(str(word), heard.get(name), limit) for name, (word, limit) in BEATS.items()]


def beat(word: str, at: datetime | None, limit: str) -> Beat:
    seconds = getattr(settings, limit) * (PATIENCE if limit == "SWEEP_SECONDS" else 1)
    late = at is None or timezone.now() - at > timedelta(seconds=seconds)
    return Beat(word, at, late)
