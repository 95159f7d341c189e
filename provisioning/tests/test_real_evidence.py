"""What is collected on a real control plane, and what remains of it when the cluster has forgotten."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.db.models.functions import Now

from devcluster import binaries, faults
from provisioning.cluster.kubernetes import KubernetesCluster
from provisioning.diagnosis import diagnose
from provisioning.errors import NotYet
from provisioning.tests.real_platform import TEST, OpenPlatform, until
from provisioning.tests.trouble_kit import Ground, chart, object_of, release, webhook, workload
from provisioning.tests.trouble_kit import until as eventually
from stores import queue, services
from stores.lifecycle import Status
from stores.models import Store

if TYPE_CHECKING:
    from devcluster.proxy import Exchange

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures", "provisioning.tests.trouble_fixtures"]
LAST_WORDS = "\n".join(f"line {number}" for number in range(2000)) + (
    "\nconnecting with DB_PASSWORD=hunter2\n<script>alert(1)</script>\x1b[2J\nPHP Fatal error\n"
)


def wrote(exchange: Exchange) -> None:
    """What a kubelet answers: kwok, which is none, has no logs."""
    exchange.answer(200, LAST_WORDS.encode(), {"Content-Type": "text/plain"})


# --- Logs ------------------------------------------------------------------------------------


def test_the_last_words_of_a_container_that_crashed_are_its_evidence(ground: Ground) -> None:
    ground.deployment(situation="crash-loop")
    ground.make(workload("StatefulSet", "store-db"))
    ground.diagnosis("crash-loop")
    eventually(lambda: ready_of(ground, "store-db-0").get("status") == "True")
    with ground.devcluster.proxy() as proxy, proxy.ruled(wrote, path="/log"):
        cluster = KubernetesCluster.from_kubeconfig(
            str(proxy.kubeconfig), helm=str(binaries() / "helm")
        )
        evidence = cluster.evidence(ground.namespace)
        asked = proxy.seen(path="/log")
    # Of the one that crashed only; and of the container before, as this one has not started.
    ((name, text),) = evidence["logs"].items()
    assert name.startswith("store-web-") and name.endswith("/web")
    assert len(asked) == 1
    assert "previous=true" in asked[0].path and "container=web" in asked[0].path
    assert len(text) <= 4096
    assert text.endswith("PHP Fatal error")
    assert "hunter2" not in text
    assert "\x1b" not in text
    found = diagnose(evidence)
    assert found is not None
    assert "Log: PHP Fatal error" in found.lines
    # As text: it is for the page to escape it.
    assert any("<script>" in line for line in found.lines)


def ready_of(ground: Ground, pod: str) -> dict[str, str]:
    found = ground.cluster.get("Pod", pod, ground.namespace) or {}
    conditions = found.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == "Ready"), {})


def test_without_logs_and_without_rights_the_rest_is_known(ground: Ground) -> None:
    ground.deployment(situation="crash-loop")
    ground.diagnosis("crash-loop")
    assert ground.evidence()["logs"] == {}
    ground.admin.delete("RoleBinding", "storeyard-operator", ground.namespace)
    eventually(lambda: "releases" not in ground.evidence())
    found = diagnose(ground.evidence())
    assert found is not None
    assert found.cause.code == "crash-loop"


def test_a_cluster_that_answers_in_part_gives_part_of_the_evidence(ground: Ground) -> None:
    ground.deployment(situation="crash-loop")
    ground.diagnosis("crash-loop")
    with ground.devcluster.proxy() as proxy, proxy.ruled(faults.answered(503), path="/replicasets"):
        cluster = KubernetesCluster.from_kubeconfig(
            str(proxy.kubeconfig), helm=str(binaries() / "helm")
        )
        found = diagnose(cluster.evidence(ground.namespace))
    assert found is not None
    assert found.cause.code == "crash-loop"


# --- Helm and the quota ----------------------------------------------------------------------


def test_what_somebody_edited_by_hand_is_taken_back_by_the_next_release(
    ground: Ground, tmp_path: Path
) -> None:
    note = object_of("v1", "ConfigMap", "note", data={"word": "{{ .Values.word }}"})
    folder = chart(tmp_path / "tiny", note)
    ground.cluster.ensure_release(release(ground, folder))
    edited = object_of("v1", "ConfigMap", "note", ground.namespace, data={"word": "mine"})
    ground.admin.apply_as("kubectl-edit", edited)
    ground.cluster.ensure_release(release(ground, folder, "two"))
    found = ground.admin.get("ConfigMap", "note", ground.namespace)
    assert found is not None
    assert found["data"] == {"word": "two"}


def test_a_quota_that_nobody_has_counted_yet_is_waited_for(ground: Ground, tmp_path: Path) -> None:
    wanted = release(ground, chart(tmp_path / "tiny", workload("Deployment", "store-web")))
    ground.devcluster.stop_process("kube-controller-manager", kill=True)
    try:
        hard = {"hard": {"count/secrets": "9"}}
        ground.make(object_of("v1", "ResourceQuota", "early", spec=hard))
        # As its controller leaves it for a moment: the limits are known, what is used is not.
        ground.write_status("ResourceQuota", "early", hard)
        with pytest.raises(NotYet) as wait:
            ground.cluster.ensure_release(wanted)
    finally:
        ground.devcluster.start_process("kube-controller-manager")
    assert wait.value.message.code == "quota-pending"
    assert "status unknown for quota" in wait.value.said
    assert eventually(lambda: ground.cluster.ensure_release(wanted))


# --- A whole store ---------------------------------------------------------------------------


def test_the_cause_of_a_failure_outlives_pods_events_and_release(
    open_platform: OpenPlatform,
) -> None:
    with open_platform(DIAGNOSE_SECONDS=1) as platform:
        platform.start_worker()
        platform.start_watcher()
        with platform.helm_held():
            store = platform.create()
            until(lambda: platform.helm_runs(store.namespace), "Helm to run")
            platform.devcluster.situation("image-pull", namespace=store.namespace)
        try:
            platform.wait_for(store, Status.FAILED, Status.READY)
        finally:
            platform.devcluster.clear_situations()
        # At once, not at the deadline: no waiting makes an image exist.
        assert store.status == Status.FAILED
        assert store.message["code"] == "image-missing"
        platform.admin.uninstall_release("store", store.namespace)
        kubectl = platform.devcluster.kubectl
        kubectl("delete", "events,pods", "--all", "--namespace", store.namespace, "--force")
        operation = Store.objects.get(pk=store.pk).operations.get()
        assert operation.diagnosis["cause"] == store.message
        assert "ImagePullBackOff" in str(operation.diagnosis["lines"])
        assert "Failed to pull image" in str(operation.evidence["events"])
        assert "used" in str(operation.evidence["quota"])
        services.delete_store(store, actor=TEST)
        platform.wait_for(store, Status.DELETED)
        assert store.operations.last().diagnosis["cause"]["code"] == "image-missing"


def test_a_check_that_is_silent_fails_no_store(open_platform: OpenPlatform) -> None:
    with open_platform(DIAGNOSE_SECONDS=1) as platform, ExitStack() as check:
        platform.start_worker()
        platform.start_watcher()
        with platform.helm_held():
            store = platform.create()
            until(lambda: platform.helm_runs(store.namespace), "Helm to run")
            ground = Ground(platform.cluster, platform.admin, platform.devcluster, store)
            check.enter_context(ground.made(webhook(ground, 1)))
        until(lambda: told(store) == "webhook-silent", lambda: f"the check, not {told(store)}")
        # As if it had been starting for ever: its clock stands still.
        Store.objects.filter(pk=store.pk).update(deadline_at=Now() - timedelta(seconds=1))
        queue.ring(store.pk)
        until(lambda: Store.objects.get(pk=store.pk).due_at, "the next try to be set")
        assert Store.objects.get(pk=store.pk).status == Status.PROVISIONING
        assert Store.objects.get(pk=store.pk).outage_since
        Store.objects.filter(pk=store.pk).update(deadline_at=Now() + timedelta(minutes=5))
        check.close()
        queue.ring(store.pk)
        platform.wait_for(store, Status.READY, Status.FAILED)
        assert store.status == Status.READY, store.sentence


def told(store: Store) -> str:
    return str(Store.objects.get(pk=store.pk).message.get("code", ""))
