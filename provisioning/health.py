"""What the cluster says about a store that has been ready: healthy, degraded or lost, in words.

Pure functions over what survey and watch have seen, or a pass. Degraded is what customers notice now or soon;
lost is what cannot come back by itself. Nobody's health: Jobs, their pods, and those of CronJobs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models.functions import Now

from provisioning.cluster import parts
from provisioning.cluster.base import SeenNamespace, SeenObject, SeenVolume
from stores.lifecycle import Health
from stores.messages import Message, several
from stores.models import Store

WORKLOADS = ("Deployment", "StatefulSet")
# Of what these tell of nothing is left, so nothing may be made in its place.
NOTHING_LEFT = ("namespace-lost", "volume-lost")
# A restart that is longer ago is forgotten.
RESTART_SECONDS = 600
# One may always happen.
RESTARTS = 2
# How old a pod may be for its restarts to be a rate; of an older one nobody knows when they were.
YOUNG_SECONDS = 3600
# What degraded is told by here; a pass that gives up says other things.
SEEN = frozenset(
    ("part-missing", "part-unready", "part-restarts", "volume-going", "volume-pending")
)
WORDS = {"store-web": "The shop", "store-db": "The database"}


@dataclass(frozen=True)
class Known:
    """What the row remembers of the store; ``volumes``: the claims of its data, name to uid."""

    namespace: str
    namespace_uid: str
    volumes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    health: Health
    message: Message | None = None


def judge(
    known: Known,
    namespace: SeenNamespace | None,
    objects: Iterable[SeenObject],
    now: datetime,
    disks: list[SeenVolume] | None = None,
) -> Verdict:
    """``disks``: those of this store, where somebody has looked for them."""
    objects = list(objects)
    if said := lost(known, namespace, objects):
        return Verdict(Health.LOST, several([said, *left(objects, disks)]))
    assert namespace is not None
    troubles = [
        *(Message("part-missing", {"name": word(name)}) for name in missing(namespace, objects)),
        *workload_troubles(objects, now),
        *claim_troubles(known, objects),
    ]
    return Verdict(Health.DEGRADED, several(troubles)) if troubles else Verdict(Health.HEALTHY)


# --- Lost ------------------------------------------------------------------------------------


def lost(
    known: Known, namespace: SeenNamespace | None, objects: list[SeenObject]
) -> Message | None:
    if namespace is None or namespace.uid != known.namespace_uid or namespace.terminating:
        return Message("namespace-lost", {"namespace": known.namespace})
    return volume_lost(known.volumes, {one.name: one for one in claims(objects)})


def volume_lost(volumes: Mapping[str, str], found: Mapping[str, SeenObject]) -> Message | None:
    for name, uid in volumes.items():
        claim = found.get(name)
        if claim is None or claim.uid != uid or claim_state(claim)["phase"] == "Lost":
            return Message("volume-lost", {"name": name})
    return None


def left(objects: list[SeenObject], disks: list[SeenVolume] | None) -> list[Message]:
    """What is still there of its data; nothing is said where nobody has looked."""
    if disks is None:
        return []
    names = {f"{one.name} ({one.claim})" for one in disks if one.phase != "Failed"}
    if names:
        return [Message("disks-left", {"names": ", ".join(sorted(names))})]
    return [Message("no-disks-left")]


def claims(objects: Iterable[SeenObject]) -> list[SeenObject]:
    return [one for one in objects if one.kind == "PersistentVolumeClaim"]


def claim_state(claim: SeenObject) -> dict[str, str]:
    return dict(json.loads(claim.content))


# --- Degraded --------------------------------------------------------------------------------


def missing(namespace: SeenNamespace, objects: list[SeenObject]) -> list[str]:
    """Workloads that Helm put in and that are not there any more."""
    there = {f"{one.kind}/{one.name}" for one in objects}
    made = parts.remembered(namespace.annotations) or {}
    return [
        part.partition("/")[2] for part in made if part.startswith(WORKLOADS) and part not in there
    ]


def workload_troubles(objects: list[SeenObject], now: datetime) -> list[Message]:
    pods: dict[str, list[SeenObject]] = {}
    for pod in objects:
        if pod.kind == "Pod":
            pods.setdefault(json.loads(pod.content)["of"], []).append(pod)
    found = [
        workload_trouble(one, pods.get(f"{one.kind}/{one.name}", []), now)
        for one in objects
        if one.kind in WORKLOADS
    ]
    return [message for message in found if message]


def workload_trouble(workload: SeenObject, pods: list[SeenObject], now: datetime) -> Message | None:
    for pod in pods:
        if said := restarts(workload, pod, now):
            return said
    waiting = workload.waiting
    # One that is being replaced still serves.
    if waiting is None or waiting.params["ready"] >= waiting.params["wanted"]:
        return None
    return Message("part-unready", {**waiting.params, "name": word(workload.name), **why(pods)})


def why(pods: list[SeenObject]) -> dict[str, object]:
    """Since when the one that has waited longest does not serve, and its reason."""
    waiting = sorted(
        (pod.waiting for pod in pods if pod.waiting), key=lambda one: str(one.params["since"])
    )
    if not waiting:
        return {"since": "", "reason": Message("pod-absent").as_json()}
    since = moment(waiting[0].params["since"])
    return {
        "since": Message("since-time", {"time": f"{since:%H:%M}"}).as_json() if since else "",
        "reason": waiting[0].as_json(),
    }


def restarts(workload: SeenObject, pod: SeenObject, now: datetime) -> Message | None:
    """That it restarts again and again; None if it did so once, or long ago."""
    state = json.loads(pod.content)
    if state.get("restarts", 0) < RESTARTS:
        return None
    created, last = moment(state["created"]), moment(state["last"])
    if created is None or last is None or now - last > timedelta(seconds=RESTART_SECONDS):
        return None
    age = now - created
    looping = pod.waiting is not None and pod.waiting.code == "pod-crash"
    if age > timedelta(seconds=YOUNG_SECONDS) and not looping:
        return None
    return Message(
        "part-restarts",
        {
            "name": word(workload.name),
            "times": state["restarts"],
            "span": span(age).as_json(),
            "reason": state["reason"],
            "exit_code": state["exit_code"],
        },
    )


def claim_troubles(known: Known, objects: list[SeenObject]) -> list[Message]:
    ours = [one for one in claims(objects) if one.name in known.volumes]
    return [
        Message(
            "volume-going" if claim_state(one)["going"] else "volume-pending", {"name": one.name}
        )
        for one in ours
        if one.waiting or claim_state(one)["going"]
    ]


# --- What a pass finds, as columns of the row ------------------------------------------------


def found_up(store: Store) -> dict[str, Any]:
    """Every part of it. That it came up the first time is no news."""
    seen: dict[str, Any] = {"observed_at": Now(), "health_message": {}}
    if store.health != Health.HEALTHY:
        seen |= {"health": Health.HEALTHY, "health_since": Now()}
    return seen if store.ready_at else seen | {"health_told": Health.HEALTHY}


def found_wrong(store: Store, message: Message) -> dict[str, Any]:
    """Of a ready store in which something is not as it should be."""
    health = Health.LOST if message.code in NOTHING_LEFT else Health.DEGRADED
    since = {} if store.health == health else {"health_since": Now()}
    return {"health": health, "health_message": message.as_json(), **since}


def found_lost(store: Store, message: Message) -> dict[str, Any]:
    """Nothing, unless it is lost that was a shop."""
    lost = message.code in NOTHING_LEFT and store.ready_at is not None
    return found_wrong(store, message) if lost else {}


# --- Words -----------------------------------------------------------------------------------


def word(name: str) -> str:
    return WORDS.get(name, name)


def span(age: timedelta) -> Message:
    minutes = max(1, round(age.total_seconds() / 60))
    if minutes == 1:
        return Message("span-minute")
    if minutes < 120:
        return Message("span-minutes", {"count": minutes})
    return Message("span-hours", {"count": minutes // 60})


def moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        return None
