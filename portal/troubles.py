"""What is wrong with the platform as a whole: said once on every page, not by every store for itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.shared import Facts, facts
from stores.models import Heartbeat


@dataclass(frozen=True)
class Trouble:
    headline: str
    since: datetime
    sentence: str


MENDED = gettext_lazy(
    "It is no fault of the stores': they wait, and go on by themselves when it is mended."
)
# What stores say they wait for, as a trouble of all. In general words: their own sentences, with
# names in them, are for their owners. What concerns a single store is not here.
CLUSTER: dict[str, tuple[Any, Any]] = {
    "cluster-unavailable": (
        gettext_lazy("The cluster cannot be reached"),
        gettext_lazy(
            "Nothing is lost: stores wait, and go on by themselves as soon as it answers."
        ),
    ),
    "cluster-busy": (gettext_lazy("The cluster has too much to do"), MENDED),
    "controllers-silent": (
        gettext_lazy("The cluster does not carry out what it is asked for"),
        MENDED,
    ),
    "scheduler-silent": (gettext_lazy("The cluster does not give new shops a machine"), MENDED),
    "webhook-silent": (
        gettext_lazy("A check that was added to the cluster does not answer"),
        MENDED,
    ),
    "addon-down": (gettext_lazy("An add-on of the cluster is down"), MENDED),
    "unschedulable": (
        gettext_lazy("The cluster has no room for more"),
        gettext_lazy("Running shops are not affected. New ones wait, and go on by themselves."),
    ),
    "no-matching-node": (
        gettext_lazy("The cluster has no machine that may run some shops"),
        MENDED,
    ),
    "node-lost": (gettext_lazy("A machine of the cluster does not answer"), MENDED),
    "storage-class-missing": (gettext_lazy("The cluster has no disks to give"), MENDED),
    "volume-slow": (gettext_lazy("The cluster is slow to make disks"), MENDED),
}


def troubles() -> list[Trouble]:
    known = facts()
    return [*paused(known), *unattended(known), *of_the_cluster(known)]


def paused(known: Facts) -> Iterator[Trouble]:
    if pause := known.pause:
        said = _(
            "“%(reason)s” Nothing fails meanwhile: what was asked for goes on by itself afterwards."
        )
        since, reason = pause
        yield Trouble(_("No store is set up or changed"), since, said % {"reason": reason})


def unattended(known: Facts) -> Iterator[Trouble]:
    if since := worker_silent_since(known):
        said = _(
            "What you ask for is kept, and done as soon as a worker runs again. Shops that are "
            "online are not affected."
        )
        yield Trouble(_("Nobody is working on stores"), since, said)


def worker_silent_since(known: Facts) -> datetime | None:
    """Since when no worker has been heard from; None while one is.

    Where none ever was, as before the first deployment of one, nobody misses it until a store has
    waited for it that long.
    """
    if beat := known.seen(Heartbeat.WORKER):
        return beat if Heartbeat.WORKER in known.silent else None
    return known.waiting_since


def of_the_cluster(known: Facts) -> Iterator[Trouble]:
    """One for each reason that stores wait for, the oldest first."""
    for code, since in sorted(known.outages.items(), key=lambda outage: outage[1]):
        if code in CLUSTER:
            headline, sentence = CLUSTER[code]
            yield Trouble(str(headline), since, str(sentence))
