"""One store on a real control plane, from the order to READY: what is there then, and in what order
it came.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.core.management import call_command

from provisioning import manifests, runner
from provisioning.cluster.readiness import is_up
from provisioning.errors import StepFailed
from provisioning.steps import PROVISION
from provisioning.tests.real_checks import (
    changes_since,
    passwords,
    release_record,
    version_now,
)
from provisioning.tests.real_platform import OpenPlatform, Platform, Process
from stores.lifecycle import Status
from stores.models import OperationStep, Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]

# YAML, HTML, shell, Helm and the kubelet's $(…) in one name of at most 60 characters.
NAME = r"""{{ .Release.Name }}, = $(WORDPRESS_DB_PASSWORD) "q"'q'\<b>🛍"""
KINDS = (
    "ConfigMap",
    "CronJob",
    "Deployment",
    "Ingress",
    "Job",
    "LimitRange",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "ReplicaSet",
    "ResourceQuota",
    "RoleBinding",
    "Secret",
    "Service",
    "ServiceAccount",
    "StatefulSet",
)


@dataclass
class Ready:
    """A store that is READY, and the cluster's version before it was asked for."""

    platform: Platform
    store: Store
    since: int
    worker: Process


@pytest.fixture(scope="module")
def ready(open_platform: OpenPlatform) -> Iterator[Ready]:
    with open_platform() as platform:
        since = version_now(platform.admin)
        store = platform.create(NAME)
        worker = platform.start_worker()
        platform.start_watcher()
        platform.wait_for(store, Status.READY, Status.FAILED)
        yield Ready(platform, store, since, worker)


def test_a_store_becomes_ready_with_everything_in_it_up(ready: Ready) -> None:
    admin, store = ready.platform.admin, ready.store
    assert store.status == Status.READY, store.sentence
    assert admin.not_ready(store.namespace) == []
    found = {item["kind"]: item for item in admin.workloads(store.namespace)}
    assert set(found) == {"Deployment", "StatefulSet", "Job", "PersistentVolumeClaim"}
    assert all(is_up(item) for item in admin.workloads(store.namespace))
    conditions = {entry["type"]: entry["status"] for entry in found["Job"]["status"]["conditions"]}
    assert conditions["Complete"] == "True"


def test_the_timeline_has_every_step_with_start_and_end(ready: Ready) -> None:
    operation = ready.store.operations.get()
    steps = list(operation.steps.all())
    assert [step.name for step in steps] == [step.__name__ for step in PROVISION]
    assert operation.outcome == "succeeded"
    for step in steps:
        assert operation.requested_at <= step.started_at <= step.ended_at <= operation.finished_at
    assert [step.outcome for step in steps[:-1]] == [OperationStep.Outcome.DONE] * 5


def test_the_storefront_is_shown_as_skipped_with_the_reason(ready: Ready) -> None:
    step = ready.store.operations.get().steps.get(name="check_storefront")
    assert step.outcome == OperationStep.Outcome.SKIPPED
    assert "does not route traffic" in step.sentence


def created(ready: Ready, kind: str) -> dict[str, int]:
    """Name to resourceVersion at creation, of that kind in the store's namespace."""
    changes = changes_since(ready.platform.admin, kind, ready.since, ready.store.namespace)
    return {
        item["metadata"]["name"]: version for version, change, item in changes if change == "ADDED"
    }


def test_the_guardrails_exist_before_the_first_pod(ready: Ready) -> None:
    first_pod = min(created(ready, "Pod").values())
    assert created(ready, "ResourceQuota")["store-quota"] < first_pod
    assert created(ready, "LimitRange")["store-limits"] < first_pod
    assert created(ready, "NetworkPolicy")["store-default-deny"] < first_pod
    [(version, labels)] = [
        (version, item["metadata"]["labels"])
        for version, change, item in changes_since(ready.platform.admin, "Namespace", ready.since)
        if change == "ADDED" and item["metadata"]["name"] == ready.store.namespace
    ]
    assert version < first_pod
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["storeyard.dev/store"] == str(ready.store.pk)


def test_the_quota_has_its_status_before_helm_writes_anything(ready: Ready) -> None:
    quota = changes_since(ready.platform.admin, "ResourceQuota", ready.since, ready.store.namespace)
    wanted = set(manifests.quota(ready.store)["spec"]["hard"])
    counted = min(
        version for version, _, item in quota if wanted <= set(item["status"].get("used", {}))
    )
    records = [
        version
        for name, version in created(ready, "Secret").items()
        if name.startswith("sh.helm.release")
    ]
    assert counted < min(records)


def pod(ready: Ready, *, cpu: str = "100m", memory: str = "64Mi", privileged: bool = False) -> dict:
    allowed = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    size = {"cpu": cpu, "memory": memory}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "intruder", "namespace": ready.store.namespace},
        "spec": {
            "containers": [
                {
                    "name": "intruder",
                    "image": "docker.io/library/busybox",
                    "securityContext": {"privileged": True} if privileged else allowed,
                    "resources": {"requests": size, "limits": size},
                }
            ]
        },
    }


def test_a_privileged_pod_is_refused(ready: Ready) -> None:
    with pytest.raises(StepFailed, match=r"violates PodSecurity .*privileged"):
        ready.platform.admin.create(pod(ready, privileged=True))


def test_a_pod_over_the_quota_is_refused(ready: Ready) -> None:
    # Each within what one container may have: the first fits, the second does not.
    big = pod(ready, cpu="1500m", memory="1Gi")
    ready.platform.admin.create(big)
    try:
        again = {**big, "metadata": {**big["metadata"], "name": "intruder-2"}}
        with pytest.raises(StepFailed, match="exceeded quota: store-quota"):
            ready.platform.admin.create(again)
    finally:
        ready.platform.admin.delete("Pod", "intruder", ready.store.namespace)


def everything(ready: Ready) -> dict[tuple[str, str], str]:
    """resourceVersion of the namespace and of every object in it."""
    admin, namespace = ready.platform.admin, ready.store.namespace
    objects = [("Namespace", admin.get("Namespace", namespace))]
    for kind in KINDS:
        objects += [(kind, item) for item in admin.api.objects(kind, namespace)]
    return {
        (kind, item["metadata"]["name"]): item["metadata"]["resourceVersion"]
        for kind, item in objects
    }


def settled(ready: Ready) -> dict[tuple[str, str], str]:
    """``everything``, once the controllers have nothing more to write."""
    before = everything(ready)
    while True:
        time.sleep(0.5)
        if before == (before := everything(ready)):
            return before


def test_a_second_pass_changes_nothing_and_starts_no_helm(ready: Ready) -> None:
    platform, store = ready.platform, ready.store
    kept, runs, before = passwords(platform.admin, store), platform.helm_runs(), settled(ready)
    assert len(runs) == 1

    store.refresh_from_db()
    runner.converge(store.pk, platform.cluster)

    fence = store.fence
    store.refresh_from_db()
    assert store.fence == fence + 1, "there was no second pass"
    assert store.status == Status.READY
    assert platform.helm_runs() == runs
    assert settled(ready) == before
    assert len([name for _, name in before if name.startswith("sh.helm.release")]) == 1
    assert passwords(platform.admin, store) == kept


def test_a_name_in_any_syntax_reaches_the_container_byte_for_byte(ready: Ready) -> None:
    identity = ready.platform.admin.get("ConfigMap", "store-identity", ready.store.namespace)
    assert identity["data"]["title"].encode() == NAME.encode()
    # As a file: nothing of it is in what a kubelet or a shell would expand.
    for kind in ("Deployment", "StatefulSet", "Job", "CronJob"):
        for item in ready.platform.admin.api.objects(kind, ready.store.namespace):
            assert "Release.Name" not in str(item["spec"])


def test_no_password_is_anywhere_but_in_its_secret(ready: Ready) -> None:
    platform, store = ready.platform, ready.store
    database = io.StringIO()
    call_command("dumpdata", stdout=database)
    record = release_record(platform.admin, store)
    assert record["config"]["store"]["title"] == NAME  # it is the record, and can be read
    annotations = platform.admin.get("Namespace", store.namespace)["metadata"]["annotations"]
    places = {
        "the database": database.getvalue(),
        "the logs and Helm's arguments": platform.logs(),
        "Helm's record": str(record),
        "the annotations": str(annotations),
        **{
            kind: str(platform.admin.api.objects(kind, store.namespace))
            for kind in ("Pod", "ConfigMap", "Deployment", "StatefulSet", "Job", "CronJob")
        },
    }
    files = [path for path in platform.folder.rglob("*") if path.is_file()]
    places["the worker's folder"] = "".join(path.read_bytes().decode("latin-1") for path in files)
    found = passwords(platform.admin, store)
    secret = [
        value
        for content in found.values()
        for key, value in content.items()
        if key not in ("admin-user", "admin-email")
    ]
    assert len(secret) == 2 + 1 + 8
    for value in secret:
        assert len(value) >= 32
        assert [place for place, text in places.items() if value in text] == []
