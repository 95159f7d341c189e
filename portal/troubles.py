"""What is wrong with the platform as a whole: said once on every page, not by every store for itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import BooleanField, ExpressionWrapper, Min, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from stores.models import Heartbeat, Pause, Store


@dataclass(frozen=True)
class Trouble:
    headline: str
    since: datetime
    sentence: str


MENDED = _("It is no fault of the stores': they wait, and go on by themselves when it is mended.")
# What stores say they wait for, as a trouble of all. In general words: their own sentences, with
# names in them, are for their owners. What concerns a single store is not here.
CLUSTER: dict[str, tuple[Any, Any]] = {
    "cluster-unavailable": (
        _("The cluster cannot be reached"),
        _("Nothing is lost: stores wait, and go on by themselves as soon as it answers."),
    ),
    "cluster-busy": (_("The cluster has too much to do"), MENDED),
    "controllers-silent": (_("The cluster does not carry out what it is asked for"), MENDED),
    "scheduler-silent": (_("The cluster does not give new shops a machine"), MENDED),
    "webhook-silent": (_("A check that was added to the cluster does not answer"), MENDED),
    "addon-down": (_("An add-on of the cluster is down"), MENDED),
    "unschedulable": (
        _("The cluster has no room for more"),
        _("Running shops are not affected. New ones wait, and go on by themselves."),
    ),
    "no-matching-node": (_("The cluster has no machine that may run some shops"), MENDED),
    "node-lost": (_("A machine of the cluster does not answer"), MENDED),
    "storage-class-missing": (_("The cluster has no disks to give"), MENDED),
    "volume-slow": (_("The cluster is slow to make disks"), MENDED),
}


def troubles() -> list[Trouble]:
    return [*paused(), *unattended(), *of_the_cluster()]


def paused() -> Iterator[Trouble]:
    if pause := Pause.current():
        said = _(
            "“%(reason)s” Nothing fails meanwhile: what was asked for goes on by itself afterwards."
        )
        headline = str(_("No store is set up or changed"))
        yield Trouble(headline, pause.since, said % {"reason": pause.reason})


def unattended() -> Iterator[Trouble]:
    if since := worker_silent_since():
        said = _(
            "What you ask for is kept, and done as soon as a worker runs again. Shops that are "
            "online are not affected."
        )
        yield Trouble(str(_("Nobody is working on stores")), since, str(said))


def worker_silent_since() -> datetime | None:
    """Since when no worker has been heard from; None while one is.

    Where none ever was, as before the first deployment of one, nobody misses it until a store has
    waited for it that long.
    """
    long_ago = Now() - timedelta(seconds=settings.WORKER_SILENT_SECONDS)
    silent = ExpressionWrapper(Q(at__lt=long_ago), output_field=BooleanField())
    beat = Heartbeat.objects.filter(pk=Heartbeat.WORKER).values_list("at", silent).first()
    if beat:
        return beat[0] if beat[1] else None
    waiting = Store.objects.unsettled().filter(status_since__lt=long_ago)
    return waiting.aggregate(since=Min("status_since"))["since"]


def of_the_cluster() -> Iterator[Trouble]:
    """One for each reason that stores wait for, the oldest first."""
    waiting = Store.objects.exclude(outage_since=None).order_by().values_list("message__code")
    found = waiting.annotate(since=Min("outage_since"))
    for code, since in sorted(found, key=lambda row: row[1]):
        if code in CLUSTER:
            headline, sentence = CLUSTER[code]
            yield Trouble(str(headline), since, str(sentence))
