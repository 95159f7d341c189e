"""What is kept of the evidence: small, redacted, still there when the cluster's events have expired."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from provisioning.cluster.readiness import is_up, made_by_cron
from provisioning.diagnosis.facts import (
    containers,
    event_line,
    items,
    last_end,
    last_seen,
    name_of,
    seconds_since,
    waiting,
)
from provisioning.diagnosis.finding import Evidence, Object
from provisioning.redaction import clean, one_line, tail

# Of all together, as JSON; of one log.
MOST_BYTES = 32_000
LOG_CHARACTERS = 4_000
MOST_EVENTS = 40


def kept(evidence: Evidence) -> dict[str, Any]:
    """The raw facts as lines, by what they are about; the most telling first where room is short."""
    left = MOST_BYTES
    result: dict[str, Any] = {"at": evidence.get("now") or ""}
    if evidence.get("waiting"):
        result["waiting"] = clean(evidence["waiting"])
    parts: dict[str, Iterable[str]] = {
        "said": [evidence.get("said") or ""],
        "pods": pod_lines(evidence),
        "workloads": workload_lines(evidence),
        "claims": claim_lines(evidence),
        "quota": quota_lines(evidence),
        "events": event_lines(evidence),
    }
    left -= size(result)
    for key, lines in parts.items():
        result[key], left = as_fits(lines, left)
    result["logs"] = {}
    for name, text in (evidence.get("logs") or {}).items():
        # Redacted when it was read; what is far from the end need not be looked at again.
        text = tail(text[-2 * LOG_CHARACTERS :], LOG_CHARACTERS)
        if (cost := size({name: text})) <= left:
            result["logs"][name], left = text, left - cost
    return result


def facts(evidence: Evidence) -> Iterator[str]:
    """The lines that a person would look at first."""
    if said := evidence.get("said"):
        yield f"The cluster said: {said}"
    yield from pod_lines(evidence)
    yield from workload_lines(evidence)
    yield from claim_lines(evidence)
    yield from event_lines(evidence)


def as_fits(lines: Iterable[str], left: int) -> tuple[list[str], int]:
    taken = []
    for line in filter(None, map(one_line, lines)):
        cost = size([line])
        if cost > left:
            break
        taken.append(line)
        left -= cost
    return taken, left


def size(value: Any) -> int:
    # As the database keeps it: an emoji takes twelve.
    return len(json.dumps(value)) + 8


def pod_lines(evidence: Evidence) -> Iterator[str]:
    for pod in items(evidence, "pods"):
        status = pod.get("status", {})
        for key in ("initContainerStatuses", "containerStatuses"):
            for container in containers(pod, key):
                yield f"Pod {name_of(pod)}, {container.get('name', '')}: {state_of(container)}"
        if not status.get("containerStatuses"):
            said = [
                f"{entry.get('type')} {entry.get('status')}: {entry.get('message', '')}"
                for entry in status.get("conditions") or ()
                if entry.get("status") != "True"
            ]
            yield f"Pod {name_of(pod)}: {status.get('phase', 'unknown')}; {'; '.join(said)}"


def state_of(container: Object) -> str:
    state = next(iter(container.get("state") or {}), "no state")
    said = [state, "ready" if container.get("ready") else "not ready"]
    if waiting(container):
        said.append(f"{waiting(container).get('reason')} {waiting(container).get('message', '')}")
    if end := last_end(container):
        said.append(f"ended last with exit code {end.get('exitCode')} ({end.get('reason')})")
    if restarts := container.get("restartCount"):
        said.append(f"restarted {restarts} times")
    return ", ".join(said)


def workload_lines(evidence: Evidence) -> Iterator[str]:
    for item in items(evidence, "workloads"):
        status = item.get("status", {})
        ready, wanted = status.get("readyReplicas", 0), item.get("spec", {}).get("replicas", 1)
        yield f"{item['kind']} {name_of(item)}: {ready} of {wanted} ready"
    for job in items(evidence, "jobs"):
        if not made_by_cron(job) and not is_up(job):
            status = job.get("status", {})
            yield (
                f"Job {name_of(job)}: {status.get('active', 0)} running, "
                f"{status.get('failed', 0)} failed"
            )


def claim_lines(evidence: Evidence) -> Iterator[str]:
    for claim in items(evidence, "claims"):
        yield f"Disk {name_of(claim)}: {claim.get('status', {}).get('phase', 'unknown')}"


def quota_lines(evidence: Evidence) -> Iterator[str]:
    for quota in items(evidence, "quotas"):
        status = quota.get("status", {})
        for key, hard in (status.get("hard") or {}).items():
            yield f"{key}: {(status.get('used') or {}).get(key, '?')} of {hard} used"


def event_lines(evidence: Evidence) -> Iterator[str]:
    """The newest first, warnings before the rest."""
    events = sorted(items(evidence, "events"), key=last_seen, reverse=True)
    events.sort(key=lambda event: event.get("type") == "Normal")
    for event in events[:MOST_EVENTS]:
        ago = max(0.0, seconds_since(evidence, last_seen(event)))
        yield f"{ago:.0f} s before: {event_line(event)}"
