"""What is known of the cluster as a whole: room on its nodes, what it offers, whether it works.

For the look before a store is ordered, and for whoever asks why nothing moves. Shape (JSON):

    version           "v1.36.1"
    nodes             [{name, usable, cpu, memory, pods, free_cpu, free_memory, free_pods}];
                      thousandths of a CPU, bytes; free: what is allocatable less what is requested
    storage_classes   [{name, default, provisioner, binding, reclaim}]
    ingress_classes   [name]; null where we may not read them
    leases            {"kube-scheduler": renew time, …}; null where we may not read them
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from provisioning.cluster.api import Api, NotFound, path_of
from provisioning.cluster.quantities import amount
from provisioning.errors import NotYet, StepFailed

Object = dict[str, Any]
# Whoever holds these makes pods, and gives them a node.
CONTROL_PLANE = ("kube-controller-manager", "kube-scheduler")
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"


class Requests:
    """What pods ask of their nodes, added up as the pages go by."""

    def __init__(self) -> None:
        self.by_node: dict[str, list[int]] = {}

    def add(self, pod: Object) -> None:
        node = pod["spec"].get("nodeName")
        if not node or pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return
        total = self.by_node.setdefault(node, [0, 0, 0])
        cpu, memory = requested(pod["spec"])
        total[0] += cpu
        total[1] += memory
        total[2] += 1


def requested(spec: Object) -> tuple[int, int]:
    """CPU and memory: the containers' together, or the largest of what runs before them."""
    running = [asked(one) for one in spec.get("containers", ())]
    first = [asked(one) for one in spec.get("initContainers") or ()]
    cpu = max(sum(one[0] for one in running), *(one[0] for one in first), 0)
    memory = max(sum(one[1] for one in running), *(one[1] for one in first), 0)
    return cpu, memory


def asked(container: Object) -> tuple[int, int]:
    requests = container.get("resources", {}).get("requests", {})
    return round(amount(requests.get("cpu", "0")) * 1000), round(
        amount(requests.get("memory", "0"))
    )


def of(api: Api, requests: Requests) -> Object:
    return {
        "version": api.request("GET", "/version").get("gitVersion", ""),
        "nodes": nodes(api.objects("Node"), requests),
        "storage_classes": [storage_class(item) for item in api.objects("StorageClass")],
        "ingress_classes": ingress_classes(api),
        "leases": leases(api),
    }


def nodes(items: Iterable[Object], requests: Requests) -> list[Object]:
    return [node(item, requests.by_node.get(item["metadata"]["name"], [0, 0, 0])) for item in items]


def node(item: Object, used: list[int]) -> Object:
    room = item.get("status", {}).get("allocatable", {})
    cpu, memory = round(amount(room.get("cpu", "0")) * 1000), round(amount(room.get("memory", "0")))
    pods = round(amount(room.get("pods", "0")))
    return {
        "name": item["metadata"]["name"],
        "usable": is_usable(item),
        "cpu": cpu, "memory": memory, "pods": pods,
        "free_cpu": cpu - used[0], "free_memory": memory - used[1], "free_pods": pods - used[2],
    }  # fmt: skip


def is_usable(item: Object) -> bool:
    """Ready, and pods without tolerations may be put on it."""
    conditions = item.get("status", {}).get("conditions") or ()
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    spec = item.get("spec", {})
    refused = any(taint.get("effect") != "PreferNoSchedule" for taint in spec.get("taints") or ())
    return ready and not refused and not spec.get("unschedulable")


def storage_class(item: Object) -> Object:
    annotations = item["metadata"].get("annotations", {})
    return {
        "name": item["metadata"]["name"],
        "default": annotations.get(DEFAULT_CLASS) == "true",
        "provisioner": item.get("provisioner", ""),
        "binding": item.get("volumeBindingMode", "Immediate"),
        "reclaim": item.get("reclaimPolicy", "Delete"),
    }


def ingress_classes(api: Api) -> list[str] | None:
    try:
        return [item["metadata"]["name"] for item in api.objects("IngressClass")]
    except (NotYet, StepFailed):  # not allowed
        return None


def leases(api: Api) -> dict[str, str] | None:
    found = {}
    for name in CONTROL_PLANE:
        try:
            lease = api.request("GET", path_of("Lease", name, "kube-system"))
        except NotFound:  # a cluster whose control plane is elsewhere
            continue
        except (NotYet, StepFailed):
            return None
        found[name] = str(lease["spec"].get("renewTime", ""))
    return found
