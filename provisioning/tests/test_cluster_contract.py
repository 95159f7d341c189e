"""What a cluster does, said once and checked on both: the simulated one and a real control plane.

A behaviour that the simulation has and that is not a sentence here may be a lie: add the sentence.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pytest

from provisioning import diagnosis, manifests
from provisioning.cluster import seen as reduced
from provisioning.cluster.base import (
    MANAGED_BY,
    RELEASE_ANNOTATION,
    Change,
    Cluster,
    Manifest,
    Release,
    SeenObject,
)
from provisioning.cluster.quantities import amount
from provisioning.cluster.records import packed, unpacked
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.cluster.simulation.releases import History
from provisioning.errors import NotYet, StepFailed
from stores.messages import Message
from stores.models import Store, User

ACCOUNT = "portal-system/portal-worker"
QUOTA = "store-quota"
RELEASE = "store"
WEB, DATABASE = "store-web", "store-db"
WATCHED = {"Namespace", *reduced.KINDS}
CLAIMS = ("store-content", "data-store-db-0")
# A bound for what comes "after a while"; nothing here takes a third of it.
PATIENCE = 45.0


class Side(Protocol):
    """A cluster, and what only its administrator may see or do."""

    cluster: Cluster

    def exists(self, kind: str, name: str, namespace: str) -> bool: ...

    def foreign_namespace(self, name: str) -> None:
        """One that is no store's."""

    def revisions(self, namespace: str) -> dict[int, str]:
        """Helm's: number to status."""

    def leave_release(self, namespace: str, status: str) -> None:
        """As a killed Helm would."""

    def retain(self, volume: str) -> None:
        """As if its storage class kept disks."""

    def discard(self, volume: str) -> None:
        """What an administrator does with such a disk in the end."""


class Simulated:
    def __init__(self, path: Path) -> None:
        self.cluster = SimulatedCluster(path, starting_seconds=1.5, terminating_seconds=1.5)

    def exists(self, kind: str, name: str, namespace: str) -> bool:
        with self.cluster.file.reading() as objects:
            return objects.find(kind, name, namespace) is not None

    def foreign_namespace(self, name: str) -> None:
        self.cluster.apply({"kind": "Namespace", "metadata": {"name": name}})

    def revisions(self, namespace: str) -> dict[int, str]:
        with self.cluster.file.reading() as objects:
            found = History(objects, RELEASE, namespace).revisions
            return {revision.number: revision.status for revision in found}

    def leave_release(self, namespace: str, status: str) -> None:
        self.cluster.leave_release(namespace, RELEASE, status)

    def retain(self, volume: str) -> None:
        with self.cluster.file.writing() as objects:
            found = objects.find("PersistentVolume", volume)
            found.body["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
            objects.save(found)

    def discard(self, volume: str) -> None:
        with self.cluster.file.writing() as objects:
            objects.remove(objects.find("PersistentVolume", volume))


class Real:
    def __init__(self, cluster: Cluster, devcluster: Any) -> None:
        self.cluster, self.devcluster = cluster, devcluster

    def exists(self, kind: str, name: str, namespace: str) -> bool:
        return bool(
            self.devcluster.kubectl(
                "get", kind, name, "--namespace", namespace, "--ignore-not-found", "--output=name"
            )
        )

    def foreign_namespace(self, name: str) -> None:
        self.devcluster.kubectl("create", "namespace", name)

    def revisions(self, namespace: str) -> dict[int, str]:
        labels = [item["metadata"]["labels"] for item in self.records(namespace)]
        return {int(label["version"]): label["status"] for label in labels}

    def records(self, namespace: str) -> list[Manifest]:
        text = self.devcluster.kubectl(
            "get", "secrets", "--namespace", namespace, "--selector=owner=helm", "--output=json"
        )
        return sorted(
            json.loads(text)["items"], key=lambda one: int(one["metadata"]["labels"]["version"])
        )

    def leave_release(self, namespace: str, status: str) -> None:
        record = self.records(namespace)[-1]
        number = int(record["metadata"]["labels"]["version"])
        if status in ("pending-upgrade", "deployed"):  # which leave the one before as it was
            number += 1
        content = unpacked(record["data"]["release"])
        content["version"], content["info"]["status"] = number, status
        labels = {**record["metadata"]["labels"], "version": str(number), "status": status}
        left = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": record["type"],
            "metadata": {
                "name": f"sh.helm.release.v1.{RELEASE}.v{number}",
                "namespace": namespace,
                "labels": labels,
            },
            "data": {"release": packed(content)},
        }
        self.devcluster.kubectl(
            "apply", "--server-side", "--force-conflicts", "-f-", input=json.dumps(left)
        )

    def retain(self, volume: str) -> None:
        policy = {"spec": {"persistentVolumeReclaimPolicy": "Retain"}}
        self.devcluster.kubectl("patch", "persistentvolume", volume, "--patch", json.dumps(policy))

    def discard(self, volume: str) -> None:
        self.devcluster.kubectl("delete", "persistentvolume", volume, "--wait=false")


@pytest.fixture(params=["simulated", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def side(request: pytest.FixtureRequest, tmp_path: Path) -> Side:
    if request.param == "simulated":
        return Simulated(tmp_path / "contract.sqlite3")
    return Real(request.getfixturevalue("real_cluster"), request.getfixturevalue("devcluster"))


@pytest.fixture
def cluster(side: Side) -> Cluster:
    return side.cluster


@pytest.fixture
def store(cluster: Cluster) -> Iterator[Store]:
    """A store with a namespace in which the portal has its rights."""
    with opened(cluster) as store:
        yield store


@contextmanager
def opened(cluster: Cluster, *, bound: bool = True) -> Iterator[Store]:
    """``bound``: with our rights in its namespace."""
    store = new_store()
    store.namespace_uid = cluster.apply(manifests.namespace(store))["metadata"]["uid"]
    if bound:
        cluster.apply(manifests.access(store, ACCOUNT))
        # The binding takes a moment to be known.
        eventually(lambda: cluster.get("Secret", "none", store.namespace) is None)
    yield store
    cluster.delete("Namespace", store.namespace)


def new_store() -> Store:
    store = Store(owner=User(email="alice@example.com"), name="Contract", address="contract")
    store.namespace = f"store-contract-{store.pk.hex[:6]}"
    return store


def eventually(check: Callable[[], Any]) -> Any:
    """What ``check`` says once it says something; NotYet counts as nothing."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if result := check():
                return result
            problem = f"still {result!r}"
        except NotYet as error:
            problem = str(error)
        if time.monotonic() > deadline:
            pytest.fail(f"not after {PATIENCE:.0f} seconds: {problem}")
        time.sleep(0.05)


def config_map(store: Store, name: str = "note", **data: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": manifests.meta(store, name),
        "data": data,
    }


def version_of(found: Manifest | None) -> str:
    assert found is not None
    return str(found["metadata"]["resourceVersion"])


def uid_of(found: Manifest | None) -> str:
    assert found is not None
    return str(found["metadata"]["uid"])


# --- Objects ---------------------------------------------------------------------------------


def test_applying_twice_is_the_same_as_once(cluster: Cluster, store: Store) -> None:
    for manifest in (
        config_map(store, a="1"),
        manifests.limits(store),
        manifests.access(store, ACCOUNT),
    ):
        first = cluster.apply(manifest)
        second = cluster.apply(manifest)
        assert version_of(first) == version_of(second)
        assert uid_of(first) == uid_of(second)


def test_an_apply_makes_what_differs_as_it_says(cluster: Cluster, store: Store) -> None:
    first = cluster.apply(config_map(store, a="1", b="1"))
    second = cluster.apply(config_map(store, a="2", c="1"))
    assert second["data"] == {"a": "2", "c": "1"}
    assert uid_of(first) == uid_of(second)
    assert version_of(first) != version_of(second)
    assert version_of(cluster.get("ConfigMap", "note", store.namespace)) == version_of(second)


def test_an_apply_leaves_what_it_never_said(cluster: Cluster, store: Store) -> None:
    cluster.create(config_map(store, theirs="1"))
    found = cluster.apply(config_map(store, ours="1"))
    assert found["data"] == {"theirs": "1", "ours": "1"}


def test_an_apply_with_its_uid_changes_the_object(cluster: Cluster, store: Store) -> None:
    manifest = manifests.namespace(store)
    assert manifest["metadata"]["uid"] == store.namespace_uid
    manifest["metadata"]["annotations"]["storeyard.dev/plan"] = "large"
    found = cluster.apply(manifest)
    assert found["metadata"]["annotations"]["storeyard.dev/plan"] == "large"
    assert uid_of(cluster.apply(manifest)) == store.namespace_uid


def test_an_apply_with_a_uid_never_creates_in_place_of_a_vanished_object(
    cluster: Cluster, store: Store
) -> None:
    uid = uid_of(cluster.apply(config_map(store)))
    cluster.delete("ConfigMap", "note", store.namespace)
    manifest = config_map(store)
    manifest["metadata"]["uid"] = uid
    with pytest.raises(StepFailed) as refused:
        cluster.apply(manifest)
    assert refused.value.message.code == "object-gone"
    assert refused.value.message.params == {"kind": "ConfigMap", "name": "note"}
    assert cluster.get("ConfigMap", "note", store.namespace) is None


def test_an_apply_with_a_uid_leaves_another_object_of_that_name_alone(
    cluster: Cluster, store: Store
) -> None:
    before = cluster.apply(config_map(store, a="1"))
    manifest = config_map(store, a="2")
    manifest["metadata"]["uid"] = str(uuid4())
    with pytest.raises(StepFailed) as refused:
        cluster.apply(manifest)
    assert refused.value.message.code == "object-gone"
    assert version_of(cluster.get("ConfigMap", "note", store.namespace)) == version_of(before)


def test_a_vanished_namespace_is_not_made_again(cluster: Cluster) -> None:
    store = new_store()
    store.namespace_uid = str(uuid4())
    with pytest.raises(StepFailed) as refused:
        cluster.apply(manifests.namespace(store))
    assert refused.value.message.code == "object-gone"
    assert cluster.get("Namespace", store.namespace) is None


def test_creating_keeps_what_is_there(cluster: Cluster, store: Store) -> None:
    first = cluster.create(manifests.secret(store, "store-db", {"password": "one"}))
    second = cluster.create(manifests.secret(store, "store-db", {"password": "two"}))
    assert version_of(first) == version_of(second)
    found = cluster.get("Secret", "store-db", store.namespace)
    assert found is not None
    assert found["data"] == {"password": base64.b64encode(b"one").decode()}


def test_getting_what_is_absent_is_none(cluster: Cluster, store: Store) -> None:
    assert cluster.get("Secret", "none", store.namespace) is None
    assert cluster.get("Namespace", "store-none-000000") is None


def test_deleting_what_is_absent_succeeds(cluster: Cluster, store: Store) -> None:
    cluster.delete("ConfigMap", "none", store.namespace)
    cluster.delete("Namespace", "store-none-000000")


def test_deleting_takes_the_object_away(cluster: Cluster, store: Store) -> None:
    uid = uid_of(cluster.apply(config_map(store)))
    cluster.delete("ConfigMap", "note", store.namespace, uid=uid)
    assert cluster.get("ConfigMap", "note", store.namespace) is None


def test_deleting_with_another_uid_deletes_nothing(cluster: Cluster, store: Store) -> None:
    before = cluster.apply(config_map(store))
    cluster.delete("ConfigMap", "note", store.namespace, uid=str(uuid4()))
    assert version_of(cluster.get("ConfigMap", "note", store.namespace)) == version_of(before)
    cluster.delete("Namespace", store.namespace, uid=str(uuid4()))
    found = cluster.get("Namespace", store.namespace)
    assert found is not None
    assert "deletionTimestamp" not in found["metadata"]


def test_rights_in_a_namespace_begin_with_the_binding(cluster: Cluster) -> None:
    store = new_store()
    cluster.apply(manifests.namespace(store))
    for verb in (cluster.apply, cluster.create):
        with pytest.raises(NotYet) as refused:
            verb(config_map(store))
        assert refused.value.message.code == "access-pending"
    with pytest.raises(NotYet):
        cluster.get("Secret", "none", store.namespace)
    with pytest.raises(NotYet):
        cluster.delete("Secret", "none", store.namespace)
    assert cluster.get("Service", "none", store.namespace) is None
    cluster.apply(manifests.access(store, ACCOUNT))
    assert eventually(lambda: cluster.apply(config_map(store)))
    cluster.delete("Namespace", store.namespace)


def test_the_contents_of_a_namespace_are_told_without_what_a_secret_holds(
    cluster: Cluster, store: Store
) -> None:
    cluster.create(manifests.secret(store, "store-db", {"password": "do not tell"}))
    [secret] = cluster.contents(store.namespace, ("Secret",))
    assert secret["kind"] == "Secret" and secret["metadata"]["name"] == "store-db"
    assert datetime.fromisoformat(secret["metadata"]["creationTimestamp"]) <= cluster.now()
    assert cluster.now() - datetime.now(UTC) < timedelta(seconds=5)
    assert secret.keys() == {"kind", "metadata"} and "do not tell" not in str(secret)
    both = cluster.contents(store.namespace, ("RoleBinding", "LimitRange", "Pod"))
    assert [item["kind"] for item in both] == ["RoleBinding"]
    assert cluster.contents(store.namespace, ()) == []


def test_nothing_can_be_applied_where_there_is_no_namespace(cluster: Cluster) -> None:
    store = new_store()
    with pytest.raises(StepFailed) as refused:
        cluster.apply(manifests.access(store, ACCOUNT))
    assert refused.value.message.code == "rejected"
    assert store.namespace in refused.value.message.params["reason"]


def test_the_quota_is_confirmed_after_a_while(cluster: Cluster, store: Store) -> None:
    wanted = cluster.apply(manifests.quota(store))["spec"]["hard"]

    def status() -> Manifest:
        found = cluster.get("ResourceQuota", QUOTA, store.namespace)
        return dict(found and found.get("status") or {})

    eventually(lambda: set(status().get("used", {})) == set(wanted))
    assert status()["hard"] == wanted


# --- Releases --------------------------------------------------------------------------------


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """The objects of a store by the names they have in our charts, and nothing else."""
    folder = tmp_path / "shop"
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text("commonLabels: {}\ncolor: blue\n")
    (folder / "templates" / "all.yaml").write_text(CHART)
    return folder


CHART = """\
{{- define "metadata" }}
  labels: {{ .Values.commonLabels | toJson }}
{{- end }}
{{- define "pod" }}
metadata:
  labels: {{ merge (dict "app" .app "app.kubernetes.io/component" .app) .root.Values.commonLabels | toJson }}
  annotations: {color: {{ .root.Values.color | quote }}}
spec:
  securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: {{ .app }}
      image: registry.example/shop:1
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
{{- end }}
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-web
  {{- include "metadata" . }}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ .Release.Name }}-content
  annotations: {helm.sh/resource-policy: keep}
  {{- include "metadata" . }}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-web
  {{- include "metadata" . }}
spec:
  strategy: {type: Recreate}
  selector: {matchLabels: {app: web}}
  template: {{- include "pod" (dict "root" . "app" "web") | nindent 4 }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ .Release.Name }}-db
  {{- include "metadata" . }}
spec:
  serviceName: {{ .Release.Name }}-web
  selector: {matchLabels: {app: db}}
  template: {{- include "pod" (dict "root" . "app" "db") | nindent 4 }}
  volumeClaimTemplates:
    - metadata: {name: data, labels: {{ .Values.commonLabels | toJson }}}
      spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-setup-{{ .Release.Revision }}
  {{- include "metadata" . }}
spec:
  template: {{- include "pod" (dict "root" . "app" "setup") | nindent 4 }}
      restartPolicy: Never
{{- with .Values.exposure }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ $.Release.Name }}-web
  {{- include "metadata" $ }}
spec:
  rules:
    - host: {{ $.Values.host }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: {service: {name: {{ $.Release.Name }}-web, port: {number: 80}}}
{{- end }}
"""


def release_of(
    store: Store, chart: Path, *, color: str = "blue", may_start_over: bool = True
) -> Release:
    values = {"commonLabels": manifests.labels(store), "color": color, "host": store.host}
    return Release(RELEASE, store.namespace, chart, "0.1.0", values, may_start_over)


def exposed(store: Store, chart: Path) -> Release:
    """With an address that leads to it."""
    release = release_of(store, chart)
    return replace(release, values={**release.values, "exposure": {"type": "ingress"}})


def no_helm() -> None:
    raise AssertionError("Helm runs")


def remembered(cluster: Cluster, store: Store) -> str:
    found = cluster.get("Namespace", store.namespace)
    assert found is not None
    return str(found["metadata"]["annotations"].get(RELEASE_ANNOTATION, ""))


def test_a_release_needs_its_namespace(cluster: Cluster, chart: Path) -> None:
    with pytest.raises(StepFailed) as refused:
        cluster.ensure_release(release_of(new_store(), chart))
    assert refused.value.message.code == "rejected"


def test_a_release_brings_its_objects(cluster: Cluster, store: Store, chart: Path) -> None:
    assert cluster.ensure_release(release_of(store, chart)) is True
    for kind, name in (
        ("Deployment", WEB), ("StatefulSet", DATABASE), ("Service", WEB),
        ("Job", "store-setup-1"), ("PersistentVolumeClaim", CLAIMS[0]),
    ):  # fmt: skip
        assert cluster.get(kind, name, store.namespace) is not None, kind
    # This one is the StatefulSet's doing, not Helm's.
    eventually(lambda: cluster.get("PersistentVolumeClaim", CLAIMS[1], store.namespace))


def test_a_second_ensure_makes_no_new_revision_and_runs_no_helm(
    side: Side, store: Store, chart: Path
) -> None:
    release = release_of(store, chart)
    assert side.cluster.ensure_release(release) is True
    assert remembered(side.cluster, store) == release.hash
    assert side.cluster.ensure_release(release, no_helm) is False
    assert side.revisions(store.namespace) == {1: "deployed"}


def test_changed_values_make_one_new_revision(side: Side, store: Store, chart: Path) -> None:
    side.cluster.ensure_release(release_of(store, chart))
    changed = release_of(store, chart, color="red", may_start_over=False)
    assert side.cluster.ensure_release(changed) is True
    assert side.cluster.ensure_release(changed, no_helm) is False
    assert side.revisions(store.namespace) == {1: "superseded", 2: "deployed"}
    assert remembered(side.cluster, store) == changed.hash
    assert side.cluster.get("Job", "store-setup-2", store.namespace)
    eventually(lambda: side.cluster.get("Job", "store-setup-1", store.namespace) is None)


def test_applying_the_namespace_keeps_what_is_remembered_of_the_release(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    release = release_of(store, chart)
    cluster.ensure_release(release)
    cluster.apply(manifests.namespace(store))
    store.plan = "large"
    cluster.apply(manifests.namespace(store))
    assert remembered(cluster, store) == release.hash


def test_an_install_that_was_cut_off_starts_over(side: Side, store: Store, chart: Path) -> None:
    release = release_of(store, chart)
    side.cluster.ensure_release(release)
    before = uid_of(side.cluster.get("Deployment", WEB, store.namespace))
    side.leave_release(store.namespace, "pending-install")
    assert side.cluster.ensure_release(release) is True
    assert side.revisions(store.namespace) == {1: "deployed"}
    assert uid_of(side.cluster.get("Deployment", WEB, store.namespace)) != before


@pytest.mark.parametrize("state", ["pending-install", "uninstalling"])
def test_what_was_cut_off_is_not_thrown_away_once_it_holds_data_and_goes_on(
    side: Side, store: Store, chart: Path, state: str
) -> None:
    side.cluster.ensure_release(release_of(store, chart))
    before = uid_of(side.cluster.get("Deployment", WEB, store.namespace))
    side.leave_release(store.namespace, state)
    assert side.cluster.ensure_release(release_of(store, chart, may_start_over=False)) is True
    assert side.revisions(store.namespace) == {1: "superseded", 2: "deployed"}
    assert uid_of(side.cluster.get("Deployment", WEB, store.namespace)) == before


def test_an_upgrade_that_was_cut_off_is_taken_back_and_goes_on(
    side: Side, store: Store, chart: Path
) -> None:
    side.cluster.ensure_release(release_of(store, chart))
    before = uid_of(side.cluster.get("Deployment", WEB, store.namespace))
    side.leave_release(store.namespace, "pending-upgrade")
    changed = release_of(store, chart, color="red", may_start_over=False)
    assert side.cluster.ensure_release(changed) is True
    assert side.cluster.ensure_release(changed, no_helm) is False
    revisions = side.revisions(store.namespace)
    # 2 was cut off, 3 took it back, 4 went on.
    assert revisions == {1: "superseded", 2: "failed", 3: "superseded", 4: "deployed"}
    assert uid_of(side.cluster.get("Deployment", WEB, store.namespace)) == before


def test_of_two_revisions_that_say_they_are_in_place_the_newer_one_is_believed(
    side: Side, store: Store, chart: Path
) -> None:
    """Two Helms at once end like this: nobody keeps them apart but the lease, and people have none."""
    release = release_of(store, chart)
    side.cluster.ensure_release(release)
    side.leave_release(store.namespace, "deployed")
    assert side.revisions(store.namespace) == {1: "deployed", 2: "deployed"}
    side.cluster.ensure_release(release)
    assert side.revisions(store.namespace) == {1: "superseded", 2: "deployed"}


def test_uninstalling_takes_the_release_and_keeps_the_disks(
    side: Side, store: Store, chart: Path
) -> None:
    cluster = side.cluster
    cluster.ensure_release(release_of(store, chart))

    def disks() -> list[str]:
        found = [cluster.get("PersistentVolumeClaim", name, store.namespace) for name in CLAIMS]
        return [uid_of(one) for one in found if one]

    eventually(lambda: len(disks()) == 2)
    before = disks()
    cluster.uninstall_release(RELEASE, store.namespace)
    assert side.revisions(store.namespace) == {}
    eventually(lambda: cluster.get("Deployment", WEB, store.namespace) is None)
    assert disks() == before


def test_what_was_uninstalled_is_installed_again(side: Side, store: Store, chart: Path) -> None:
    release = release_of(store, chart)
    side.cluster.ensure_release(release)
    side.cluster.uninstall_release(RELEASE, store.namespace)
    assert side.cluster.ensure_release(release) is True
    assert side.revisions(store.namespace) == {1: "deployed"}


def test_uninstalling_what_is_absent_succeeds(cluster: Cluster, store: Store) -> None:
    cluster.uninstall_release(RELEASE, store.namespace)
    cluster.uninstall_release(RELEASE, store.namespace)


def test_uninstalling_where_there_is_no_namespace_any_more_succeeds(cluster: Cluster) -> None:
    cluster.uninstall_release(RELEASE, "store-none-000000")


# --- Looking ---------------------------------------------------------------------------------


def test_a_namespace_with_nothing_in_it_waits_for_nothing(cluster: Cluster, store: Store) -> None:
    assert cluster.not_ready(store.namespace) == []


def test_it_says_what_it_waits_for_until_all_is_up(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.ensure_release(release_of(store, chart))
    seen: dict[tuple[str, str], dict[str, Any]] = {}

    def all_up() -> bool:
        waiting = cluster.not_ready(store.namespace)
        seen.update({(one.code, one.params["name"]): one.params for one in waiting})
        return not waiting

    eventually(all_up)
    assert seen["workload-starting", WEB] == {"name": WEB, "ready": 0, "wanted": 1}
    assert seen["workload-starting", DATABASE] == {"name": DATABASE, "ready": 0, "wanted": 1}
    assert ("job-running", "store-setup-1") in seen


def test_an_upgrade_is_waited_for_like_an_install(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    cluster.ensure_release(release_of(store, chart, color="red"))
    names = {one.params["name"] for one in cluster.not_ready(store.namespace)}
    assert WEB in names
    assert "store-setup-2" in names
    eventually(lambda: not cluster.not_ready(store.namespace))


def test_the_evidence_is_of_one_namespace_in_kubernetes_own_shapes(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    found = cluster.evidence(store.namespace)
    assert set(found) == EVIDENCE
    assert names_of(found["workloads"]) == {WEB, DATABASE}
    assert {item["kind"] for item in found["workloads"]} == {"Deployment", "StatefulSet"}
    assert names_of(found["jobs"]) == {"store-setup-1"}
    assert names_of(found["claims"]) == set(CLAIMS)
    ready = [pod for pod in found["pods"] if pod["status"]["phase"] == "Running"]
    containers = {one["name"]: one for pod in ready for one in pod["status"]["containerStatuses"]}
    assert set(containers) == {"web", "db"}
    assert all(one["ready"] and "running" in one["state"] for one in containers.values())
    setup = next(pod for pod in found["pods"] if pod["status"]["phase"] == "Succeeded")
    assert setup["metadata"]["ownerReferences"][0]["kind"] == "Job"
    with opened(cluster) as other:
        assert of_the_store(cluster.evidence(other.namespace)) == {}


# Of the store; of the cluster as a whole.
OWN = {
    "workloads", "pods", "jobs", "claims", "events", "replicasets", "quotas", "limits", "services",
    "releases", "logs",
}  # fmt: skip
EVIDENCE = OWN | {"namespace", "now", "nodes", "storageclasses", "leases"}


def of_the_store(evidence: dict[str, Any]) -> dict[str, Any]:
    """What it says about the store, where it says anything."""
    return {key: value for key, value in evidence.items() if key in OWN and value}


def test_the_evidence_tells_what_the_cluster_has_to_offer_and_what_the_store_may_take(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    for manifest in (manifests.quota(store), manifests.limits(store)):
        cluster.apply(manifest)
    eventually(lambda: cluster.evidence(store.namespace)["quotas"][0].get("status", {}).get("used"))
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: cluster.evidence(store.namespace)["replicasets"])
    found = cluster.evidence(store.namespace)
    assert found["namespace"]["metadata"]["uid"] == store.namespace_uid
    assert names_of(found["limits"]) == {"store-limits"}
    ready = [entry for node in found["nodes"] for entry in node["status"]["conditions"]]
    assert ("Ready", "True") in {(entry["type"], entry["status"]) for entry in ready}
    (default,) = (each for each in found["storageclasses"] if is_default(each))
    assert default["provisioner"] and default["volumeBindingMode"]
    (newest,) = found["replicasets"]
    assert newest["metadata"]["ownerReferences"][0]["name"] == WEB
    assert newest["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert [each["status"] for each in found["releases"]] == ["deployed"]
    made = datetime.fromisoformat(found["namespace"]["metadata"]["creationTimestamp"])
    assert abs((datetime.fromisoformat(found["now"]) - made).total_seconds()) < PATIENCE


def is_default(storage_class: Manifest) -> bool:
    annotations = storage_class["metadata"].get("annotations", {})
    return annotations.get("storageclass.kubernetes.io/is-default-class") == "true"


def test_evidence_about_a_namespace_that_is_not_there_says_so(cluster: Cluster) -> None:
    found = cluster.evidence("store-none-000000")
    assert found["namespace"] is None
    assert of_the_store(found) == {}


def test_a_store_that_is_all_up_has_no_diagnosis(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    assert diagnosis.diagnose(cluster.evidence(store.namespace)) is None


def test_of_a_component_the_containers_that_have_run_have_a_log(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    assert cluster.logs(store.namespace, "", 10) == {}
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    (web,) = cluster.logs(store.namespace, "web", 10)
    pod, container = web.split("/")
    assert pod.startswith(WEB) and container == "web"
    assert set(cluster.logs(store.namespace, "db", 10)) == {f"{DATABASE}-0/db"}
    everything = cluster.logs(store.namespace, "", 10)
    assert {name.split("/")[1] for name in everything} == {"web", "db", "setup"}
    # Where nothing can be had (fake nodes write none) the log is empty, and is a log all the same.
    assert all(len(text.splitlines()) <= 10 for text in everything.values())
    assert cluster.logs(store.namespace, "none", 10) == {}
    assert cluster.logs("store-none-000000", "", 10) == {}


def test_where_we_have_no_rights_a_log_is_empty(cluster: Cluster, chart: Path) -> None:
    with opened(cluster) as store:
        cluster.ensure_release(release_of(store, chart))
        eventually(lambda: not cluster.not_ready(store.namespace))
        cluster.delete("RoleBinding", manifests.BINDING, store.namespace)
        eventually(lambda: cluster.logs(store.namespace, "web", 10))
        assert set(cluster.logs(store.namespace, "web", 10).values()) == {""}


def test_events_are_told_newest_first_and_of_one_namespace(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    assert cluster.events(store.namespace) == []
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    told = cluster.events(store.namespace)
    assert all(set(one) == EVENT for one in told)
    assert [one["last"] for one in told] == sorted((one["last"] for one in told), reverse=True)
    assert json.loads(json.dumps(told)) == told
    assert cluster.events("store-none-000000") == []


EVENT = {"first", "last", "count", "type", "reason", "message", "of"}


def names_of(items: list[Manifest]) -> set[str]:
    return {item["metadata"]["name"] for item in items}


def test_a_claim_is_pending_first_and_then_bound(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.ensure_release(release_of(store, chart))

    def bound() -> bool:
        found = cluster.get("PersistentVolumeClaim", CLAIMS[0], store.namespace)
        return bool(
            found and found["status"].get("phase") == "Bound" and found["spec"]["volumeName"]
        )

    eventually(bound)


def test_the_survey_sees_the_namespaces_of_stores_only(side: Side, store: Store) -> None:
    foreign = f"foreign-{store.pk.hex[:6]}"
    side.foreign_namespace(foreign)
    seen = {found.name: found for found in side.cluster.survey().namespaces}
    assert foreign not in seen
    found = seen[store.namespace]
    assert (found.uid, found.store_id) == (store.namespace_uid, str(store.pk))
    assert not found.terminating
    assert found.created
    wanted = manifests.namespace(store)["metadata"]
    assert wanted["labels"].items() <= found.labels.items()
    assert wanted["annotations"].items() <= found.annotations.items()


def test_the_survey_sees_all_of_a_store_but_its_secrets(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.create(manifests.secret(store, "store-db", {"password": "one"}))
    for guardrail in manifests.guardrails(store, ACCOUNT)[2:]:
        cluster.apply(guardrail)
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))

    seen = cluster.survey().objects[store.namespace]
    names = {(one.kind, one.name) for one in seen}
    assert names >= {
        ("RoleBinding", manifests.BINDING),
        ("LimitRange", "store-limits"),
        ("NetworkPolicy", "store-default-deny"),
        ("Service", WEB),
        ("Deployment", WEB),
        ("StatefulSet", DATABASE),
        ("Job", "store-setup-1"),
        *(("PersistentVolumeClaim", name) for name in CLAIMS),
        ("Pod", f"{DATABASE}-0"),
    }
    assert "Secret" not in {one.kind for one in seen}
    assert {one.store_id for one in seen} == {str(store.pk)}
    assert {one.namespace for one in seen} == {store.namespace}
    assert not [one for one in seen if one.waiting]
    workload = one_of(seen, "Deployment", WEB)
    assert workload.generation == 1
    assert workload.uid == uid_of(cluster.get("Deployment", WEB, store.namespace))


def one_of(seen: list[SeenObject], kind: str, name: str) -> SeenObject:
    return next(one for one in seen if (one.kind, one.name) == (kind, name))


def test_the_survey_says_what_each_waits_for_and_whose_a_pod_is(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.ensure_release(release_of(store, chart))

    def starting() -> list[SeenObject]:
        seen = cluster.survey().objects[store.namespace]
        # Somebody still waits, and the pods are there.
        waiting = [one for one in seen if one.kind == "StatefulSet" and one.waiting]
        return seen if waiting and any(one.kind == "Pod" for one in seen) else []

    seen = eventually(starting)
    assert one_of(seen, "StatefulSet", DATABASE).waiting == Message(
        "workload-starting", {"name": DATABASE, "ready": 0, "wanted": 1}
    )
    pods = {json.loads(one.content)["of"]: one for one in seen if one.kind == "Pod"}
    database = pods[f"StatefulSet/{DATABASE}"].waiting
    assert database is not None and database.params["since"]
    # Pods of Jobs change nobody's health.
    if job := pods.get("Job/store-setup-1"):
        assert job.waiting is None
    eventually(lambda: not cluster.not_ready(store.namespace))


def test_the_survey_sees_the_content_of_guardrails(cluster: Cluster, store: Store) -> None:
    def limits() -> str:
        return one_of(
            cluster.survey().objects[store.namespace], "LimitRange", "store-limits"
        ).content

    cluster.apply(manifests.limits(store))
    before = limits()
    assert json.loads(before)["labels"] == {MANAGED_BY: "storeyard"}
    wanted = json.loads(before)["spec"]["limits"][0]["max"]
    assert wanted == manifests.limits(store)["spec"]["limits"][0]["max"]
    changed = manifests.limits(store)
    changed["spec"]["limits"][0]["max"]["memory"] = "32Gi"
    cluster.apply(changed)
    assert limits() != before


def test_the_survey_sees_what_a_store_uses_of_its_quota(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    def usage() -> dict[str, dict[str, str]]:
        found = one_of(cluster.survey().objects[store.namespace], "ResourceQuota", QUOTA).usage
        return json.loads(found) if found else {}

    for manifest in (manifests.quota(store), manifests.limits(store)):
        cluster.apply(manifest)
    before = eventually(usage)
    assert {key: amount(one["used"]) for key, one in before.items()} == dict.fromkeys(
        reduced.SHOWN, 0
    )
    assert before["pods"]["hard"] == manifests.quota(store)["spec"]["hard"]["pods"]
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    # The pod of the setup Job has ended, and counts no more; of the two others each has the
    # defaults of the limit range.
    eventually(lambda: usage()["pods"]["used"] == "2")
    now = usage()
    assert amount(now["requests.cpu"]["used"]) == amount("200m")
    assert amount(now["limits.memory"]["used"]) == amount("2Gi")
    assert amount(now["requests.storage"]["used"]) > 0


def test_the_survey_sees_disks_and_the_cluster_as_a_whole(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    survey = cluster.survey()
    disks = {one.claim: one for one in survey.volumes if one.namespace == store.namespace}
    assert set(disks) == set(CLAIMS)
    assert {(one.phase, one.reclaim) for one in disks.values()} == {("Bound", "Delete")}
    facts = survey.facts
    assert facts["version"].startswith("v")
    assert [one for one in facts["storage_classes"] if one["default"]]
    for node in facts["nodes"]:
        assert node["usable"] is True
        assert 0 < node["free_memory"] <= node["memory"]
        assert 0 < node["free_cpu"] <= node["cpu"]
    assert json.loads(json.dumps(facts)) == facts


# --- The end ---------------------------------------------------------------------------------


def test_a_deleted_namespace_is_terminating_first_and_takes_everything_with_it(
    side: Side, store: Store, chart: Path
) -> None:
    cluster = side.cluster
    cluster.create(manifests.secret(store, "store-db", {"password": "one"}))
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))

    cluster.delete("Namespace", store.namespace, uid=store.namespace_uid)
    found = cluster.get("Namespace", store.namespace)
    assert found is not None
    assert found["status"]["phase"] == "Terminating"
    assert found["metadata"]["deletionTimestamp"]
    survey = {one.name: one for one in cluster.survey().namespaces}
    assert survey[store.namespace].terminating
    assert [one.code for one in cluster.leftovers(store.namespace, store.namespace_uid)] == [
        "namespace-terminating"
    ]
    cluster.delete("Namespace", store.namespace, uid=store.namespace_uid)  # again: no harm

    eventually(lambda: not cluster.leftovers(store.namespace, store.namespace_uid))
    assert cluster.get("Namespace", store.namespace) is None
    assert store.namespace not in {one.name for one in cluster.survey().namespaces}
    assert side.revisions(store.namespace) == {}
    assert of_the_store(cluster.evidence(store.namespace)) == {}
    for kind, name in (
        ("Secret", "store-db"),
        ("Deployment", WEB),
        ("PersistentVolumeClaim", CLAIMS[1]),
    ):
        assert not side.exists(kind, name, store.namespace)


def test_the_inventory_names_everything_of_a_store(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.create(manifests.secret(store, "store-db", {"password": "one"}))
    cluster.ensure_release(exposed(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    found = cluster.inventory(store.namespace, store.namespace_uid)
    assert {
        ("Namespace", store.namespace),
        ("Deployment", WEB),
        ("StatefulSet", DATABASE),
        ("Job", "store-setup-1"),
        ("Service", WEB),
        ("Ingress", WEB),
        ("Secret", "store-db"),
        ("Secret", "sh.helm.release.v1.store.v1"),
        *(("PersistentVolumeClaim", claim) for claim in CLAIMS),
    } <= {(item["kind"], item["name"]) for item in found}
    volumes = [item for item in found if item["kind"] == "PersistentVolume"]
    assert {item["claim"] for item in volumes} == set(CLAIMS)
    assert {item["reclaim"] for item in volumes} == {"Delete"}
    assert all(item["uid"] for item in found)
    assert len({item["uid"] for item in found}) == len(found)


def test_the_inventory_is_of_that_very_namespace(cluster: Cluster, store: Store) -> None:
    assert cluster.inventory(store.namespace, "another") == []
    assert cluster.inventory("store-never-was-000000", store.namespace_uid) == []


def test_where_we_have_no_rights_the_inventory_leaves_secrets_out(cluster: Cluster) -> None:
    with opened(cluster, bound=False) as store:
        found = cluster.inventory(store.namespace, store.namespace_uid)
    assert [item["kind"] for item in found] == ["Namespace"]


def test_where_we_have_no_rights_nobody_says_that_there_is_no_route(cluster: Cluster) -> None:
    with opened(cluster, bound=False) as store, pytest.raises(NotYet):
        cluster.routes(store.namespace)


def test_a_release_that_is_closed_has_no_routes_and_one_that_is_opened_again_has(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    cluster.ensure_release(exposed(store, chart))
    assert cluster.routes(store.namespace) == [WEB]
    cluster.ensure_release(release_of(store, chart))
    assert cluster.routes(store.namespace) == []
    assert cluster.get("Service", WEB, store.namespace) is not None
    cluster.ensure_release(exposed(store, chart))
    assert cluster.routes(store.namespace) == [WEB]


def test_a_disk_that_its_storage_class_retains_is_not_left_over(
    side: Side, store: Store, chart: Path
) -> None:
    cluster = side.cluster
    cluster.ensure_release(release_of(store, chart))
    eventually(lambda: not cluster.not_ready(store.namespace))
    volumes = {
        item["claim"]: item["name"]
        for item in cluster.inventory(store.namespace, store.namespace_uid)
        if item["kind"] == "PersistentVolume"
    }
    side.retain(volumes[CLAIMS[0]])
    cluster.delete("Namespace", store.namespace, uid=store.namespace_uid)
    eventually(lambda: not cluster.leftovers(store.namespace, store.namespace_uid))
    try:
        assert cluster.get("PersistentVolume", volumes[CLAIMS[0]]) is not None
        assert cluster.get("PersistentVolume", volumes[CLAIMS[1]]) is None
    finally:
        side.discard(volumes[CLAIMS[0]])


def test_nothing_comes_to_be_in_a_namespace_that_is_going(
    side: Side, store: Store, chart: Path
) -> None:
    side.cluster.delete("Namespace", store.namespace)
    for verb in (side.cluster.apply, side.cluster.create):
        with pytest.raises(NotYet):
            verb(config_map(store))
    with pytest.raises(NotYet):
        side.cluster.ensure_release(release_of(store, chart))
    assert not side.exists("ConfigMap", "note", store.namespace)
    assert side.revisions(store.namespace) == {}


def test_a_namespace_made_anew_is_another_one(cluster: Cluster) -> None:
    store = new_store()
    first = uid_of(cluster.apply(manifests.namespace(store)))
    cluster.delete("Namespace", store.namespace, uid=first)
    eventually(lambda: cluster.get("Namespace", store.namespace) is None)
    second = uid_of(cluster.apply(manifests.namespace(store)))
    assert second != first
    assert cluster.leftovers(store.namespace, first) == []
    cluster.delete("Namespace", store.namespace, uid=first)
    found = cluster.get("Namespace", store.namespace)
    assert found is not None
    assert found["status"]["phase"] == "Active"
    cluster.delete("Namespace", store.namespace)


# --- The watch -------------------------------------------------------------------------------


class Watching:
    """A watch in a thread of its own, and what it said so far."""

    def __init__(self, cluster: Cluster) -> None:
        self.seen: list[Change] = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(cluster,), daemon=True)

    def run(self, cluster: Cluster) -> None:
        for change in cluster.watch(self.over.is_set):
            self.seen.append(change)

    def begun(self) -> bool:
        return {one.kind for one in self.seen if one.picture is not None} == WATCHED

    def saw(self, store: Store, kind: str, name: str) -> Change:
        """The newest change of that object, once one turned."""

        def newest() -> Change | None:
            about = (str(store.pk), kind, name)
            found = [one for one in self.seen if (one.store_id, one.kind, one.name) == about]
            return found[-1] if any(one.turned for one in found) else None

        found: Change = eventually(newest)
        return found


@contextmanager
def watching(cluster: Cluster) -> Iterator[Watching]:
    watch = Watching(cluster)
    watch.thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        watch.thread.join(timeout=10)
    assert not watch.thread.is_alive(), "the watch goes on although it was told to stop"


def test_a_watch_begins_with_pictures_of_all_there_is_and_ends_when_told(
    cluster: Cluster, store: Store
) -> None:
    cluster.apply(manifests.limits(store))
    with watching(cluster) as watch:
        eventually(watch.begun)
        assert watch.seen[0].store_id == ""
        pictures = {one.kind: one.picture for one in watch.seen if one.picture is not None}
        assert store.namespace_uid in {one.uid for one in pictures["Namespace"]}
        assert str(store.pk) in {one.store_id for one in pictures["LimitRange"]}
        told = time.monotonic()
    assert time.monotonic() - told < 5


def test_a_watch_tells_what_of_a_store_got_where_it_was_going(
    cluster: Cluster, store: Store, chart: Path
) -> None:
    with watching(cluster) as watch:
        eventually(watch.begun)
        cluster.apply(manifests.quota(store))
        confirmed = watch.saw(store, "ResourceQuota", QUOTA).seen
        assert isinstance(confirmed, SeenObject) and confirmed.waiting is None
        # The quota is of no use to this chart, whose pods name no sizes.
        cluster.delete("ResourceQuota", QUOTA, store.namespace)
        cluster.ensure_release(release_of(store, chart))
        watch.saw(store, "Deployment", WEB)
        watch.saw(store, "StatefulSet", DATABASE)
        watch.saw(store, "Job", "store-setup-1")


def test_a_watch_tells_the_end_of_a_namespace(cluster: Cluster, store: Store) -> None:
    with watching(cluster) as watch:
        eventually(watch.begun)
        cluster.delete("Namespace", store.namespace)
        assert watch.saw(store, "Namespace", store.namespace).seen is None


def test_a_watch_tells_what_was_changed_or_removed_by_hand(cluster: Cluster, store: Store) -> None:
    changed = manifests.limits(store)
    cluster.apply(changed)
    with watching(cluster) as watch:
        eventually(watch.begun)

        def told() -> list[Change]:
            return [one for one in watch.seen if one.name == "store-limits"]

        changed["spec"]["limits"][0]["max"]["memory"] = "32Gi"
        cluster.apply(changed)
        seen = eventually(told)[0].seen
        assert isinstance(seen, SeenObject) and "32Gi" in seen.content
        cluster.delete("LimitRange", "store-limits", store.namespace)
        eventually(lambda: told()[-1].seen is None)
        assert told()[-1].namespace == store.namespace
