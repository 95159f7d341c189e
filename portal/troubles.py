"""What is wrong with the platform as a whole: said once on every page, not by every store for itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Min
from django.utils.translation import gettext_lazy as _

from stores.models import Pause, Store


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
    return [*paused(), *of_the_cluster()]


def paused() -> Iterator[Trouble]:
    if pause := Pause.current():
        said = _(
            "“%(reason)s” Nothing fails meanwhile: what was asked for goes on by itself afterwards."
        )
        headline = str(_("No store is set up or changed"))
        yield Trouble(headline, pause.since, said % {"reason": pause.reason})


def of_the_cluster() -> Iterator[Trouble]:
    """One for each reason that stores wait for, the oldest first."""
    waiting = Store.objects.exclude(outage_since=None).order_by().values_list("message__code")
    found = waiting.annotate(since=Min("outage_since"))
    for code, since in sorted(found, key=lambda row: row[1]):
        if code in CLUSTER:
            headline, sentence = CLUSTER[code]
            yield Trouble(str(headline), since, str(sentence))


def stamp(shown: list[Trouble]) -> str:
    """Changes with anything that is said about the platform."""
    said = "\n".join(f"{trouble.headline} {trouble.since} {trouble.sentence}" for trouble in shown)
    return hashlib.sha256(said.encode()).hexdigest()[:12] if shown else "0"
