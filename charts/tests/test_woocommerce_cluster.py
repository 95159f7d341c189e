"""The WooCommerce chart on a real API server: admitted, installed, upgraded, rolled back, removed.

Pods are scheduled and counted for real; nothing runs in them (docs/limits.md).
"""

import json
import time
import uuid
from collections.abc import Iterator

import pytest
from chart_kit import EVERYTHING, Chart, Document, for_helm, merged, pod_templates
from chart_kit import VALUES as LEAST

from devcluster import DevCluster

pytestmark = pytest.mark.cluster

# Its CRD is the Gateway API's, which a bare control plane does not have.
VALUES = merged(LEAST, EVERYTHING, {"exposure": {"type": "ingress"}})


class Namespace:
    """A restricted namespace with the smallest plan's quota, as the portal makes one."""

    def __init__(self, cluster: DevCluster, chart: Chart) -> None:
        self.cluster = cluster
        self.chart = chart
        self.name = f"store-chart-{uuid.uuid4().hex[:6]}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.make("v1", "Namespace", self.name, metadata={"labels": labels})
        hard = {
            "requests.cpu": "2",
            "requests.memory": "2Gi",
            "limits.cpu": "4",
            "limits.memory": "4Gi",
            "pods": "10",
            "persistentvolumeclaims": "5",
        }
        self.make("v1", "ResourceQuota", "store-quota", spec={"hard": hard})

    def make(self, version: str, kind: str, name: str, **parts: Document) -> None:
        metadata = {"name": name, **parts.pop("metadata", {})}
        if kind != "Namespace":
            metadata["namespace"] = self.name
        body = {"apiVersion": version, "kind": kind, "metadata": metadata, **parts}
        self.kubectl("apply", "-f", "-", input=json.dumps(body))

    def kubectl(self, *arguments: str, input: str | None = None) -> str:
        return str(self.cluster.kubectl(*arguments, "-n", self.name, input=input))

    def helm(self, *arguments: str, values: Document | None = None) -> str:
        given = for_helm(values) if values else None
        return str(self.cluster.helm(*arguments, "-n", self.name, input=given))

    def release(self, *changes: Document) -> None:
        values = merged(VALUES, *changes)
        self.helm("upgrade", "--install", "store", str(self.chart.path), "-f", "-", values=values)

    def list(self, kinds: str) -> dict[str, Document]:
        items = json.loads(self.kubectl("get", kinds, "-o", "json"))["items"]
        return {item["metadata"]["name"]: item for item in items}

    def settle(self, job: str) -> None:
        """Until the web and database pods are ready and the setup Job is complete."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            objects = self.list("deployments,statefulsets,jobs")
            ready = [objects[n]["status"].get("readyReplicas") for n in ("store-web", "store-db")]
            if ready == [1, 1] and objects.get(job, {}).get("status", {}).get("succeeded"):
                return
            time.sleep(0.3)
        pytest.fail(self.kubectl("get", "pods,jobs,events"))


@pytest.fixture
def namespace(devcluster: DevCluster, chart: Chart) -> Iterator[Namespace]:
    namespace = Namespace(devcluster, chart)
    yield namespace
    namespace.kubectl("delete", "namespace", namespace.name, "--wait=false")


def test_a_store_is_admitted_upgraded_rolled_back_and_removed(namespace: Namespace) -> None:
    namespace.release({"store": {"title": "A shop 🛍"}})
    namespace.settle("store-setup-1")
    assert namespace.list("configmaps")["store-identity"]["data"]["title"] == "A shop 🛍"
    refused = [e for e in namespace.list("events").values() if e["reason"] == "FailedCreate"]
    assert not refused

    everything = (
        "deployments,statefulsets,jobs,cronjobs,services,pods,pvc,ingresses,networkpolicies"
    )
    for name, found in namespace.list(everything).items():
        labels = found["metadata"]["labels"]
        assert labels["storeyard.dev/store"] == VALUES["commonLabels"]["storeyard.dev/store"], name

    namespace.release({"web": {"maxRequestWorkers": 4}, "secrets": {"revision": "2"}})
    namespace.settle("store-setup-2")
    assert "store-setup-1" not in namespace.list("jobs")

    namespace.helm("rollback", "store", "1")
    namespace.settle("store-setup-1")
    assert "store-setup-2" not in namespace.list("jobs")

    namespace.helm("uninstall", "store")
    assert set(namespace.list("pvc")) == {"store-content", "data-store-db-0"}
    namespace.release()
    namespace.settle("store-setup-1")


def test_every_pod_is_admitted_under_the_restricted_standard(namespace: Namespace) -> None:
    for kind, template in pod_templates(namespace.chart.render(EVERYTHING)):
        spec = template["spec"]
        if kind == "StatefulSet":
            spec["volumes"].append({"name": "data", "emptyDir": {}})
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "trial"}, "spec": spec}
        namespace.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(pod))
