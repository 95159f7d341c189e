"""The cluster itself: its controllers, its scheduler, its API."""

from __future__ import annotations

import re

from provisioning.cluster.readiness import condition, made_by_cron
from provisioning.diagnosis.facts import age, clock, items, name_of, pods_at_work, seconds_since
from provisioning.diagnosis.finding import Diagnosis, Evidence, Object
from provisioning.diagnosis.release import quoted, said
from stores.messages import Message

# In a healthy cluster each of these takes less than a second.
SILENT_SECONDS = 30.0
THROTTLED = re.compile(r"HTTP 429|too many requests|client rate limiter|throttl", re.IGNORECASE)
UNREACHABLE = re.compile(
    r"cluster unreachable|connection (?:refused|reset|aborted)|max retries exceeded|timed? ?out"
    r"|i/o timeout|deadline exceeded|no route to host|network is unreachable|remote end closed"
    r"|name or service not known|no such host|HTTP 5\d\d|HTTP 408|service unavailable|etcdserver"
    r"|apiserver not ready|http2: |\bEOF\b|the answer is not whole|TLS handshake",
    re.IGNORECASE,
)


def lease_line(evidence: Evidence, component: str) -> str:
    """That whoever holds the component's lease has stopped renewing it; empty if it has not."""
    for lease in items(evidence, "leases"):
        spec = lease.get("spec", {})
        seconds = seconds_since(evidence, spec.get("renewTime"))
        if name_of(lease) == component and seconds > spec.get("leaseDurationSeconds", 15) * 2:
            return f"Lease {component}: not renewed since {clock(spec.get('renewTime'))}"
    return ""


def controllers_silent(evidence: Evidence) -> Diagnosis | None:
    """What was asked for has not even been looked at."""
    lines = [line for item in overlooked(evidence) if (line := overlooked_line(evidence, item))]
    if line := lease_line(evidence, "kube-controller-manager"):
        lines.append(line)
    if lines:
        return Diagnosis(Message("controllers-silent"), "cluster", "platform", "", tuple(lines))
    return None


def overlooked(evidence: Evidence) -> list[Object]:
    kinds = {"quotas": "ResourceQuota", "replicasets": "ReplicaSet", "jobs": "Job"}
    others = [
        {"kind": kind, **item} for key, kind in kinds.items() for item in items(evidence, key)
    ]
    return [item for item in items(evidence, "workloads") + others if not made_by_cron(item)]


def overlooked_line(evidence: Evidence, item: Object) -> str:
    """Empty if its controller has seen it, or may still."""
    kind, status = item["kind"], item.get("status", {})
    if kind == "ResourceQuota":
        seen = "used" in status
    elif kind == "Job":
        seen = "startTime" in status or bool(item.get("spec", {}).get("suspend"))
    else:
        seen = status.get("observedGeneration", 0) >= item["metadata"].get("generation", 1)
        # Seen, and yet nothing was made of it, and nothing was said.
        wanted = item.get("spec", {}).get("replicas", 1)
        made = status.get("replicas", 0) or condition(item, "ReplicaFailure")
        if seen and kind == "ReplicaSet" and wanted and not made:
            seen = False
    seconds = seconds_since(evidence, changed_at(item))
    if seen or seconds <= SILENT_SECONDS:
        return ""
    return f"{kind} {name_of(item)}: not looked at by the cluster since {clock(changed_at(item))}"


def changed_at(item: Object) -> str:
    """When somebody last wrote what is wanted (not what is)."""
    fields = item["metadata"].get("managedFields") or ()
    times = [field.get("time", "") for field in fields if field.get("subresource") != "status"]
    return str(max(item["metadata"].get("creationTimestamp") or "", *times, ""))


def scheduler_silent(evidence: Evidence) -> Diagnosis | None:
    """A pod that nobody has looked at: for a while, or while the scheduler's lease runs out."""
    expired = lease_line(evidence, "kube-scheduler")
    for pod in pods_at_work(evidence):
        if not was_looked_at(pod) and (expired or age(evidence, pod) > SILENT_SECONDS):
            made = clock(pod["metadata"].get("creationTimestamp"))
            line = f"Pod {name_of(pod)}: made at {made}, and no machine was looked for"
            lines = tuple(filter(None, (line, expired)))
            return Diagnosis(Message("scheduler-silent"), "cluster", "platform", "", lines)
    return None


def was_looked_at(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return bool(pod.get("spec", {}).get("nodeName")) or any(
        entry.get("type") == "PodScheduled" for entry in conditions
    )


def api_throttled(evidence: Evidence) -> Diagnosis | None:
    if THROTTLED.search(said(evidence)):
        return Diagnosis(Message("cluster-busy"), "cluster", "nobody", "", quoted(evidence))
    return None


def api_unreachable(evidence: Evidence) -> Diagnosis | None:
    if UNREACHABLE.search(said(evidence)):
        return Diagnosis(
            Message("cluster-unavailable"), "cluster", "platform", "", quoted(evidence)
        )
    return None
