"""Collects what a diagnosis reads: the raw objects of a store, what the cluster has to offer it, and
the last words of containers that are not well.

The first part must be answered, or there is no evidence. The rest is left out where it is not: a
cluster without logs, or rights that were just taken away, are no reason to know nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from provisioning.cluster.api import METADATA_ONLY, Api, NotFound, path_of
from provisioning.cluster.base import Manifest
from provisioning.cluster.telling import read_log
from provisioning.errors import ClusterUnavailable, NotYet, StepFailed
from provisioning.redaction import redact, tail

log = logging.getLogger(__name__)
# One page: a store has fewer, and of machines some tell enough.
MOST = 200
MOST_LOGS = 6
LOG_LINES = 40
LOG_CHARACTERS = 4096
COMPONENTS = ("kube-controller-manager", "kube-scheduler")
WORKLOADS = ("Deployment", "StatefulSet")
HELM_LABELS = ("name", "status", "version", "createdAt", "modifiedAt")


def collect(api: Api, namespace: str) -> dict[str, Any]:
    """As ``Cluster.evidence`` says. Raises what the first questions raise."""
    pods = all_of(api, "Pod", namespace)
    found: dict[str, Any] = {
        "now": now(api),
        "namespace": one(api, "Namespace", namespace),
        "workloads": [item for kind in WORKLOADS for item in all_of(api, kind, namespace)],
        "pods": pods,
        "jobs": all_of(api, "Job", namespace),
        "claims": all_of(api, "PersistentVolumeClaim", namespace),
        "events": [redacted(event) for event in all_of(api, "Event", namespace)],
    }
    more: dict[str, Callable[[], Any]] = {
        "quotas": lambda: all_of(api, "ResourceQuota", namespace),
        "limits": lambda: all_of(api, "LimitRange", namespace),
        "replicasets": lambda: all_of(api, "ReplicaSet", namespace),
        "services": lambda: all_of(api, "Service", namespace),
        "nodes": lambda: [node_in_short(node) for node in all_of(api, "Node")],
        "storageclasses": lambda: all_of(api, "StorageClass"),
        "leases": lambda: leases(api),
        "releases": lambda: releases(api, namespace),
        "logs": lambda: logs(api, namespace, pods),
    }
    for key, ask in more.items():
        try:
            found[key] = ask()
        except (NotFound, NotYet, StepFailed) as error:
            log.info("%s: no %s: %s", namespace, key, error)
        except ClusterUnavailable as error:
            log.warning("%s: no %s and nothing further: %s", namespace, key, error)
            break
    return found


def all_of(api: Api, kind: str, namespace: str = "") -> list[Manifest]:
    page = api.request("GET", path_of(kind, namespace=namespace), query={"limit": MOST})
    # Items of a list carry no kind of their own.
    return [{**item, "kind": kind} for item in page.get("items") or []]


def one(api: Api, kind: str, name: str, namespace: str = "") -> Manifest | None:
    try:
        return api.request("GET", path_of(kind, name, namespace))
    except NotFound:
        return None


def now(api: Api) -> str:
    """By the clock of the API server, as all timestamps in the evidence."""
    response = api.open("GET", "/version")
    response.read()
    stamp = response.headers.get("Date")
    return (parsedate_to_datetime(stamp) if stamp else datetime.now(UTC)).isoformat()


def redacted(event: Manifest) -> Manifest:
    return {**event, "message": redact(event.get("message") or "")}


def node_in_short(node: Manifest) -> Manifest:
    """A node's list of images alone is longer than all the rest."""
    spec, status = node.get("spec", {}), node.get("status", {})
    return {
        "kind": "Node",
        "metadata": {"name": node["metadata"]["name"]},
        "spec": {key: spec[key] for key in ("unschedulable", "taints") if key in spec},
        "status": {key: status.get(key) for key in ("conditions", "allocatable")},
    }


def leases(api: Api) -> list[Manifest]:
    found = (one(api, "Lease", name, "kube-system") for name in COMPONENTS)
    return [lease for lease in found if lease]


def releases(api: Api, namespace: str) -> list[Manifest]:
    """Helm's labels of each revision, oldest first; what its Secrets hold is not read."""
    answer = api.request(
        "GET",
        path_of("Secret", namespace=namespace),
        query={"labelSelector": "owner=helm"},
        accept=METADATA_ONLY,
    )
    labels = [item["metadata"].get("labels", {}) for item in answer.get("items") or []]
    labels.sort(key=lambda label: int(label.get("version", 0)))
    return [{key: label[key] for key in HELM_LABELS if key in label} for label in labels]


# --- Logs ------------------------------------------------------------------------------------


def logs(api: Api, namespace: str, pods: list[Manifest]) -> dict[str, str]:
    """ "pod/container" to the end of what it wrote, of those that are not well."""
    found: dict[str, str] = {}
    for pod, container, previous in list(unwell(pods))[:MOST_LOGS]:
        try:
            if text := log_of(api, namespace, pod, container, previous):
                found[f"{pod}/{container}"] = text
        except ClusterUnavailable as error:
            # Most likely this node only; the others may well answer.
            log.info("%s: no log of %s: %s", namespace, pod, error)
    return found


def unwell(pods: list[Manifest]) -> Iterator[tuple[str, str, bool]]:
    """(pod, container, whether the one before it is to be asked), of what has ever run."""
    for pod in pods:
        status = pod.get("status", {})
        for key in ("initContainerStatuses", "containerStatuses"):
            for container in status.get(key) or ():
                state = container.get("state") or {}
                ended = state.get("terminated") or {}
                restarts = container.get("restartCount", 0)
                well = container.get("ready") or ended.get("exitCode") == 0
                if (restarts or not well) and (restarts or "waiting" not in state):
                    yield pod["metadata"]["name"], container["name"], "waiting" in state


def log_of(api: Api, namespace: str, pod: str, container: str, previous: bool) -> str:
    """Empty where there is none."""
    data = read_log(api, namespace, pod, container, previous, LOG_LINES)
    return tail(data.decode(errors="replace"), LOG_CHARACTERS)
