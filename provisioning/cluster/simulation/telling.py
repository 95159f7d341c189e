"""What the simulated cluster's containers write: computed from the clock, as everything here."""

from __future__ import annotations

from collections.abc import Iterator

from provisioning.cluster import telling
from provisioning.cluster.base import COMPONENT_LABEL, Manifest
from provisioning.cluster.simulation import course
from provisioning.cluster.simulation.course import Course
from provisioning.cluster.simulation.evidence import LAST_WORDS
from provisioning.cluster.simulation.objects import Objects, Stored, timestamp

# How often a container that serves has something to say.
EVERY = 5.0
# What each says when asked how it is.
ASKED = {"web": "GET /health/ready 200", "db": "Ready for connections"}


def logs(
    objects: Objects, namespace: str, component: str, lines: int, going: Course
) -> dict[str, str]:
    """As ``Cluster.logs`` says."""
    owners: dict[str, Stored] = {}
    pods: list[Manifest] = []
    for stored in objects.of_kind(*course.WORKLOADS, "Job", namespace=namespace):
        for pod in course.pods_of(stored, going, objects.now):
            if component in ("", pod["metadata"]["labels"].get(COMPONENT_LABEL)):
                owners[pod["metadata"]["name"]] = stored
                pods.append(pod)
    found = {}
    for name, container, _previous in telling.chosen(pods):
        state = course.pod_state(owners[name], going, objects.now)
        said = said_by(owners[name], state, objects.now, lines)
        found[f"{name}/{container}"] = telling.fit("\n".join(list(said)[-lines:]))
    return found


def said_by(stored: Stored, state: str, now: float, lines: int) -> Iterator[str]:
    if state in ("crash", "failed"):
        yield from LAST_WORDS.splitlines()
        return
    yield f"{timestamp(stored.since)} Simulated: there is no real container behind this log"
    if state == "completed":
        yield f"{timestamp(stored.since)} Done"
        return
    last = int((now - stored.since) / EVERY)
    said = ASKED.get(course.component(stored), "Working")
    for number in range(max(last - lines, 0) + 1, last + 1):
        yield f"{timestamp(stored.since + number * EVERY)} {said}"


def events(objects: Objects, namespace: str, going: Course) -> list[Manifest]:
    """As the API would list them."""
    owners = objects.of_kind(*course.WORKLOADS, "Job", namespace=namespace)
    return [event for each in owners for event in course.events_of(each, going, objects.now)]
