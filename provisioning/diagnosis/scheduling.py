"""Pods that find no machine, or whose machine is gone."""

from __future__ import annotations

from collections.abc import Iterator

from provisioning.diagnosis.facts import events_about, is_ready, items, name_of, pods_at_work
from provisioning.diagnosis.finding import Diagnosis, Evidence, Object
from stores.messages import Message

ROOM = ("Insufficient ", "Too many pods", "exceed max volume count")
# Then it is the disk that is missing: storage.py speaks of it.
OF_DISKS = ("unbound immediate PersistentVolumeClaims", "persistentvolumeclaim ")


def unplaced(evidence: Evidence) -> Iterator[tuple[Object, str]]:
    for pod in pods_at_work(evidence):
        for entry in pod.get("status", {}).get("conditions") or ():
            text = (entry.get("message") or "").strip()
            refused = entry.get("type") == "PodScheduled" and entry.get("status") == "False"
            if refused and entry.get("reason") != "SchedulingGated":
                yield pod, text


def no_room(evidence: Evidence) -> Diagnosis | None:
    for pod, text in unplaced(evidence):
        if any(words in text for words in ROOM):
            return of_pod(evidence, "unschedulable", pod, text)
    return None


def no_matching_node(evidence: Evidence) -> Diagnosis | None:
    for pod, text in unplaced(evidence):
        if not any(words in text for words in (*ROOM, *OF_DISKS)):
            return of_pod(evidence, "no-matching-node", pod, text)
    return None


def of_pod(evidence: Evidence, code: str, pod: Object, text: str) -> Diagnosis:
    name = name_of(pod)
    lines = (f"Pod {name}: not scheduled: {text}", *events_about(evidence, "Pod", name))
    return Diagnosis(Message(code, {"name": name}), "cluster", "platform", "contact", lines)


def node_lost(evidence: Evidence) -> Diagnosis | None:
    """The machine that a pod runs on does not report any more; the cluster moves the pod, later."""
    silent = {name_of(node): node for node in items(evidence, "nodes") if not is_ready(node)}
    for pod in pods_at_work(evidence):
        node = silent.get(pod.get("spec", {}).get("nodeName", ""))
        if node and not is_ready(pod):
            name = name_of(pod)
            lines = (f"Node {name_of(node)}: {why_not_ready(node)}", f"Pod {name}: runs there")
            cause = Message("node-lost", {"name": name, "node": name_of(node)})
            return Diagnosis(cause, "cluster", "platform", "", lines)
    return None


def why_not_ready(node: Object) -> str:
    for entry in node.get("status", {}).get("conditions") or ():
        if entry.get("type") == "Ready":
            return f"{entry.get('reason', '')}: {entry.get('message', '')}"
    return "it has never reported"
