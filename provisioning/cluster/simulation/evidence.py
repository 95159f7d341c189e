"""What the simulated cluster shows to a diagnosis, in the shapes of a real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioning.cluster.base import Manifest
from provisioning.cluster.simulation import course
from provisioning.cluster.simulation.course import Course, true
from provisioning.cluster.simulation.objects import Objects, Stored, timestamp

KINDS = {
    "jobs": "Job",
    "claims": "PersistentVolumeClaim",
    "quotas": "ResourceQuota",
    "limits": "LimitRange",
    "services": "Service",
}
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
NODES = ("node-1", "node-2", "node-3")
# What a container that crashes has to say.
LAST_WORDS = "Starting\nThe fault that this store's name asks for\nGiving up\n"


def collect(
    objects: Objects, namespace: str, going: Course, seen: Callable[..., list[Manifest]]
) -> dict[str, Any]:
    """``seen``: the objects of these kinds in the namespace, as the API would show them now."""
    now = objects.now
    owners = objects.of_kind(*course.WORKLOADS, "Job", namespace=namespace)
    pods = [pod for each in owners for pod in course.pods_of(each, going, now)]
    workloads = seen(*course.WORKLOADS)
    deployments = objects.of_kind("Deployment", namespace=namespace)
    return {
        "now": timestamp(now),
        "namespace": next((item for item in seen("Namespace")), None),
        "workloads": workloads,
        "pods": pods,
        **{key: seen(kind) for key, kind in KINDS.items()},
        "events": [event for each in owners for event in course.events_of(each, going, now)],
        "replicasets": [replicaset(deployment) for deployment in deployments],
        "nodes": [node(name) for name in NODES],
        "storageclasses": [storage_class()],
        "leases": [],
        "releases": releases(objects, namespace),
        "logs": {f"{pod}/{container}": LAST_WORDS for pod, container in crashed(pods)},
    }


def replicaset(deployment: Stored) -> Manifest:
    """The one that the deployment's pods say they are of."""
    wanted = deployment.body.get("spec", {}).get("replicas", 1)
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": course.owner(deployment)["name"],
            "namespace": deployment.namespace,
            "annotations": {"deployment.kubernetes.io/revision": str(deployment.revision)},
            "creationTimestamp": timestamp(deployment.since),
            "generation": 1,
            "ownerReferences": [
                {"kind": "Deployment", "name": deployment.name, "controller": True}
            ],
        },
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 1, "replicas": wanted},
    }


def node(name: str) -> Manifest:
    return {
        "kind": "Node",
        "metadata": {"name": name},
        "spec": {},
        "status": {
            "conditions": [true("Ready", "KubeletReady", "")],
            "allocatable": {"cpu": "4", "memory": "16Gi", "pods": "110"},
        },
    }


def storage_class() -> Manifest:
    return {
        "kind": "StorageClass",
        "metadata": {"name": "standard", "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": "simulated",
        "volumeBindingMode": "Immediate",
    }


def releases(objects: Objects, namespace: str) -> list[Manifest]:
    records = [
        secret.labels
        for secret in objects.of_kind("Secret", namespace=namespace)
        if secret.labels.get("owner") == "helm"
    ]
    records.sort(key=lambda labels: int(labels["version"]))
    return [{key: labels[key] for key in ("name", "status", "version")} for labels in records]


def crashed(pods: list[Manifest]) -> list[tuple[str, str]]:
    return [
        (pod["metadata"]["name"], container["name"])
        for pod in pods
        for container in pod["status"].get("containerStatuses", ())
        if container["restartCount"] or "terminated" in container["state"] and is_failed(container)
    ]


def is_failed(container: Manifest) -> bool:
    return bool(container["state"]["terminated"]["exitCode"])
