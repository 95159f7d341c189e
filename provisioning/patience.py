"""How long a store waits: until somebody looks again, until the cluster is asked why, until it is too late.

What is decided goes by the database's clock, so that a worker whose clock is wrong does no harm. Only
how long to leave a cluster alone is reckoned by ours: within bounds, whatever it says.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Coalesce, Least, Now
from django.utils import timezone

from provisioning.lease import Lease
from stores.messages import Message
from stores.models import OperationStep

# When the clock looks again, should nobody ring.
WAIT_SECONDS = 10
# No event of a store tells that its storefront answers, or that a disk is gone.
UNWATCHED = {"storefront-silent", "volume-remaining"}
UNWATCHED_SECONDS = 2
# What is mostly over at the second try must not cost a pass every few hundredths of a second if not.
MOMENT_SECONDS, LONGEST_MOMENT_SECONDS = 0.03, 0.25
# A cluster that does not answer is asked again after this, then ever more rarely.
OUTAGE_SECONDS, LONGEST_OUTAGE_SECONDS = 5.0, 60.0
# A store that was due so long ago was waiting for a worker, not for the cluster.
ABSENCE_SECONDS = 60


def after(seconds: float) -> Any:
    return Now() + timedelta(seconds=seconds)


def time_since(field: str) -> Any:
    return ExpressionWrapper(Now() - F(field), output_field=DurationField())


def next_look(message: Message, end: Any) -> Any:
    """When the clock looks at a store that waits for this; at its ``end`` at the latest, which is
    not to come one wait later."""
    seconds = UNWATCHED_SECONDS if message.codes & UNWATCHED else WAIT_SECONDS
    return Least(after(seconds), Coalesce(end, after(seconds)))


def moment(tries: int) -> float:
    """Seconds until something that is over in a moment is asked for again."""
    return min(tries * MOMENT_SECONDS, LONGEST_MOMENT_SECONDS)


def backoff(since: datetime | None) -> float:
    """Seconds until something that is away since then is asked again: as long as it has been away
    already, within bounds, and not by all stores at the same moment."""
    away = (timezone.now() - since).total_seconds() if since else 0.0
    seconds = min(max(away, OUTAGE_SECONDS), LONGEST_OUTAGE_SECONDS)
    return seconds * random.uniform(0.8, 1.2)


def waited_long(step: OperationStep | None) -> bool:
    """Whether it is time to ask the cluster what is in the way."""
    if step is None:
        return False
    before = Now() - timedelta(seconds=settings.DIAGNOSE_SECONDS)
    return OperationStep.objects.filter(pk=step.pk, started_at__lt=before).exists()


def deadline_passed(lease: Lease) -> bool:
    """The clock may be standing still: ``start_the_clock`` first gives the time back."""
    return lease.row.filter(outage_since=None, deadline_at__lt=Now()).exists()


def grace_is_over(lease: Lease) -> bool:
    return lease.row.filter(closes_at__lte=Now()).exists()


def start_the_clock(lease: Lease) -> None:
    """Give the deadline back the time in which the cluster was away, or no worker looked."""
    if lease.store.outage_since:
        lease.touch(deadline_at=F("deadline_at") + time_since("outage_since"))
        lease.touch(outage_since=None)
    elif lease.store.due_at:
        late = Now() - timedelta(seconds=ABSENCE_SECONDS)
        lease.row.filter(due_at__lt=late).update(
            deadline_at=F("deadline_at") + time_since("due_at")
        )
