"""The platform's state for everybody, without a name in it: who works, who looks, what waits.

What is wrong is told by ``portal.troubles``, as on every page.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from portal.shared import Facts, facts, for_a_second
from portal.troubles import troubles, worker_silent_since
from portal.versions import version
from provisioning import preflight
from stores import queue
from stores.health import is_old
from stores.lifecycle import STARTING, UNSETTLED, Status
from stores.models import Heartbeat, Snapshot, Store

BADGES = {
    "ok": "check-circle-fill",
    "busy": "hourglass-split",
    "going": "exclamation-triangle-fill",
    "bad": "exclamation-octagon-fill",
    "gone": "question-circle-fill",
}


@dataclass(frozen=True)
class Part:
    """``tone``: as in storeyard.css. ``since``: as long as it is so; ``seen``: when last heard from."""

    name: str
    icon: str
    word: str
    tone: str
    sentence: str
    seen: datetime | None = None
    since: datetime | None = None

    @property
    def look(self) -> str:
        """The icon of the badge: colour alone says nothing."""
        return BADGES[self.tone]


@dataclass(frozen=True)
class Work:
    """What is to be done, counted: rings in the queue; stores in line, starting, and all others."""

    rings: int
    in_line: int
    starting: int
    under_way: int

    @classmethod
    def count(cls) -> Work:
        counted = Store.objects.filter(status__in=UNSETTLED).aggregate(
            in_line=Count("pk", filter=Q(status=Status.REQUESTED)),
            starting=Count("pk", filter=Q(status__in=STARTING)),
            under_way=Count("pk"),
        )
        return cls(queue.length(), **counted)


def parts() -> list[Part]:
    known = facts()
    return [
        cluster(known),
        workers(known),
        line(known),
        watching(known, Heartbeat.WATCHER),
        watching(known, Heartbeat.SWEEP),
    ]


# --- Each part -----------------------------------------------------------------------------


def cluster(known: Facts) -> Part:
    name = _("Control plane")
    if since := known.outages.get("cluster-unavailable"):
        said = _("Nothing is lost: stores wait, and go on by themselves as soon as it answers.")
        return Part(name, "hdd-stack", _("Cannot be reached"), "bad", said, since=since)
    latest = for_a_second("snapshot", Snapshot.latest)
    if latest is None or is_old(latest.at):
        said = _("Nobody has looked at the cluster lately: how it is now is not known.")
        return Part(name, "hdd-stack", _("Not known"), "gone", said, latest and latest.at)
    said = _("The cluster that shops run in answers.")
    for silent in preflight.control_plane({**latest.facts, "at": latest.at}):
        if silent.kind == preflight.BLOCKER:
            return Part(name, "hdd-stack", _("In trouble"), "bad", silent.sentence, latest.at)
    return Part(name, "hdd-stack", _("Answers"), "ok", said, latest.at)


def workers(known: Facts) -> Part:
    name, at = _("Workers"), known.seen(Heartbeat.WORKER)
    if known.pause:
        said = _("“%(reason)s” What is asked for is kept, and done afterwards.")
        since, reason = known.pause
        said = said % {"reason": reason}
        return Part(name, "people", _("Paused"), "going", said, since=since)
    if since := worker_silent_since(known):
        said = _("What you ask for is kept, and done as soon as a worker runs again.")
        return Part(name, "people", _("Silent"), "bad", said, since=since)
    said = _("They set up, change and remove stores.")
    if at is None:
        return Part(name, "people", _("Not heard from yet"), "gone", said)
    return Part(name, "people", _("Working"), "ok", said, at)


def line(known: Facts) -> Part:
    work = for_a_second("work", Work.count)
    name = _("Queue")
    said = ngettext(
        "%(count)s store is being worked on", "%(count)s stores are being worked on", work.under_way
    ) % {"count": work.under_way}
    more = _("%(said)s: %(in_line)s asked for, %(starting)s starting (at most %(most)s at once).")
    most = settings.MAX_STORES_STARTING
    sentence = more % {
        "said": said, "in_line": work.in_line, "starting": work.starting, "most": most,
    }  # fmt: skip
    if not work.under_way:
        sentence = _("No store is being worked on.")
    if not work.rings:
        return Part(name, "list-ol", _("Empty"), "ok", sentence)
    word = ngettext("%(count)s task", "%(count)s tasks", work.rings) % {"count": work.rings}
    # Tasks in a queue are no trouble while somebody takes them out.
    tone = "going" if worker_silent_since(known) else "busy"
    return Part(name, "list-ol", word, tone, sentence)


LOOKERS: dict[str, tuple[Any, Any, str]] = {
    Heartbeat.WATCHER: (
        gettext_lazy("Watcher"),
        gettext_lazy("Tells at once when a shop turns ill or well."),
        "eye",
    ),
    Heartbeat.SWEEP: (
        gettext_lazy("Last sweep"),
        gettext_lazy("Compares every store with what it should be, and puts right what differs."),
        "clipboard-check",
    ),
}


def watching(known: Facts, beat: str) -> Part:
    name, what, icon = LOOKERS[beat]
    at = known.seen(beat)
    if at is None:
        return Part(name, icon, _("Not heard from yet"), "gone", what)
    if is_old(at):
        said = _("Nothing was heard for too long: the health of shops may not be known meanwhile.")
        return Part(name, icon, _("Silent"), "going", said, at)
    return Part(name, icon, _("Working"), "ok", what, at)


# --- The page --------------------------------------------------------------------------------


@require_safe
def platform_status(request: HttpRequest) -> HttpResponse:
    """For everybody, whether they have an account or not."""
    return render(request, "platform/status.html", state())


@require_safe
def platform_news(request: HttpRequest) -> HttpResponse:
    known = state()
    if request.GET.get("version") == known["version"]:
        response = HttpResponse(status=204)
    else:
        response = render(request, "platform/_parts.html", known)
    add_never_cache_headers(response)
    return response


def state() -> dict[str, Any]:
    shown, found = parts(), troubles()
    return {
        "parts": shown,
        "troubles": found,
        "version": version(shown, found),
        "well": not found and all(part.tone in ("ok", "busy") for part in shown),
    }
