"""What it costs to look at many stores: one survey for all, beside asking for each by itself.

The stores are rows and objects made directly, as Storeyard and its charts leave them; the control
plane's own controllers and fake kubelets bring them up.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from bench.children import Child
from bench.errors import BenchError
from bench.ground import Ground
from bench.portal import owner
from provisioning import manifests, sweep
from provisioning.cluster import parts
from provisioning.cluster.base import PARTS_ANNOTATION, RELEASE_ANNOTATION
from provisioning.cluster.kubernetes import KubernetesCluster
from stores.lifecycle import Health, Status
from stores.models import Heartbeat, Store

MAKERS = 8
CLAIMS = ("store-content", "data-store-db-0")


@dataclass(frozen=True)
class Scale:
    """Of one look at ``stores`` stores; ``watcher_mb``: the watcher's memory at its highest."""

    stores: int
    objects: int
    survey_requests: int
    survey_pages: int
    sweep_cpu: float
    sweep_seconds: float
    polling_requests: int
    polling_cpu: float
    polling_seconds: float
    watcher_mb: float

    def as_json(self) -> dict[str, Any]:
        return dict(vars(self))


class Stores:
    """Makes ever more of them on one cluster."""

    def __init__(self, ground: Ground, kubeconfig: Path) -> None:
        self.ground, self.kubeconfig = ground, kubeconfig
        self.cluster = KubernetesCluster.from_kubeconfig(
            str(kubeconfig), helm=str(ground.helm), routes_traffic=False
        )
        self.made: list[Store] = []
        self.owner = owner(0)

    def grow(self, count: int) -> None:
        """To ``count`` stores; returns when all of them are up."""
        fresh = [self.row(number) for number in range(len(self.made), count)]
        with ThreadPoolExecutor(MAKERS) as makers:
            list(makers.map(self.make, fresh))
        Store.objects.bulk_create(fresh)
        self.made += fresh
        self.wait_up()

    def row(self, number: int) -> Store:
        store = Store(
            owner=self.owner, slot=number, name=f"Scale {number}", address=f"scale-{number}",
            status=Status.READY, health=Health.HEALTHY, health_told=Health.HEALTHY, ready_at=Now(),
            verified_at=Now(), chart_version="0.1.0",
        )  # fmt: skip
        store.namespace = f"store-scale-{number}-{store.pk.hex[:6]}"
        return store

    def make(self, store: Store) -> None:
        apply = self.cluster.apply
        store.namespace_uid = apply(manifests.namespace(store))["metadata"]["uid"]
        for guardrail in manifests.guardrails(store, settings.CLUSTER_SERVICE_ACCOUNT):
            apply(guardrail)
        made = [apply(part) for part in parts_of(store)]
        claims = {one["metadata"]["name"]: one for one in map(apply, claims_of(store))}
        store.volumes = {name: claim["metadata"]["uid"] for name, claim in claims.items()}
        annotations = {
            RELEASE_ANNOTATION: "bench",
            PARTS_ANNOTATION: parts.as_annotation(parts.counted(made)),
        }
        metadata = {"name": store.namespace, "annotations": annotations}
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        self.cluster.apply_as("storeyard-release", manifest)

    def wait_up(self) -> None:
        deadline = time.monotonic() + self.ground.options.seconds
        while waiting := self.waiting():
            if time.monotonic() > deadline:
                raise BenchError(f"{waiting} objects of the stores did not come up.")
            time.sleep(2)

    def waiting(self) -> int:
        objects = self.cluster.survey().objects
        up = sum(
            one.kind == "Pod" and not one.waiting for there in objects.values() for one in there
        )
        return (
            2 * len(self.made)
            - up
            + sum(bool(one.waiting) for there in objects.values() for one in there)
        )

    # --- What is measured ----------------------------------------------------------------

    def measure(self) -> Scale:
        for _ in range(2):  # the first one writes down what is new
            sweep.sweep(self.cluster)
        with counted(self.cluster) as asked:
            began, cpu = time.monotonic(), time.process_time()
            report = sweep.sweep(self.cluster)
            swept = (time.process_time() - cpu, time.monotonic() - began)
        if report.changed or report.findings:
            raise BenchError(f"The sweep was not idle: {report.changed} {report.findings[:3]}")
        surveyed = list(asked)
        with counted(self.cluster) as asked:
            began, cpu = time.monotonic(), time.process_time()
            if waiting := [one for store in self.made for one in self.poll(store)]:
                raise BenchError(f"Polling found {waiting[:3]}")
            polled = (time.process_time() - cpu, time.monotonic() - began)
        objects = sum(len(there) for there in self.cluster.survey().objects.values())
        return Scale(
            stores=len(self.made),
            objects=objects,
            survey_requests=len([one for one in surveyed if not one]),
            survey_pages=len([one for one in surveyed if one]),
            sweep_cpu=swept[0],
            sweep_seconds=swept[1],
            polling_requests=len(asked),
            polling_cpu=polled[0],
            polling_seconds=polled[1],
            watcher_mb=self.watcher_mb(),
        )

    def poll(self, store: Store) -> list[Any]:
        """What a portal does that asks for each store by itself, and knows less for it: no drift."""
        return self.cluster.not_ready(store.namespace)

    def watcher_mb(self) -> float:
        Heartbeat.objects.filter(pk=Heartbeat.WATCHER).delete()
        program = [sys.executable, str(settings.BASE_DIR / "manage.py"), "watch_cluster"]
        environment = {**os.environ, "STOREYARD_KUBECONFIG": str(self.kubeconfig)}
        child = Child.start(program, self.ground.folder / "watcher.log", environment)
        try:
            deadline = time.monotonic() + self.ground.options.seconds
            while Heartbeat.seen(Heartbeat.WATCHER) is None:
                if time.monotonic() > deadline:
                    raise BenchError("The watcher did not begin to look.")
                time.sleep(0.2)
            Heartbeat.objects.filter(pk=sweep.CLAIM).delete()  # its clock sweeps, too
            before = Heartbeat.objects.get(pk=Heartbeat.SWEEP).at
            while Heartbeat.objects.get(pk=Heartbeat.SWEEP).at == before:
                if time.monotonic() > deadline:
                    raise BenchError("The watcher's clock did not sweep.")
                time.sleep(0.2)
            return peak_mb(child.process.pid)
        finally:
            child.stop()
            connection.close()


@contextmanager
def counted(cluster: KubernetesCluster) -> Iterator[list[str]]:
    """The continue token of every request made meanwhile: empty for all but further pages."""
    asked: list[str] = []
    request: Callable[..., Any] = cluster.api.request

    def counting(method: str, path: str, **options: Any) -> Any:
        asked.append((options.get("query") or {}).get("continue", ""))
        return request(method, path, **options)

    cluster.api.request = counting  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        del cluster.api.request


def peak_mb(pid: int) -> float:
    """The most memory that the watcher ever had. setpriv takes the place of the program it starts."""
    text = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


# --- What a store consists of ----------------------------------------------------------------


def parts_of(store: Store) -> list[dict[str, Any]]:
    found = []
    for app, kind, port in (("web", "Deployment", 80), ("db", "StatefulSet", 3306)):
        name, selector = f"store-{app}", {"app": app}
        service = {"selector": selector, "ports": [{"port": port}]}
        policy = {"podSelector": {"matchLabels": selector}}
        named = {"serviceName": name} if kind == "StatefulSet" else {}
        found += [
            made(store, "v1", "Service", name, service),
            made(store, "networking.k8s.io/v1", "NetworkPolicy", name, policy),
            made(store, "apps/v1", kind, name, {**workload(store, app), **named}),
        ]
    return found


def claims_of(store: Store) -> list[dict[str, Any]]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return [made(store, "v1", "PersistentVolumeClaim", name, spec) for name in CLAIMS]


def made(store: Store, version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": store.namespace, "labels": labels(store)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def labels(store: Store) -> dict[str, str]:
    return {**manifests.labels(store), "app.kubernetes.io/managed-by": "Helm"}


def workload(store: Store, app: str) -> dict[str, Any]:
    container = {
        "name": app,
        "image": "registry.example/shop:1",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "securityContext": {
            "runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }  # fmt: skip
    return {
        "selector": {"matchLabels": {"app": app}},
        "template": {"metadata": {"labels": {**labels(store), "app": app}}, "spec": pod},
    }
