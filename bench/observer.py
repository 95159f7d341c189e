"""When the workloads of a store turned ready, by this machine's clock, on watches of our own."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from provisioning.cluster import readiness
from provisioning.cluster.api import Api, path_of
from provisioning.cluster.base import STORE_LABEL
from provisioning.cluster.watching import lines
from provisioning.errors import ClusterUnavailable

KINDS = ("Deployment", "StatefulSet", "Job", "PersistentVolumeClaim")


class Observer:
    """Looks as the administrator, beside the portal's watcher and independent of it."""

    def __init__(self, kubeconfig: Path, seconds: float) -> None:
        self.kubeconfig, self.seconds = kubeconfig, seconds
        self.up: dict[str, dict[str, float]] = {}

    def start(self) -> None:
        """The threads end with the cluster or with us."""
        for kind in KINDS:
            api = Api.connect(str(self.kubeconfig))
            version = api.objects_with_version(kind, labelSelector=STORE_LABEL)[1]
            threading.Thread(target=self.follow, args=(api, kind, version), daemon=True).start()

    def last_ready(self, store_id: str) -> float:
        """The moment its last workload became so."""
        return max(self.up[store_id].values())

    def follow(self, api: Api, kind: str, version: str) -> None:
        query: dict[str, Any] = {
            "watch": "true",
            "resourceVersion": version,
            "labelSelector": STORE_LABEL,
            "timeoutSeconds": int(self.seconds),
        }
        try:
            response = api.open("GET", path_of(kind), query=query, timeout=(3.0, self.seconds))
            for event in lines(response):
                self.note({**event["object"], "kind": kind}, time.time())
        except ClusterUnavailable:
            return  # the run is over

    def note(self, item: dict[str, Any], at: float) -> None:
        if item["kind"] == "Job" and readiness.made_by_cron(item):
            return
        seen = self.up.setdefault(item["metadata"]["labels"][STORE_LABEL], {})
        if readiness.is_up(item):
            seen.setdefault(item["metadata"]["uid"], at)
        else:
            seen.pop(item["metadata"]["uid"], None)
