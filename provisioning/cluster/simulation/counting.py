"""What a namespace's quota counts: pods that have not ended, what they ask for, and disks."""

from __future__ import annotations

from collections.abc import Iterable

from provisioning.cluster.quantities import amount
from provisioning.cluster.simulation import course
from provisioning.cluster.simulation.course import Course
from provisioning.cluster.simulation.objects import Stored

COUNTED = (*course.WORKLOADS, "Job", "PersistentVolumeClaim")
# What a container gets that names nothing itself, by the limits of a store (provisioning/manifests.py).
CPU, MEMORY, LIMIT_CPU, LIMIT_MEMORY = 100, 128, 1, 1


def used(found: Iterable[Stored], going: Course, now: float) -> dict[str, str]:
    """``found``: everything of these kinds in the namespace."""
    found = list(found)
    owners = [one for one in found if one.kind != "PersistentVolumeClaim"]
    pods = [pod for one in owners for pod in course.pods_of(one, going, now)]
    count = sum(pod["status"]["phase"] not in ("Succeeded", "Failed") for pod in pods)
    claims = [one for one in found if one.kind == "PersistentVolumeClaim"]
    asked = sum(amount(one.body["spec"]["resources"]["requests"]["storage"]) for one in claims)
    return {
        "pods": str(count),
        "requests.cpu": f"{count * CPU}m",
        "requests.memory": f"{count * MEMORY}Mi",
        "limits.cpu": str(count * LIMIT_CPU),
        "limits.memory": f"{count * LIMIT_MEMORY}Gi",
        "persistentvolumeclaims": str(len(claims)),
        "requests.storage": f"{round(asked / 1024**3)}Gi",
    }
