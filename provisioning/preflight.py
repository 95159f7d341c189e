"""Before the click: would a store of this plan fit now? From what the last survey wrote down.

Nothing here asks the cluster (the web process cannot), and nothing forbids: what is in the way is
named, the services decide. A look that is too old says that nothing is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import yaml
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from provisioning.cluster.quantities import amount
from provisioning.engines import ENGINES
from stores import services
from stores.errors import QuotaExceeded
from stores.models import Heartbeat, Pause, Snapshot, Store, User
from stores.plans import PLANS

OK, BLOCKER, UNKNOWN = "ok", "blocker", "unknown"
# Whoever holds a lease renews it every few seconds.
LEASE_PATIENCE = timedelta(seconds=60)


@dataclass(frozen=True)
class Line:
    """One answer. ``kind``: OK, BLOCKER or UNKNOWN; ``topic``: a word for scripts."""

    kind: str
    topic: str
    sentence: str


@dataclass(frozen=True)
class Part:
    """What runs in one pod, and what it asks for: thousandths of a CPU, and bytes."""

    name: str
    cpu: int
    memory: int


def check(user: User, plan: str, engine: str = Store.Engine.WOOCOMMERCE) -> list[Line]:
    """All lines for one store of that plan."""
    return [*platform(user), *room(plan, engine)]


def platform(user: User) -> list[Line]:
    """What does not depend on the plan."""
    facts = known_facts()
    lines = [quota(user), *pause(), *workers()]
    if facts is None:
        return [*lines, not_seen()]
    return [*lines, storage_class(facts), *ingress_class(facts), *control_plane(facts)]


def room(plan: str, engine: str = Store.Engine.WOOCOMMERCE) -> list[Line]:
    """Whether each part of a store of that plan finds a machine; nothing where nothing is known."""
    return by_plan(engine)[plan]


def by_plan(engine: str = Store.Engine.WOOCOMMERCE) -> dict[str, list[Line]]:
    facts = known_facts()
    if facts is None:
        return {plan: [] for plan in PLANS}
    return {plan: [fit(facts["nodes"], parts(engine, plan))] for plan in PLANS}


# --- What we know ourselves --------------------------------------------------------------


def quota(user: User) -> Line:
    try:
        services.free_slot(user)
        services.check_platform_limit()
    except QuotaExceeded as refused:
        return Line(BLOCKER, "quota", str(refused))
    return Line(OK, "quota", _("There is a place for another store in your quota."))


def pause() -> Iterator[Line]:
    if found := Pause.current():
        said = _("Nothing is set up at the moment: %s A store asked for now begins afterwards.")
        yield Line(BLOCKER, "pause", said % found.reason)


def workers() -> Iterator[Line]:
    seen = Heartbeat.seen(Heartbeat.WORKER)
    if seen is None:
        yield Line(UNKNOWN, "worker", _("No worker has been heard from yet."))
    elif timezone.now() - seen > timedelta(seconds=settings.WORKER_SILENT_SECONDS):
        said = _("No worker has been heard from since %s. A store asked for now has to wait.")
        yield Line(BLOCKER, "worker", said % seen.strftime("%Y-%m-%d %H:%M UTC"))


# --- What the last survey saw ------------------------------------------------------------


def known_facts() -> dict[str, Any] | None:
    """None where nobody has looked for too long."""
    latest = Snapshot.latest()
    if latest is None or timezone.now() - latest.at > timedelta(seconds=settings.UNKNOWN_SECONDS):
        return None
    return {**latest.facts, "at": latest.at} if latest.facts else None


def not_seen() -> Line:
    said = _("Nobody has looked at the cluster lately: whether a store fits now is not known.")
    return Line(UNKNOWN, "cluster", said)


def storage_class(facts: dict[str, Any]) -> Line:
    classes = facts["storage_classes"]
    wanted = settings.STORE_STORAGE_CLASS
    if wanted and all(one["name"] != wanted for one in classes):
        said = _("The cluster has no storage class “%s”. Support has to make it or name another.")
        return Line(BLOCKER, "storage", said % wanted)
    if not wanted and not any(one["default"] for one in classes):
        said = _("The cluster has no default storage class. Support has to name one.")
        return Line(BLOCKER, "storage", said)
    return Line(OK, "storage", _("Disks for shops can be made."))


def ingress_class(facts: dict[str, Any]) -> Iterator[Line]:
    if settings.STORE_EXPOSURE != "ingress" or settings.CLUSTER == "simulated":
        return
    wanted, classes = settings.STORE_INGRESS_CLASS, facts["ingress_classes"]
    if classes is None:
        yield Line(UNKNOWN, "ingress", _("Whether shops can be reached is not known."))
    elif (wanted and wanted not in classes) or not classes:
        said = _("The cluster has no ingress class “%s”: the shop could not be reached.")
        yield Line(BLOCKER, "ingress", said % (wanted or _("of any name")))
    else:
        yield Line(OK, "ingress", _("Shops can be reached from outside."))


def control_plane(facts: dict[str, Any]) -> Iterator[Line]:
    """By the leases that its parts renew; a cluster that hides its own says nothing."""
    leases = facts["leases"]
    if leases is None:
        if settings.CLUSTER != "simulated":
            yield Line(UNKNOWN, "control-plane", _("Whether the cluster works is not known."))
        return
    silent = [name for name, at in leases.items() if is_silent(at, facts["at"])]
    if silent:
        said = _("A part of the cluster does not work: %s. New stores do not start until it does.")
        yield Line(BLOCKER, "control-plane", said % ", ".join(silent))
    elif leases:
        yield Line(OK, "control-plane", _("The cluster works."))


def is_silent(renewed: str, seen_at: datetime) -> bool:
    return not renewed or seen_at - datetime.fromisoformat(renewed) > LEASE_PATIENCE


# --- Room --------------------------------------------------------------------------------


def fit(nodes: list[dict[str, Any]], wanted: list[Part]) -> Line:
    """The largest first, each on the first machine that has room: as tight as a scheduler may be."""
    free = [
        [node["free_cpu"], node["free_memory"], node["free_pods"]]
        for node in nodes
        if node["usable"]
    ]
    for part in sorted(wanted, key=lambda one: (one.memory, one.cpu), reverse=True):
        place = next(
            (n for n in free if n[0] >= part.cpu and n[1] >= part.memory and n[2] >= 1), None
        )
        if place is None:
            return Line(BLOCKER, "room", no_room(part))
        place[0] -= part.cpu
        place[1] -= part.memory
        place[2] -= 1
    return Line(OK, "room", _("There is room in the cluster."))


def no_room(part: Part) -> str:
    said = _(
        "There is no room in the cluster now: the part “%(name)s” needs %(cpu)s CPU and %(memory)s MiB "
        "of memory on one machine. Choose a smaller plan, try later, or ask support for room."
    )
    memory = part.memory // 1024**2
    return said % {"name": part.name, "cpu": f"{part.cpu / 1000:g}", "memory": memory}


@cache
def parts(engine: str, plan: str) -> list[Part]:
    """From the chart's own values, and what the plan makes of them."""
    chart = yaml.safe_load((ENGINES[engine].chart / "values.yaml").read_text())
    sizes = ENGINES[engine].values(Store(name="a store", address="a-store", plan=plan))
    found = []
    for name, section in chart.items():
        requests = (section or {}).get("resources") if isinstance(section, dict) else None
        if requests and name != "init":  # what runs before the shop runs in its pod, and asks less
            asked = (sizes.get(name) or {}).get("resources") or requests
            cpu, memory = asked["requests"]["cpu"], asked["requests"]["memory"]
            found.append(Part(name, round(amount(cpu) * 1000), round(amount(memory))))
    return found
