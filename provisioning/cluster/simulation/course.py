"""What has become of an object by a given moment: computed from the clock, nothing is kept.

The shapes are those of a real cluster, so that readiness and diagnosis read both alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from provisioning.cluster.base import Manifest
from provisioning.cluster.simulation.objects import Stored, timestamp

NAME_ANNOTATION = "storeyard.dev/name"
# On a workload: what has become of its pods, whatever its store is called ("unready", "crash", …).
TROUBLE_ANNOTATION = "simulated.storeyard.dev/trouble"
# What goes wrong in a store whose name begins so.
FAULTS = (
    "broken-image", "broken-once", "no-room", "crash", "setup-fails", "slow", "stuck-delete",
    "degraded",
)  # fmt: skip
SLOWER = 4.0
# Long enough for people to be told what holds it (provisioning/diagnosis/leaving.py).
STUCK = 25.0
# From when until when a ready shop does not serve, as multiples of the time that it took to start.
UNWELL = (3.0, 9.0)
# When each is up, as a share of the time that a whole store takes.
QUOTA, CLAIM, DATABASE, SETUP, WEB = 0.1, 0.2, 0.4, 0.8, 1.0
# When a pod's trouble shows; before that its containers are being made.
TROUBLE = 0.2
WORKLOADS = ("Deployment", "StatefulSet")


@dataclass(frozen=True)
class Course:
    """How things go in one namespace. ``seconds``: from the release to a store that is all up."""

    fault: str
    seconds: float

    @classmethod
    def of(cls, namespace: Stored | None, seconds: float) -> Course:
        name = namespace.annotations.get(NAME_ANNOTATION, "").lower() if namespace else ""
        fault = next((fault for fault in FAULTS if name.startswith(fault)), "")
        return cls(fault, seconds * SLOWER if fault == "slow" else seconds)

    def reached(self, stored: Stored, share: float, now: float) -> bool:
        return now - stored.since >= share * self.seconds

    def terminating(self, seconds: float) -> float:
        return seconds * STUCK if self.fault == "stuck-delete" else seconds


def observed(
    stored: Stored,
    course: Course,
    now: float,
    content: int = 0,
    used: dict[str, str] | None = None,
) -> Manifest:
    """The object with its status at that moment. ``content``: objects in it, for a namespace;
    ``used``: for a quota, what there is of what it counts (counting.py).
    """
    body = {**stored.body, "metadata": dict(stored.body["metadata"])}
    if stored.kind == "Namespace":
        body["status"] = namespace_status(stored, course, content)
    elif stored.kind == "ResourceQuota":
        body["status"] = quota_status(stored, course, now, used or {})
    elif stored.kind == "PersistentVolumeClaim":
        if course.reached(stored, CLAIM, now):
            body["spec"] = {**body.get("spec", {}), "volumeName": volume_name(stored)}
        body["status"] = {"phase": "Bound" if "volumeName" in body["spec"] else "Pending"}
    elif stored.kind == "PersistentVolume":
        body["status"] = {"phase": "Bound" if stored.expires is None else "Released"}
    elif stored.kind in WORKLOADS:
        body["status"] = workload_status(stored, course, now)
    elif stored.kind == "Job":
        body["status"] = job_status(stored, course, now)
    return body


def volume_name(claim: Stored) -> str:
    return f"pvc-{claim.uid}"


def namespace_status(stored: Stored, course: Course, content: int) -> Manifest:
    if stored.expires is None:
        return {"phase": "Active"}
    status: Manifest = {"phase": "Terminating", "conditions": []}
    if course.fault == "stuck-delete":
        status["conditions"] = [
            true(
                "NamespaceContentRemaining",
                "SomeResourcesRemain",
                "Some resources are remaining: holds.example.com has 1 resource instances",
            ),
            true(
                "NamespaceFinalizersRemaining",
                "SomeFinalizersRemain",
                "Some content in the namespace has finalizers remaining: "
                "example.com/hold in 1 resource instances",
            ),
        ]
    elif content:
        status["conditions"] = [
            true(
                "NamespaceContentRemaining",
                "SomeResourcesRemain",
                f"Some resources are remaining: {content} objects",
            )
        ]
    return status


def quota_status(stored: Stored, course: Course, now: float, used: dict[str, str]) -> Manifest:
    """Before the cluster has confirmed a change, what it had confirmed before."""
    if not course.reached(stored, QUOTA, now):
        return dict(stored.body.get("status", {}))
    hard = stored.body.get("spec", {}).get("hard", {})
    return {"hard": hard, "used": {key: used.get(key, "0") for key in hard}}


def workload_status(stored: Stored, course: Course, now: float) -> Manifest:
    wanted = stored.body.get("spec", {}).get("replicas", 1)
    up = is_up(stored, course, now)
    status: Manifest = {
        "observedGeneration": stored.body["metadata"]["generation"],
        "replicas": wanted,
        "updatedReplicas": wanted,
    }
    if up:
        status |= {"readyReplicas": wanted, "availableReplicas": wanted}
    if stored.kind == "Deployment":
        available = true("Available", "MinimumReplicasAvailable", "Deployment is available.")
        status["conditions"] = [
            available if up else false("Available", "MinimumReplicasUnavailable", "Not available."),
            true("Progressing", "NewReplicaSetAvailable" if up else "ReplicaSetUpdated", ""),
        ]
    return status


def job_status(stored: Stored, course: Course, now: float) -> Manifest:
    started = timestamp(stored.since)
    if is_up(stored, course, now):
        ended = timestamp(stored.since + SETUP * course.seconds)
        return {
            "startTime": started,
            "completionTime": ended,
            "succeeded": 1,
            "conditions": [true("Complete", "CompletionsReached", "Reached expected completions")],
        }
    if has_failed(stored, course, now):
        message = "Job has reached the specified backoff limit"
        return {
            "startTime": started,
            "failed": 1,
            "conditions": [true("Failed", "BackoffLimitExceeded", message)],
        }
    return {"startTime": started, "active": 1}


def component(stored: Stored) -> str:
    if stored.kind == "Job":
        return "setup"
    return "db" if stored.kind == "StatefulSet" else "web"


def is_up(stored: Stored, course: Course, now: float) -> bool:
    if trouble(stored, course, now):
        return False
    share = {"db": DATABASE, "setup": SETUP, "web": WEB}[component(stored)]
    return course.reached(stored, share, now)


def has_failed(stored: Stored, course: Course, now: float) -> bool:
    return trouble(stored, course, now) == "failed" and course.reached(stored, SETUP, now)


def trouble(stored: Stored, course: Course, now: float) -> str:
    """What keeps its pods from being up, mostly for good; empty for nothing."""
    if by_hand := stored.annotations.get(TROUBLE_ANNOTATION):
        return by_hand
    part, fault = component(stored), course.fault
    if fault == "no-room":
        return "unschedulable"
    if part == "web" and (
        fault == "broken-image" or (fault == "broken-once" and stored.revision < 2)
    ):
        return "image"
    if fault == "crash":
        return "crash" if part == "db" else "no-database"
    if fault == "setup-fails" and part == "setup":
        return "failed"
    began, ended = (course.reached(stored, share, now) for share in UNWELL)
    if fault == "degraded" and part == "web" and began and not ended:
        return "unready"
    return ""


def pods_of(stored: Stored, course: Course, now: float) -> list[Manifest]:
    """The pods of a workload or Job."""
    count = 1 if stored.kind == "Job" else stored.body.get("spec", {}).get("replicas", 1)
    return [pod(stored, number, course, now) for number in range(count)]


def pod(stored: Stored, number: int, course: Course, now: float) -> Manifest:
    metadata, template = stored.body["metadata"], stored.body.get("spec", {}).get("template", {})
    # As a ReplicaSet would: another name with every rollout.
    suffix = f"{metadata['uid'][:8]}-{stored.revision:02d}{number:02d}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{stored.name}-{number if stored.kind == 'StatefulSet' else suffix}",
            "namespace": stored.namespace,
            "labels": template.get("metadata", {}).get("labels", {}),
            "uid": f"{stored.uid}-{stored.revision}-{number}",
            "creationTimestamp": timestamp(stored.since),
            "ownerReferences": [owner(stored)],
        },
        "spec": template.get("spec", {}),
        "status": pod_status(stored, template.get("spec", {}).get("containers", []), course, now),
    }


def owner(stored: Stored) -> Manifest:
    if stored.kind == "Deployment":
        # Its name is the Deployment's and a hash of its pod template.
        return {"kind": "ReplicaSet", "name": f"{stored.name}-{stored.uid[:8]}", "controller": True}
    return {"kind": stored.kind, "name": stored.name, "uid": stored.uid, "controller": True}


def pod_status(stored: Stored, containers: list[Manifest], course: Course, now: float) -> Manifest:
    state = pod_state(stored, course, now)
    if state == "unschedulable":
        message = "0/3 nodes are available: 3 Insufficient memory."
        return {
            "phase": "Pending",
            "conditions": [false("PodScheduled", "Unschedulable", message)],
        }
    status: Manifest = {
        "phase": PHASES.get(state, "Pending"),
        "startTime": timestamp(stored.since),
        "conditions": [true("PodScheduled", "", ""), ready_condition(state)],
        "containerStatuses": [container_status(entry, state) for entry in containers],
    }
    if state == "no-database":
        status["initContainerStatuses"] = [
            {"name": "wait-for-database", "ready": False, "state": {"running": {}}}
        ]
    return status


PHASES = {
    "up": "Running",
    "unready": "Running",
    "completed": "Succeeded",
    "failed": "Failed",
    "crash": "Running",
}


def pod_state(stored: Stored, course: Course, now: float) -> str:
    if is_up(stored, course, now):
        return "completed" if stored.kind == "Job" else "up"
    found = trouble(stored, course, now)
    if found == "unschedulable" or has_failed(stored, course, now):
        return found
    shown = found not in ("", "failed") and course.reached(stored, TROUBLE, now)
    return found if shown else "creating"


def ready_condition(state: str) -> Manifest:
    if state == "up":
        return true("Ready", "", "")
    return false("Ready", "PodCompleted" if state == "completed" else "ContainersNotReady", "")


def container_status(container: Manifest, state: str) -> Manifest:
    name, image = container["name"], container["image"]
    status: Manifest = {"name": name, "image": image, "ready": state == "up", "restartCount": 0}
    if state in ("up", "unready"):
        return {**status, "state": {"running": {}}}
    if state in ("completed", "failed"):
        return {**status, "state": {"terminated": ended(0 if state == "completed" else 1)}}
    if state == "image":
        return {**status, "state": {"waiting": {"reason": "ImagePullBackOff", "message": (
            f'Back-off pulling image "{image}": ErrImagePull: rpc error: code = NotFound '
            f'desc = failed to resolve reference "{image}": not found'
        )}}}  # fmt: skip
    if state == "crash":
        message = f"back-off 2m40s restarting failed container={name}"
        waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        last = {"terminated": ended(1)}
        return {**status, "restartCount": 5, "state": waiting, "lastState": last}
    reason = "PodInitializing" if state == "no-database" else "ContainerCreating"
    return {**status, "state": {"waiting": {"reason": reason}}}


def ended(exit_code: int) -> Manifest:
    return {"exitCode": exit_code, "reason": "Error" if exit_code else "Completed"}


# What a scheduler or kubelet says about a pod in that state.
EVENTS: dict[str, tuple[str, Callable[[Manifest], str]]] = {
    "unschedulable": (
        "FailedScheduling",
        lambda pod: str(pod["status"]["conditions"][0]["message"]),
    ),
    "image": (
        "Failed",
        lambda pod: str(pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]),
    ),
    "crash": ("BackOff", lambda pod: "Back-off restarting failed container"),
    "unready": (
        "Unhealthy",
        lambda pod: "Readiness probe failed: HTTP probe failed with statuscode: 503",
    ),
}


def events_of(stored: Stored, course: Course, now: float) -> list[Manifest]:
    state = pod_state(stored, course, now)
    if state == "failed":
        message = "Job has reached the specified backoff limit"
        return [event(stored, "Job", stored.name, "BackoffLimitExceeded", message)]
    if state not in EVENTS:
        return []
    reason, say = EVENTS[state]
    return [
        event(stored, "Pod", pod["metadata"]["name"], reason, say(pod))
        for pod in pods_of(stored, course, now)
    ]


def event(stored: Stored, kind: str, name: str, reason: str, message: str) -> Manifest:
    at = timestamp(stored.since)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.{reason.lower()}", "namespace": stored.namespace},
        "type": "Warning",
        "reason": reason,
        "message": message,
        "involvedObject": {"kind": kind, "name": name, "namespace": stored.namespace},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def true(kind: str, reason: str, message: str) -> Manifest:
    return {"type": kind, "status": "True", "reason": reason, "message": message}


def false(kind: str, reason: str, message: str) -> Manifest:
    return {"type": kind, "status": "False", "reason": reason, "message": message}
