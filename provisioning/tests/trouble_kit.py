"""A namespace like a store's on the real control plane, and somebody who makes trouble in it.

Quota, admission, scheduling, storage, finalizers, rights and Helm are real. What a kubelet would write
comes from kwok's situations, or from the test.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from devcluster import DevCluster
from provisioning import diagnosis, manifests
from provisioning.cluster.api import path_of
from provisioning.cluster.base import Manifest, Release
from provisioning.cluster.kubernetes import KubernetesCluster
from provisioning.diagnosis import Diagnosis
from provisioning.errors import NotYet, StepFailed
from stores.messages import sentence
from stores.models import Store, User

ACCOUNT = "portal-system/portal-worker"
# Of a pod that kwok knows no stage for: nobody is its kubelet then but the test.
BY_HAND = "by-hand"
SITUATION = "devcluster.storeyard.dev/situation"
PATIENCE = 20.0
SAFE = {
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
SAFE_POD = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}


class Ground:
    """``cluster`` has the portal's rights, ``admin`` all."""

    def __init__(
        self,
        cluster: KubernetesCluster,
        admin: KubernetesCluster,
        devcluster: DevCluster,
        store: Store | None = None,
    ) -> None:
        """``store``: one whose namespace is there; without it, one that no row is of."""
        self.cluster, self.admin, self.devcluster = cluster, admin, devcluster
        self.store = store or Store(owner=User(email="alice@example.com"), address="anna")
        if store is None:
            self.store.namespace = f"store-anna-{self.store.pk.hex[:6]}"
        self.namespace = self.store.namespace
        if store is None:
            self.prepare()

    def prepare(self) -> None:
        cluster = self.cluster
        cluster.apply(manifests.namespace(self.store))
        cluster.apply(manifests.access(self.store, ACCOUNT))
        # Pods are refused before it is there.
        until(lambda: cluster.get("ServiceAccount", "default", self.namespace))
        until(lambda: cluster.get("Secret", "none", self.namespace) is None)

    # --- What is looked at ---------------------------------------------------------------

    def evidence(self, later: float = 0, **more: Any) -> dict[str, Any]:
        """As of so many seconds later: what does not change by itself is then as old.

        Leases do, as long as those are at work who hold them: they are left out then.
        """
        found = self.cluster.evidence(self.namespace)
        if later:
            now = datetime.fromisoformat(found["now"]) + timedelta(seconds=later)
            found |= {"now": now.isoformat(), "leases": []}
        return {**found, **more}

    def diagnosis(self, code: str, later: float = 0, **more: Any) -> Diagnosis:
        """The one that is made first, once it has that cause."""

        def found() -> Diagnosis | None:
            seen = diagnosis.diagnose(self.evidence(later, **more))
            self.last = seen
            return seen if seen and seen.cause.code == code else None

        return until(found, lambda: f"instead of {code}: {self.last}")

    # --- What is made --------------------------------------------------------------------

    def guard(self, **hard: str) -> None:
        """The store's limits; ``hard`` in place of what the plan says."""
        quota = manifests.quota(self.store)
        quota["spec"]["hard"] |= {key.replace("_", "."): value for key, value in hard.items()}
        self.cluster.apply(quota)
        self.cluster.apply(manifests.limits(self.store))
        until(lambda: (self.quota() or {}).get("status", {}).get("used"))

    def quota(self) -> Manifest | None:
        return self.cluster.get("ResourceQuota", manifests.QUOTA, self.namespace)

    def make(self, manifest: Manifest) -> Manifest:
        namespace = self.namespace if manifest["kind"] not in CLUSTER_WIDE else ""
        return self.admin.api.request(
            "POST", PATHS.get(manifest["kind"]) or path_of(manifest["kind"], namespace=namespace),
            body=manifest,
        )  # fmt: skip

    def remove(self, kind: str, name: str) -> None:
        path = f"{PATHS[kind]}/{name}" if kind in PATHS else path_of(kind, name)
        self.admin.api.request("DELETE", path)

    @contextmanager
    def made(self, *manifests: Manifest) -> Iterator[None]:
        """For what is not in the namespace, and must not stay."""
        made = [manifest for manifest in manifests if self.make(manifest)]
        try:
            yield
        finally:
            for manifest in reversed(made):
                self.remove(manifest["kind"], manifest["metadata"]["name"])

    def deployment(self, name: str = "store-web", **pod: Any) -> None:
        self.make(workload("Deployment", name, **pod))

    def pod(self, name: str) -> Manifest:
        """The first that is there whose name begins so."""
        return until(
            lambda: next(
                (
                    pod
                    for pod in self.admin.api.objects("Pod", self.namespace)
                    if pod["metadata"]["name"].startswith(name)
                ),
                None,
            )
        )

    def write_status(self, kind: str, name: str, status: Manifest) -> None:
        """As a kubelet does."""
        self.patch(kind, name, {"status": status}, "--subresource=status")

    def patch(self, kind: str, name: str, change: Manifest, *how: str) -> None:
        self.devcluster.kubectl(
            "patch", kind, name, "--namespace", self.namespace, "--type=merge",
            "--patch", json.dumps(change), *how,
        )  # fmt: skip

    def container_says(self, state: Manifest, **more: Any) -> None:
        """The only container of the shop, whose pod is in the situation ``BY_HAND``."""
        pod = self.pod("store-web")
        status = {
            "name": "web",
            "image": "shop:1",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
        }
        self.write_status(
            "Pod",
            pod["metadata"]["name"],
            {"phase": "Pending", "containerStatuses": [{**status, "state": state, **more}]},
        )


CLUSTER_WIDE = ("Node", "StorageClass")
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
PATHS = {
    "ValidatingWebhookConfiguration": f"{ADMISSION}/validatingwebhookconfigurations",
    "ValidatingAdmissionPolicy": f"{ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{ADMISSION}/validatingadmissionpolicybindings",
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
}


def object_of(version: str, kind: str, name: str, namespace: str = "", **parts: Any) -> Manifest:
    place = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **place}, **parts}


def pod_spec(*, safe: bool = True, container: Manifest | None = None, **spec: Any) -> Manifest:
    web = {"name": "web", "image": "registry.example.com/shop:1", **(SAFE if safe else {})}
    return {
        "securityContext": SAFE_POD if safe else {},
        "containers": [{**web, **(container or {})}],
        **spec,
    }


def workload(
    kind: str, name: str, *, situation: str = "", above: Manifest | None = None, **pod: Any
) -> Manifest:
    """A Deployment, StatefulSet or Job with one pod; ``above``: further parts of its spec."""
    labels = {"app": name}
    annotations = {SITUATION: situation} if situation else {}
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod_spec(**pod)}
    if kind == "Job":
        template["spec"] |= {"restartPolicy": "Never"}
        spec = {"backoffLimit": 0, "template": template, **(above or {})}
        return object_of("batch/v1", kind, name, spec=spec)
    spec = {"selector": {"matchLabels": labels}, "template": template, **(above or {})}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    return object_of("apps/v1", kind, name, spec=spec)


def claim(name: str = "data", **spec: Any) -> Manifest:
    size = {"requests": {"storage": "1Gi"}}
    parts = {"accessModes": ["ReadWriteOnce"], "resources": size, **spec}
    return object_of("v1", "PersistentVolumeClaim", name, spec=parts)


def storage_class(name: str, provisioner: str, mode: str = "Immediate") -> Manifest:
    parts = {"provisioner": provisioner, "volumeBindingMode": mode}
    return object_of("storage.k8s.io/v1", "StorageClass", name, **parts)


def until(ask: Callable[[], Any], what: Callable[[], str] = str, seconds: float = PATIENCE) -> Any:
    """The first true answer; being refused for a moment counts as none."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := ask():
                return answer
        except NotYet:
            pass
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what()}")
        time.sleep(0.05)


def refusal(ask: Callable[[], Any]) -> str:
    """What the cluster says when it refuses, as the runner hands it to the rules."""
    try:
        ask()
    except NotYet as error:
        return error.said
    except StepFailed as error:
        return str(error.message.params["reason"])
    pytest.fail("nothing was refused")


# --- Charts ----------------------------------------------------------------------------------


def chart(folder: Path, *templates: Manifest) -> Path:
    """The smallest there is; the templates may refer to ``.Values.word``."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: tiny, version: 0.1.0}")
    (folder / "values.yaml").write_text("word: one")
    for number, template in enumerate(templates):
        (folder / "templates" / f"{number}.yaml").write_text(json.dumps(template))
    return folder


def release(ground: Ground, folder: Path, word: str = "one") -> Release:
    return Release(
        name="store",
        namespace=ground.namespace,
        chart=folder,
        chart_version="0.1.0",
        values={"word": word},
    )


# --- A check that answers as the test says ---------------------------------------------------


class Check(BaseHTTPRequestHandler):
    """An admission webhook that refuses everything."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {
            "uid": asked["request"]["uid"], "allowed": False,
            "status": {"message": "shops are closed on Sundays"},
        }  # fmt: skip
        body = json.dumps(
            {"apiVersion": asked["apiVersion"], "kind": "AdmissionReview", "response": answer}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def https_server(devcluster: DevCluster) -> Iterator[int]:
    """Its port; with the API server's certificate, which nobody but the cluster trusts."""
    identities = devcluster.root / "identities"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Check)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identities / "apiserver.crt", identities / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def webhook(ground: Ground, port: int, ca: str = "") -> Manifest:
    """Asked about every pod and Service in the store's namespace."""
    here = {"matchLabels": {"storeyard.dev/store": str(ground.store.pk)}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    return object_of(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        f"check-{ground.store.pk.hex[:6]}",
        webhooks=[
            {
                "name": "check.example.com",
                "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": ca},
                "rules": [{**rule, "resources": ["pods", "services"]}],
                "namespaceSelector": here,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 1,
                "failurePolicy": "Fail",
            }
        ],
    )


# --- What a test expects -----------------------------------------------------------------------


def says(found: Diagnosis | None, kind: str, move: str, action: str, *words: str) -> None:
    """Class, move, action; the words of the sentence; and that it rests on something."""
    assert found is not None
    assert (found.kind, found.move, found.action) == (kind, move, action), found
    text = sentence(found.cause.as_json())
    for word in words:
        assert word in text, text
    assert found.lines
    assert all(0 < len(line) <= 300 and "\n" not in line for line in found.lines)
