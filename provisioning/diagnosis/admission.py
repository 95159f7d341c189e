"""The cluster does not let the pods of a store come to be: limits, Pod Security, policies."""

from __future__ import annotations

import re
from collections.abc import Iterator

from provisioning.cluster.readiness import condition, made_by_cron
from provisioning.diagnosis.facts import event_line, items, name_of, subject
from provisioning.diagnosis.finding import Diagnosis, Evidence, Object
from stores.messages import Message

# What people call what a quota counts.
WORDS = {
    "cpu": "processor time",
    "memory": "memory",
    "storage": "disk space",
    "ephemeral-storage": "temporary disk space",
    "pods": "running parts",
    "persistentvolumeclaims": "disks",
    "secrets": "stored records",
}
EXCEEDED = re.compile(r"exceeded quota: (\S+), requested: (\S+), used: (\S+), limited: (\S+)")
UNNAMED = re.compile(r"failed quota: (\S+): must specify (\S+)")
OUT_OF_RANGE = re.compile(
    r"((?:maximum|minimum) (\S+) usage per (\S+) is (\S+?)[,.] but (?:request|limit) is (\S+?)[.,\]]*"
    r"|(\S+) max limit to request ratio per \S+ is \S+)(?:$|\s)"
)
ACCOUNT = re.compile(r"error looking up service account [^/\s]+/([\w.-]+)")
WEBHOOK = re.compile(r"failed calling webhook|failed to call webhook")


def refusals(evidence: Evidence) -> Iterator[tuple[str, str, str]]:
    """(name of the part, the refusal, the line of evidence), of what is refused now.

    Deployments say it in a condition, StatefulSets and Jobs only in events, which stay for an hour:
    of these, only those that have no pods are believed.
    """
    for workload in items(evidence, "workloads"):
        if failure := condition(workload, "ReplicaFailure"):
            name, text = name_of(workload), failure.get("message", "").strip()
            yield name, text, f"{workload['kind']} {name}: {failure.get('reason', '')}: {text}"
    empty = {(owner["kind"], name_of(owner)) for owner in owners(evidence) if has_no_pods(owner)}
    for event in items(evidence, "events"):
        if event.get("reason") == "FailedCreate" and subject(event) in empty:
            text = (event.get("message") or "").strip()
            yield subject(event)[1], text, event_line(event)


def owners(evidence: Evidence) -> list[Object]:
    jobs = [job for job in items(evidence, "jobs") if not made_by_cron(job)]
    return items(evidence, "workloads") + jobs


def has_no_pods(owner: Object) -> bool:
    status = owner.get("status", {})
    over = condition(owner, "Failed") if owner["kind"] == "Job" else None
    return not (over or any(status.get(key) for key in ("replicas", "active", "succeeded")))


def all_refusals(evidence: Evidence) -> Iterator[tuple[str, str, str]]:
    """Those of pods, then what was refused to us or to Helm."""
    yield from refusals(evidence)
    if said := evidence.get("said") or "":
        named = re.search(r'(\S+) "([^"]+)" is forbidden', said)
        yield (named[2] if named else "a part of the store"), said, f"The cluster said: {said}"


def quota_exceeded(evidence: Evidence) -> Diagnosis | None:
    for name, text, line in all_refusals(evidence):
        if found := EXCEEDED.search(text):
            quota, requested, used, hard = found.groups()
            resource, asked = first_over(requested, used, hard)
            params = {
                "name": name,
                "words": in_words(resource),
                "resource": resource,
                "used": amounts(used).get(resource, "?"),
                "hard": amounts(hard).get(resource, "?"),
                "requested": asked,
            }
            says = f"quota {resource}: {params['used']} of {params['hard']} used, {asked} more asked for"
            return Diagnosis(
                Message("quota-exceeded", params), "user", "support", "contact",
                (says, *quota_lines(evidence, quota), line),
            )  # fmt: skip
    return None


def amounts(text: str) -> dict[str, str]:
    """What a quota's refusal lists: "cpu=1,memory=2Gi"."""
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def first_over(requested: str, used: str, hard: str) -> tuple[str, str]:
    """The refusal lists what is exceeded only: the first of it stands for all."""
    asked = amounts(requested)
    resource = next((key for key in asked if key in amounts(used) and key in amounts(hard)), "")
    return resource or next(iter(asked), "?"), asked.get(resource, "?")


def in_words(resource: str) -> str:
    return WORDS.get(resource.split(".")[-1].split("/")[-1], "room")


def quota_lines(evidence: Evidence, quota: str) -> Iterator[str]:
    for each in items(evidence, "quotas"):
        if name_of(each) == quota.rstrip(",:"):
            used, hard = (each.get("status", {}).get(key, {}) for key in ("used", "hard"))
            yield f"{quota}: " + ", ".join(f"{key} {used.get(key)} of {hard[key]}" for key in hard)


def limit_unnamed(evidence: Evidence) -> Diagnosis | None:
    """The quota counts something for which the LimitRange has no default."""
    for name, text, line in all_refusals(evidence):
        if found := UNNAMED.search(text):
            resource = found[2].split(",")[0].rstrip(":;")
            cause = Message("limit-unnamed", {"name": name, "resource": resource})
            limits = [f"LimitRange {name_of(each)} is there" for each in items(evidence, "limits")]
            lines = (line, *(limits or ["There is no LimitRange in the namespace"]))
            return Diagnosis(cause, "portal", "platform", "repair", lines)
    return None


def limit_exceeded(evidence: Evidence) -> Diagnosis | None:
    for name, text, line in all_refusals(evidence):
        if "is forbidden" in text and (found := OUT_OF_RANGE.search(text)):
            resource = found[2] or found[6]
            cause = Message(
                "limit-exceeded",
                {"name": name, "words": in_words(resource), "reason": found[1].strip("[] ")},
            )
            return Diagnosis(cause, "user", "support", "contact", (line,))
    return None


def pod_security_refuses(evidence: Evidence) -> Diagnosis | None:
    for name, text, line in all_refusals(evidence):
        if found := re.search(r"violates PodSecurity \"?[^:\"]+[^ ]*\"?: (.*)", text, re.DOTALL):
            cause = Message("pod-security-refuses", {"name": name, "reason": found[1]})
            # The same pod is refused again and again, until the chart is another.
            return Diagnosis(cause, "chart", "support", "contact", (line,), at_once=True)
    return None


def account_missing(evidence: Evidence) -> Diagnosis | None:
    """The account that every namespace has is made by the cluster, a moment after the namespace."""
    for name, text, line in refusals(evidence):
        if found := ACCOUNT.search(text):
            if found[1] == "default":
                cause = Message("namespace-not-prepared", {"name": name})
                return Diagnosis(cause, "cluster", "nobody", "", (line,))
            cause = Message("account-missing", {"name": name, "account": found[1]})
            return Diagnosis(cause, "chart", "support", "repair", (line,))
    return None


def pods_refused(evidence: Evidence) -> Diagnosis | None:
    """Anything else that keeps pods from being made: a policy of whoever runs the cluster."""
    for name, text, line in refusals(evidence):
        if not WEBHOOK.search(text):
            cause = Message("pods-refused", {"name": name, "reason": text})
            return Diagnosis(cause, "chart", "support", "contact", (line,))
    return None
