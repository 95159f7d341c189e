"""Is a workload up? Pure functions over raw objects, the same for waiting and for watching."""

from __future__ import annotations

from typing import Any

from provisioning.redaction import one_line
from stores.messages import Message

Object = dict[str, Any]
WATCHED = ("Deployment", "StatefulSet", "Job", "ResourceQuota")


def condition(item: Object, kind: str) -> Object | None:
    """The condition of that type, if it is true."""
    for entry in item.get("status", {}).get("conditions") or ():
        if entry.get("type") == kind and entry.get("status") == "True":
            return dict(entry)
    return None


def is_up(item: Object) -> bool:
    """Whether a Deployment, StatefulSet, Job, ResourceQuota or claim has reached what its spec says."""
    status, kind = item.get("status", {}), item["kind"]
    if kind == "Job":
        return condition(item, "Complete") is not None
    if kind == "ResourceQuota":
        wanted = set(item["spec"].get("hard", {}))
        return bool(wanted) and wanted <= set(status.get("used", {}))
    if kind == "PersistentVolumeClaim":
        return bool(status.get("phase") == "Bound")
    wanted = item["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= item["metadata"].get("generation", 1)
        and status.get("updatedReplicas", 0) >= wanted
        and status.get("readyReplicas", 0) >= wanted
        # Old pods on their way out still answer customers.
        and status.get("replicas", 0) <= wanted
    )


def is_over(item: Object) -> bool:
    """Whether nothing more will happen to it by itself: up, or a Job that failed."""
    return is_up(item) or (item["kind"] == "Job" and condition(item, "Failed") is not None)


def made_by_cron(job: Object) -> bool:
    owners = job["metadata"].get("ownerReferences") or ()
    return any(owner.get("kind") == "CronJob" for owner in owners)


def reason_not_up(item: Object) -> Message:
    name, status = item["metadata"]["name"], item.get("status", {})
    if item["kind"] == "Job":
        if failed := condition(item, "Failed"):
            reason = one_line(failed.get("message") or failed.get("reason", ""))
            return Message("setup-failed", {"name": name, "reason": reason})
        return Message("job-running", {"name": name})
    if item["kind"] == "PersistentVolumeClaim":
        return Message("volume-pending", {"name": name})
    return Message(
        "workload-starting",
        {
            "name": name,
            "ready": status.get("readyReplicas", 0),
            "wanted": item["spec"].get("replicas", 1),
        },
    )


def waiting_for(items: list[Object]) -> list[Message]:
    """One message for each that is not up; Jobs of CronJobs never count."""
    return [
        reason_not_up(item)
        for item in items
        if not is_up(item) and not (item["kind"] == "Job" and made_by_cron(item))
    ]
