"""Raw objects reduced to what is judged of them: pure functions, for the survey and the watch.

A thousand stores are some twenty thousand objects: what is kept of each is small, and what many have
alike (a guardrail's content, but for the store it belongs to) is kept once.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from typing import Any

from provisioning.cluster import readiness
from provisioning.cluster.base import (
    MANAGED_BY,
    STORE_LABEL,
    Change,
    Seen,
    SeenNamespace,
    SeenObject,
    SeenVolume,
)
from stores.messages import Message

Object = dict[str, Any]
KINDS = (
    "RoleBinding", "ResourceQuota", "LimitRange", "NetworkPolicy", "Service", "Ingress",
    "Deployment", "StatefulSet", "CronJob", "Job", "PersistentVolumeClaim", "Pod",
)  # fmt: skip
WORKLOADS = ("Deployment", "StatefulSet")
GUARDRAILS = ("RoleBinding", "ResourceQuota", "LimitRange", "NetworkPolicy")
# What of a quota people are shown: that of which a plan promises some.
SHOWN = ("requests.cpu", "limits.memory", "requests.storage", "pods")
# Reasons of a container that is being made: it only takes its time.
MAKING = ("ContainerCreating", "PodInitializing", "")


def namespace(item: Object) -> SeenNamespace:
    metadata = item["metadata"]
    return SeenNamespace(
        name=metadata["name"],
        uid=metadata["uid"],
        store_id=metadata.get("labels", {}).get(STORE_LABEL, ""),
        terminating="deletionTimestamp" in metadata,
        created=metadata.get("creationTimestamp", ""),
        labels=interned(metadata.get("labels")),
        annotations=interned(metadata.get("annotations")),
    )


def thing(item: Object) -> SeenObject:
    """``item`` with its kind, which items of a list do not have by themselves."""
    metadata, kind = item["metadata"], item["kind"]
    labels = metadata.get("labels", {})
    return SeenObject(
        kind=kind,
        namespace=sys.intern(metadata["namespace"]),
        name=sys.intern(metadata["name"]),
        store_id=sys.intern(labels.get(STORE_LABEL, "")),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        waiting=waiting(item),
        content=sys.intern(content(item)),
        usage=sys.intern(usage(item)),
    )


def volume(item: Object) -> SeenVolume:
    spec = item["spec"]
    claim = spec.get("claimRef", {})
    return SeenVolume(
        name=item["metadata"]["name"],
        namespace=claim.get("namespace", ""),
        claim=claim.get("name", ""),
        phase=item.get("status", {}).get("phase", ""),
        reclaim=spec.get("persistentVolumeReclaimPolicy", ""),
    )


def interned(texts: dict[str, str] | None) -> dict[str, str]:
    return {sys.intern(key): sys.intern(value) for key, value in (texts or {}).items()}


# --- What it waits for -----------------------------------------------------------------------


def waiting(item: Object) -> Message | None:
    kind = item["kind"]
    if kind == "Pod":
        return pod_waiting(item)
    if kind == "ResourceQuota":
        return None if readiness.is_up(item) else Message("quota-pending")
    if kind not in (*WORKLOADS, "Job", "PersistentVolumeClaim") or readiness.is_up(item):
        return None
    if kind == "Job" and readiness.made_by_cron(item):
        return None
    return readiness.reason_not_up(item)


def pod_waiting(pod: Object) -> Message | None:
    """Why it does not serve; None also for pods of Jobs and for those that have ended."""
    status = pod.get("status", {})
    if part_of(pod).startswith("Job/") or "deletionTimestamp" in pod["metadata"]:
        return None
    if status.get("phase") == "Succeeded" or readiness.condition(pod, "Ready"):
        return None
    said = pod_trouble(status)
    return Message(said.code, {**said.params, "since": not_ready_since(pod)})


def pod_trouble(status: Object) -> Message:
    if status.get("phase") == "Failed":
        return Message("pod-ended", {"reason": status.get("reason") or "Failed"})
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return Message("pod-unscheduled", {"reason": condition.get("message", "")[:300]})
    containers = containers_of(status)
    for container in containers:
        if said := container_trouble(container):
            return said
    if containers and all(container.get("ready") for container in containers):
        return Message("pod-node")
    running = [one for one in containers if "running" in one.get("state", {})]
    if running and len(running) == len(containers):
        return Message("pod-probe")
    return Message("pod-starting")


def container_trouble(container: Object) -> Message | None:
    state = container.get("state", {})
    waits = state.get("waiting", {}).get("reason", "")
    last = container.get("lastState", {}).get("terminated") or state.get("terminated") or {}
    if "Image" in waits:
        return Message("pod-image", {"image": container.get("image", ""), "reason": waits})
    if waits == "CrashLoopBackOff" or state.get("terminated", {}).get("exitCode"):
        return Message("pod-crash", ending(last))
    if waits not in MAKING:
        return Message("pod-refused", {"reason": waits})
    return None


def ending(terminated: Object) -> Object:
    return {
        "reason": terminated.get("reason") or "Error",
        "exit_code": terminated.get("exitCode", 0),
    }


def containers_of(status: Object) -> list[Object]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def not_ready_since(pod: Object) -> str:
    """ISO time of the last change of its readiness, or of its making."""
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("type") == "Ready" and condition.get("lastTransitionTime"):
            return str(condition["lastTransitionTime"])
    return str(pod["metadata"].get("creationTimestamp", ""))


# --- What is compared ------------------------------------------------------------------------


def content(item: Object) -> str:
    kind = item["kind"]
    if kind == "Pod":
        return compact(pod_content(item))
    if kind == "PersistentVolumeClaim":
        volume_name = item.get("spec", {}).get("volumeName", "")
        phase = item.get("status", {}).get("phase", "")
        going = "deletionTimestamp" in item["metadata"]
        return compact({"phase": phase, "volume": volume_name, "going": going})
    if kind in GUARDRAILS:
        return guardrail(item)
    return ""


def guardrail(item: Object) -> str:
    """What of a guardrail counts, as compact JSON; empty for what Helm made.

    Of the labels all but the store's own, which ``SeenObject.store_id`` says.
    """
    labels = dict(item["metadata"].get("labels", {}))
    if labels.get(MANAGED_BY) == "Helm":
        return ""
    labels.pop(STORE_LABEL, None)
    kept = {key: item[key] for key in ("spec", "roleRef", "subjects") if key in item}
    return compact({"labels": labels, **kept})


def usage(item: Object) -> str:
    """Empty of what is no quota, and of one that nobody has counted yet."""
    status = item.get("status", {})
    used, hard = status.get("used") or {}, status.get("hard") or {}
    if item["kind"] != "ResourceQuota" or not used:
        return ""
    return compact(
        {
            key: {"used": used[key], "hard": hard[key]}
            for key in SHOWN
            if key in used and key in hard
        }
    )


def pod_content(pod: Object) -> Object:
    kept: Object = {"of": part_of(pod)}
    restarts = [one for one in containers_of(pod.get("status", {})) if one.get("restartCount")]
    if restarts:
        worst = max(restarts, key=lambda one: int(one["restartCount"]))
        last = worst.get("lastState", {}).get("terminated") or {}
        kept |= {
            "created": pod["metadata"].get("creationTimestamp", ""),
            "restarts": worst["restartCount"],
            "last": last.get("finishedAt", ""),
            **ending(last),
        }
    return kept


def part_of(pod: Object) -> str:
    """ "Kind/name" of the workload that made it; empty for a pod that somebody made by hand."""
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("kind") == "ReplicaSet":
            return f"Deployment/{owner['name'].rsplit('-', 1)[0]}"
        if owner.get("controller"):
            return f"{owner['kind']}/{owner['name']}"
    return ""


def compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


# --- What the watch says ---------------------------------------------------------------------


def picture(kind: str, found: Iterable[Seen]) -> Change:
    """Everything of a kind, when its watch begins; what a pass waits for may be among it."""
    awaited = kind in (*readiness.WATCHED, "Namespace")
    return Change("", kind, turned=awaited, picture=list(found))


def change(before: Seen | None, now: Seen | None) -> Change:
    """``before``: None for what is new; ``now``: None for what is gone."""
    either = now or before
    assert either is not None
    return Change(
        store_id=either.store_id,
        kind=either.kind,
        name=either.name,
        namespace=either.namespace if isinstance(either, SeenObject) else either.name,
        uid=either.uid,
        seen=now,
        turned=turned(before, now),
    )


def turned(before: Seen | None, now: Seen | None) -> bool:
    if isinstance(now, SeenNamespace) or isinstance(before, SeenNamespace):
        return now is None  # what happens to a namespace before its end is our own doing
    either = now or before
    if either is None or either.kind not in readiness.WATCHED:
        return False
    return now is None or now.is_over != (before is not None and before.is_over)


def by_namespace(objects: Iterable[SeenObject]) -> dict[str, list[SeenObject]]:
    found: dict[str, list[SeenObject]] = {}
    for one in objects:
        found.setdefault(one.namespace, []).append(one)
    return found
