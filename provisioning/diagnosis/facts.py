"""Reading ``Cluster.evidence``: whatever could not be asked is missing, and then says nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from provisioning.cluster.readiness import condition, is_up, made_by_cron
from provisioning.diagnosis.finding import Evidence, Object

REVISION = "deployment.kubernetes.io/revision"
LOG_LINES = 5
EVENT_LINES = 2


def items(evidence: Evidence, key: str) -> list[Object]:
    return evidence.get(key) or []


def name_of(item: Object) -> str:
    return str(item["metadata"]["name"])


def when(stamp: str | None) -> datetime | None:
    """A timestamp of the cluster's; None for none, or for what is none."""
    try:
        found = datetime.fromisoformat(stamp or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def seconds_since(evidence: Evidence, stamp: str | None) -> float:
    """How long before the evidence was collected; 0 where one of the two is not known."""
    now, then = when(evidence.get("now")), when(stamp)
    return (now - then).total_seconds() if now and then else 0.0


def clock(stamp: str | None) -> str:
    """The time of day, in UTC. Lines name it, not an age: read again, they are then the same."""
    moment = when(stamp)
    return f"{moment.astimezone(UTC):%H:%M:%S}" if moment else "an unknown time"


def age(evidence: Evidence, item: Object) -> float:
    return seconds_since(evidence, item["metadata"].get("creationTimestamp"))


def owner_of(item: Object) -> tuple[str, str]:
    """(kind, name) of the controller; empty for none."""
    for owner in item["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return owner["kind"], owner["name"]
    return "", ""


def pods_at_work(evidence: Evidence) -> list[Object]:
    """Pods that the store needs now.

    Not those on their way out, those that have ended (whoever owns them makes new ones), those of
    CronJobs and of Jobs that are complete, and those that a newer rollout is replacing.
    """
    jobs = items(evidence, "jobs")
    others = {("Job", name_of(job)) for job in jobs if made_by_cron(job) or is_up(job)}
    others |= {("ReplicaSet", name) for name in replaced(items(evidence, "replicasets"))}
    return [
        pod
        for pod in items(evidence, "pods")
        if "deletionTimestamp" not in pod["metadata"]
        and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        and owner_of(pod) not in others
    ]


def replaced(replicasets: list[Object]) -> set[str]:
    """Names of ReplicaSets that are not the newest of their Deployment."""
    newest: dict[str, Object] = {}
    for each in replicasets:
        deployment = owner_of(each)[1]
        if revision(each) >= revision(newest.get(deployment)):
            newest[deployment] = each
    return {name_of(each) for each in replicasets if newest[owner_of(each)[1]] is not each}


def revision(replicaset: Object | None) -> int:
    annotations = replicaset["metadata"].get("annotations") or {} if replicaset else {}
    return int(annotations.get(REVISION, -1 if replicaset is None else 0))


def is_ready(pod: Object) -> bool:
    return condition(pod, "Ready") is not None


def containers(pod: Object, key: str) -> Iterator[Object]:
    """Container statuses: ``initContainerStatuses`` or ``containerStatuses``."""
    yield from pod.get("status", {}).get(key) or ()


def troubled(evidence: Evidence, *keys: str) -> Iterator[tuple[Object, Object]]:
    """(pod, container status) of every container that is not as it should be."""
    for pod in pods_at_work(evidence):
        for key in keys or ("initContainerStatuses", "containerStatuses"):
            for container in containers(pod, key):
                done = (container.get("state", {}).get("terminated") or {}).get("exitCode") == 0
                if not container.get("ready") and not (done and key.startswith("init")):
                    yield pod, container


def waiting(container: Object) -> Object:
    return container.get("state", {}).get("waiting") or {}


def last_end(container: Object) -> Object:
    """How the container ended last, if it did."""
    return (
        container.get("state", {}).get("terminated")
        or (container.get("lastState") or {}).get("terminated")
        or {}
    )


# --- Lines of evidence -----------------------------------------------------------------------


def said_of(evidence: Evidence, pod: Object, container: Object, text: str) -> tuple[str, ...]:
    """The lines about a container: its state, events about its pod, the end of its log."""
    name = name_of(pod)
    head = f"Pod {name}, container {container.get('name', '?')}: {text}"
    return (head, *events_about(evidence, "Pod", name), *log_lines(evidence, pod, container))


def log_lines(evidence: Evidence, pod: Object, container: Object) -> tuple[str, ...]:
    text = (evidence.get("logs") or {}).get(f"{name_of(pod)}/{container.get('name', '')}", "")
    return tuple(f"Log: {line}" for line in text.splitlines()[-LOG_LINES:] if line.strip())


def events_about(evidence: Evidence, kind: str, name: str) -> tuple[str, ...]:
    """The last warnings; of disks any event: that one cannot be made is said as if it were normal."""
    about = [
        event
        for event in items(evidence, "events")
        if subject(event) == (kind, name)
        and (event.get("type") != "Normal" or kind == "PersistentVolumeClaim")
    ]
    about.sort(key=last_seen)
    return tuple(event_line(event) for event in about[-EVENT_LINES:])


def subject(event: Object) -> tuple[str, str]:
    about = event.get("involvedObject") or {}
    return about.get("kind", ""), about.get("name", "")


def count(event: Object) -> int:
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)


def last_seen(event: Object) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event.get("metadata", {}).get("creationTimestamp")
        or ""
    )


def event_line(event: Object) -> str:
    kind, name = subject(event)
    at = f" at {clock(last_seen(event))}"
    times = f", {count(event)} times" if count(event) > 1 else ""
    text = (event.get("message") or "").strip()
    return f"Event {event.get('reason', '')} of {kind} {name}{at}{times}: {text}"
