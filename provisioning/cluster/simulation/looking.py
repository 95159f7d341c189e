"""The look at everything of stores that survey and watch share, and what differs between two looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from provisioning.cluster import seen as reduced
from provisioning.cluster.base import STORE_LABEL, Change, Manifest, Seen
from provisioning.cluster.simulation import counting, course
from provisioning.cluster.simulation.course import Course
from provisioning.cluster.simulation.objects import Objects, Stored

# By uid.
Look = dict[str, Seen]
# The shape is that of cluster/facts.py.
FACTS: dict[str, Any] = {
    "version": "v0.0.0-simulated",
    "nodes": [
        {
            "name": "simulated", "usable": True,
            "cpu": 64_000, "memory": 256 * 1024**3, "pods": 1000,
            "free_cpu": 64_000, "free_memory": 256 * 1024**3, "free_pods": 1000,
        }
    ],
    "storage_classes": [
        {
            "name": "simulated", "default": True, "provisioner": "simulated",
            "binding": "Immediate", "reclaim": "Delete",
        }
    ],
    "ingress_classes": None,
    "leases": None,
}  # fmt: skip


def look(objects: Objects, course_in: Callable[[str], Course]) -> Look:
    """``course_in``: how things go in the namespace of that name."""
    found: Look = {}
    for stored in objects.of_kind("Namespace"):
        if stored.labels.get(STORE_LABEL):
            item = course.observed(stored, course_in(stored.name), objects.now)
            found[stored.uid] = reduced.namespace(item)
    courses: dict[str, Course] = {}
    everything = objects.of_kind(*reduced.KINDS)
    counted: dict[str, list[Stored]] = {}
    for stored in everything:
        if stored.kind in counting.COUNTED:
            counted.setdefault(stored.namespace, []).append(stored)
    for stored in everything:
        going = courses.setdefault(stored.namespace, course_in(stored.namespace))
        there = counted.get(stored.namespace, []) if stored.kind == "ResourceQuota" else []
        used = counting.used(there, going, objects.now)
        for item in with_pods(stored, going, objects.now, used):
            if item["metadata"].get("labels", {}).get(STORE_LABEL):
                found[item["metadata"]["uid"]] = reduced.thing(item)
    return found


def with_pods(stored: Stored, going: Course, now: float, used: dict[str, str]) -> list[Manifest]:
    """The object, and the pods that it has by then."""
    made = course.pods_of(stored, going, now) if stored.kind in (*course.WORKLOADS, "Job") else []
    return [course.observed(stored, going, now, used=used), *made]


def pictures(now: Look) -> Iterator[Change]:
    for kind in ("Namespace", *reduced.KINDS):
        yield reduced.picture(kind, (one for one in now.values() if one.kind == kind))


def changes(before: Look, now: Look) -> Iterator[Change]:
    """What is different, and what is no longer there."""
    for uid, found in now.items():
        if before.get(uid) != found:
            yield reduced.change(before.get(uid), found)
    for uid, was in before.items():
        if uid not in now:
            yield reduced.change(was, None)
