"""Why a store does not get up: an ordered table of rules over what the cluster shows.

Each rule is a pure function of ``Cluster.evidence``; the first that finds its cause says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from stores.messages import Message

Evidence = dict[str, Any]
Object = dict[str, Any]
Move = Literal["owner", "support", "platform", "nobody"]
Action = Literal["", "retry", "repair", "delete", "contact"]
# Whose fault it is decides what becomes of the store: workload and chart may fail it at once where
# waiting cannot help, user and unknown at its deadline, cluster and portal never do.
Class = Literal["user", "chart", "workload", "cluster", "portal", "unknown"]
PULL_REASONS = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull")


@dataclass(frozen=True)
class Diagnosis:
    """Why a store is not as it should be, what that rests on, and what to do.

    ``lines``: the evidence, each one line of text, redacted and cut. ``at_once``: waiting cannot help.
    """

    cause: Message
    kind: Class
    move: Move
    action: Action = ""
    lines: tuple[str, ...] = field(default=())
    at_once: bool = False

    @property
    def never_fails(self) -> bool:
        """Not the store's fault: its clock stands still, and it is tried again."""
        return self.kind in ("cluster", "portal")

    def as_json(self) -> dict[str, Any]:
        return {
            "cause": self.cause.as_json(),
            "kind": self.kind,
            "move": self.move,
            "action": self.action,
            "lines": list(self.lines),
            "at_once": self.at_once,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Diagnosis:
        return cls(
            cause=Message.from_json(value["cause"]),
            kind=value["kind"],
            move=value["move"],
            action=value["action"],
            lines=tuple(value["lines"]),
            at_once=value["at_once"],
        )


def pods_refused(evidence: Evidence) -> Message | None:
    """Admission (a quota, Pod Security, a policy) refuses the pods a controller wants to make."""
    for workload in evidence["workloads"]:
        for condition in workload.get("status", {}).get("conditions") or ():
            if condition.get("type") == "ReplicaFailure" and condition.get("status") == "True":
                return refused(workload["metadata"]["name"], condition.get("message", ""))
    # StatefulSets and Jobs say it in events only, which stay for an hour: only of those not up.
    missing = {
        (owner["kind"], owner["metadata"]["name"]): owner
        for owner in evidence["workloads"] + evidence["jobs"]
        if not owner.get("status", {}).get("replicas")
        and not owner.get("status", {}).get("active")
        and not owner.get("status", {}).get("succeeded")
    }
    for event in evidence["events"]:
        about = event.get("involvedObject", {})
        if (
            event.get("reason") == "FailedCreate"
            and (about.get("kind"), about.get("name")) in missing
        ):
            return refused(about["name"], event.get("message", ""))
    return None


def refused(name: str, text: str) -> Message:
    return Message("pods-refused", {"name": name, "reason": text.strip()[:400]})


def image_unavailable(evidence: Evidence) -> Message | None:
    for _, status in containers(evidence):
        waiting = status.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in PULL_REASONS:
            return Message(
                "image-unavailable", {"image": status.get("image", ""), "reason": waiting["reason"]}
            )
    return None


def unschedulable(evidence: Evidence) -> Message | None:
    for pod in evidence["pods"]:
        for condition in pod.get("status", {}).get("conditions") or ():
            if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
                return Message(
                    "unschedulable",
                    {"name": pod["metadata"]["name"], "reason": condition.get("message", "")[:400]},
                )
    return None


def volume_refused(evidence: Evidence) -> Message | None:
    pending = {
        claim["metadata"]["name"]
        for claim in evidence["claims"]
        if claim.get("status", {}).get("phase") != "Bound"
    }
    for event in evidence["events"]:
        about = event.get("involvedObject", {})
        bad = event.get("reason") in ("FailedBinding", "ProvisioningFailed")
        if bad and about.get("kind") == "PersistentVolumeClaim" and about.get("name") in pending:
            reason = event.get("message", "")[:400]
            return Message("volume-refused", {"name": about["name"], "reason": reason})
    return None


def crash_loop(evidence: Evidence) -> Message | None:
    for pod, status in containers(evidence):
        ended = (status.get("lastState") or {}).get("terminated") or (
            status.get("state", {}).get("terminated") or {}
        )
        waiting = status.get("state", {}).get("waiting") or {}
        if waiting.get("reason") == "CrashLoopBackOff" or ended.get("exitCode"):
            return Message(
                "crash-loop",
                {
                    "name": pod["metadata"]["name"],
                    "reason": ended.get("reason") or waiting.get("reason", "Error"),
                    "exit_code": ended.get("exitCode", "unknown"),
                },
            )
    return None


def containers(evidence: Evidence) -> Iterator[tuple[Object, Object]]:
    """(pod, container status) of every container, those that run first included."""
    for pod in evidence["pods"]:
        status = pod.get("status", {})
        for key in ("initContainerStatuses", "containerStatuses"):
            for container in status.get(key) or ():
                yield pod, container


RULES: tuple[Callable[[Evidence], Message | None], ...] = (
    pods_refused,
    volume_refused,
    unschedulable,
    image_unavailable,
    crash_loop,
)


def cause(evidence: Evidence) -> Message | None:
    """What keeps the store from getting up, if the cluster shows it."""
    for rule in RULES:
        if found := rule(evidence):
            return found
    return None


def diagnose(evidence: Evidence) -> Diagnosis | None:
    found = cause(evidence)
    return Diagnosis(found, "workload", "support", "retry") if found else None


def kept(evidence: Evidence) -> dict[str, Any]:
    return {}


# What is known without looking at the cluster: kind, whose move it is, and what to do.
KNOWN: dict[str, tuple[Class, Move, Action]] = {
    "setup-failed": ("workload", "owner", "retry"),
    "secret-lost": ("workload", "support", "contact"),
    "volume-lost": ("workload", "support", "contact"),
    "namespace-lost": ("workload", "support", "contact"),
    "namespace-taken": ("user", "support", "contact"),
}


def of(message: Message) -> Diagnosis:
    """The diagnosis that a step has made itself."""
    kind, move, action = KNOWN.get(message.code, ("unknown", "support", "contact"))
    return Diagnosis(message, kind, move, action, at_once=True)
