"""A namespace that is on its way out and does not go."""

from __future__ import annotations

import re

from provisioning.cluster.readiness import condition
from provisioning.diagnosis.control_plane import SILENT_SECONDS
from provisioning.diagnosis.facts import clock, name_of, seconds_since
from provisioning.diagnosis.finding import Diagnosis, Evidence, Object
from stores.messages import Message

REMAINS = re.compile(r"([\w.-]+?)\.? has (\d+) resource instances?")
FINALIZERS = re.compile(r"([\w.-]+(?:/[\w.-]+)?) in (\d+) resource instances?")
GROUP = re.compile(r"([\w.-]+\.[\w.-]+/v\w+)")


def leaving(evidence: Evidence) -> Object | None:
    namespace: Object | None = evidence.get("namespace")
    return namespace if namespace and "deletionTimestamp" in namespace["metadata"] else None


def seconds_leaving(evidence: Evidence) -> float:
    namespace = leaving(evidence)
    return seconds_since(evidence, namespace["metadata"]["deletionTimestamp"]) if namespace else 0.0


def addon_down(evidence: Evidence) -> Diagnosis | None:
    """The cluster cannot list all kinds of things there are, so it does not dare to end."""
    namespace = leaving(evidence)
    if namespace and (entry := condition(namespace, "NamespaceDeletionDiscoveryFailure")):
        text = entry.get("message", "")
        found = GROUP.search(text)
        cause = Message("addon-down", {"name": found[1] if found else "of unknown name"})
        line = f"Namespace {name_of(namespace)}: {entry.get('reason', '')}: {text}"
        return Diagnosis(cause, "cluster", "platform", "", (line,))
    return None


def namespace_stuck(evidence: Evidence) -> Diagnosis | None:
    """For longer than what ends in an orderly way takes."""
    namespace = leaving(evidence)
    if namespace is None or seconds_leaving(evidence) <= SILENT_SECONDS:
        return None
    texts = {
        kind: entry.get("message", "")
        for kind in (
            "NamespaceFinalizersRemaining", "NamespaceContentRemaining",
            "NamespaceDeletionContentFailure", "NamespaceDeletionGroupVersionParsingFailure",
        )
        if (entry := condition(namespace, kind))
    }  # fmt: skip
    if not texts:
        return None
    lines = tuple(f"Namespace {name_of(namespace)}: {text}" for text in texts.values())
    return Diagnosis(stuck_on(texts), "cluster", "platform", "contact", lines)


def stuck_on(texts: dict[str, str]) -> Message:
    left = REMAINS.findall(texts.get("NamespaceContentRemaining", ""))
    holders = FINALIZERS.findall(texts.get("NamespaceFinalizersRemaining", ""))
    what = ", ".join(f"{count} {kind}" for kind, count in left)
    if holders:
        who = ", ".join(name for name, _ in holders)
        return Message("namespace-held", {"left": what or "something", "finalizer": who})
    return Message("namespace-stuck", {"left": what or "; ".join(texts.values())})


def removal_silent(evidence: Evidence) -> Diagnosis | None:
    """Nothing is said about why: then nobody is at it."""
    namespace = leaving(evidence)
    conditions = (namespace or {}).get("status", {}).get("conditions")
    if namespace and not conditions and seconds_leaving(evidence) > SILENT_SECONDS:
        asked = clock(namespace["metadata"]["deletionTimestamp"])
        line = f"Namespace {name_of(namespace)}: not looked at by the cluster since {asked}"
        return Diagnosis(Message("controllers-silent"), "cluster", "platform", "", (line,))
    return None
