"""Containers that do not start, do not stay or do not answer."""

from __future__ import annotations

import re

from provisioning.cluster.readiness import condition, made_by_cron
from provisioning.diagnosis.facts import (
    clock,
    containers,
    count,
    events_about,
    is_ready,
    items,
    last_end,
    name_of,
    owner_of,
    said_of,
    seconds_since,
    subject,
    troubled,
    waiting,
)
from provisioning.diagnosis.finding import Diagnosis, Evidence, Object
from stores.messages import Message

PULL_REASONS = (
    "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull",
    "ImageInspectError", "RegistryUnavailable",
)  # fmt: skip
# No use in asking again for what cannot be there.
NO_SUCH_IMAGE = re.compile(
    r"InvalidImageName|ErrImageNeverPull|not found|manifest unknown|invalid reference format"
    r"|repository does not exist",
    re.IGNORECASE,
)
# By then a kubelet has waited for more than two minutes between two starts.
ENOUGH_RESTARTS = 5
ENOUGH_PROBES = 3
PROBE_SECONDS = 30.0
# A shop may need so long for its first start, and says nothing meanwhile.
SILENT_SECONDS = 120.0


def image_unavailable(evidence: Evidence) -> Diagnosis | None:
    for pod, container in troubled(evidence):
        reason, text = waiting(container).get("reason"), waiting(container).get("message") or ""
        if reason in PULL_REASONS:
            image = container.get("image") or image_of(pod, container)
            missing = bool(NO_SUCH_IMAGE.search(f"{reason} {text}"))
            code = "image-missing" if missing else "image-unavailable"
            return Diagnosis(
                Message(code, {"image": image, "reason": reason}),
                "workload",
                "support" if missing else "nobody",
                "retry",
                said_of(evidence, pod, container, f"{reason}: {text or image}"),
                at_once=missing,
            )
    return None


def image_of(pod: Object, container: Object) -> str:
    spec = pod.get("spec", {})
    for each in [*spec.get("initContainers", ()), *spec.get("containers", ())]:
        if each.get("name") == container.get("name"):
            return str(each.get("image", ""))
    return ""


def cannot_be_made(evidence: Evidence) -> Diagnosis | None:
    """What a container is made from is missing: a Secret, a ConfigMap, a key in one, a command."""
    for pod, container in troubled(evidence):
        reason, text = waiting(container).get("reason", ""), waiting(container).get("message") or ""
        if reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError"):
            cause = Message("container-refused", {"name": name_of(pod), "reason": text or reason})
            lines = said_of(evidence, pod, container, f"{reason}: {text}")
            return Diagnosis(cause, "chart", "support", "repair", lines)
    return None


def out_of_memory(evidence: Evidence) -> Diagnosis | None:
    for pod, container in troubled(evidence):
        end = last_end(container)
        if end.get("reason") == "OOMKilled":
            restarts = container.get("restartCount", 0)
            text = f"OOMKilled, exit code {end.get('exitCode')}, restarted {restarts} times"
            limit = memory_limit(pod, container)
            cause = Message("out-of-memory", {"name": name_of(pod), "limit": limit})
            return Diagnosis(
                cause, "workload", "support", "contact",
                said_of(evidence, pod, container, f"{text}, memory limit {limit}"),
                at_once=restarts >= ENOUGH_RESTARTS,
            )  # fmt: skip
    return None


def memory_limit(pod: Object, container: Object) -> str:
    for each in pod.get("spec", {}).get("containers", ()):
        if each.get("name") == container.get("name"):
            return str(each.get("resources", {}).get("limits", {}).get("memory", "not known"))
    return "not known"


def crash_loop(evidence: Evidence) -> Diagnosis | None:
    for pod, container in troubled(evidence, "containerStatuses"):
        if ends_again(container):
            restarts = container.get("restartCount", 0)
            return Diagnosis(
                Message("crash-loop", how_it_ended(pod, container)),
                "workload",
                "owner",
                "retry",
                said_of(evidence, pod, container, ending(container)),
                at_once=restarts >= ENOUGH_RESTARTS,
            )
    return None


def init_failed(evidence: Evidence) -> Diagnosis | None:
    """Never at once: many a first container waits for another part of the shop."""
    for pod, container in troubled(evidence, "initContainerStatuses"):
        if ends_again(container):
            params = {**how_it_ended(pod, container), "container": container.get("name", "")}
            return Diagnosis(
                Message("init-failed", params), "workload", "owner", "retry",
                said_of(evidence, pod, container, ending(container)),
            )  # fmt: skip
    return None


def ends_again(container: Object) -> bool:
    return waiting(container).get("reason") == "CrashLoopBackOff" or bool(
        last_end(container).get("exitCode")
    )


def how_it_ended(pod: Object, container: Object) -> Object:
    end = last_end(container)
    return {
        "name": name_of(pod),
        "reason": end.get("reason") or waiting(container).get("reason", "Error"),
        "exit_code": end.get("exitCode", "unknown"),
    }


def ending(container: Object) -> str:
    end = last_end(container)
    message = (end.get("message") or "").strip()
    text = (
        f"ended with exit code {end.get('exitCode', 'unknown')} ({end.get('reason', 'Error')}), "
        f"restarted {container.get('restartCount', 0)} times"
    )
    return f"{text}: {message}" if message else text


def setup_failed(evidence: Evidence) -> Diagnosis | None:
    """A Job that has failed stays so."""
    for job in items(evidence, "jobs"):
        failed = condition(job, "Failed")
        if failed is None or made_by_cron(job):
            continue
        name, reason = name_of(job), failed.get("reason", "")
        late = reason == "DeadlineExceeded"
        params = {"name": name, "reason": failed.get("message") or reason}
        return Diagnosis(
            Message("setup-late" if late else "setup-failed", params),
            "workload",
            "owner",
            "retry",
            (f"Job {name}: {reason}: {failed.get('message', '')}", *of_job(evidence, name)),
            at_once=True,
        )
    return None


def of_job(evidence: Evidence, job: str) -> tuple[str, ...]:
    lines: list[str] = []
    for pod in items(evidence, "pods"):
        if owner_of(pod) == ("Job", job):
            for key in ("initContainerStatuses", "containerStatuses"):
                for container in containers(pod, key):
                    if last_end(container).get("exitCode"):
                        lines += said_of(evidence, pod, container, ending(container))
    return (*lines, *events_about(evidence, "Job", job))


def probe_fails(evidence: Evidence) -> Diagnosis | None:
    """It runs and is asked, and does not answer well: for longer than any start takes a moment."""
    for pod, container in troubled(evidence, "containerStatuses"):
        running = container.get("state", {}).get("running")
        if running is None or is_ready(pod):
            continue
        seconds = seconds_since(evidence, running.get("startedAt"))
        event = unhealthy(evidence, name_of(pod))
        asked = event is not None and (count(event) >= ENOUGH_PROBES or seconds >= PROBE_SECONDS)
        if asked or seconds >= SILENT_SECONDS:
            return does_not_answer(evidence, pod, container, event)
    return None


def unhealthy(evidence: Evidence, pod: str) -> Object | None:
    for event in items(evidence, "events"):
        if event.get("reason") == "Unhealthy" and subject(event) == ("Pod", pod):
            return event
    return None


def does_not_answer(
    evidence: Evidence, pod: Object, container: Object, event: Object | None
) -> Diagnosis:
    reason = (event or {}).get("message") or "it says nothing"
    started = clock(container["state"]["running"].get("startedAt"))
    state = f"running since {started} and not ready"
    return Diagnosis(
        Message("probe-fails", {"name": name_of(pod), "reason": reason}),
        "workload",
        "nobody",
        "retry",
        said_of(evidence, pod, container, state),
    )
