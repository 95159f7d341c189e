import json
import stat
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from devcluster import DevCluster, DevClusterError
from devcluster.cluster import LEASES
from devcluster.commands import COMPONENTS, ELECTED
from devcluster.processes import start_time
from devcluster.testing import eventually, require_programs

pytestmark = pytest.mark.cluster


def test_a_started_cluster_has_a_ready_node_and_every_component(running: DevCluster) -> None:
    assert list(running.pids) == list(COMPONENTS)
    assert running.kubectl("wait", "--for=condition=Ready", "node/node-1")
    assert all(start_time(pid) for pid in running.pids.values())


def test_only_its_owner_may_read_a_kubeconfig(running: DevCluster) -> None:
    for path in (running.kubeconfig, running.portal_kubeconfig):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_portal_kubeconfig_is_the_worker_account(running: DevCluster) -> None:
    who = running.kubectl(
        "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}",
        kubeconfig=running.portal_kubeconfig,
    )  # fmt: skip
    assert who == "system:serviceaccount:portal-system:portal-worker"


def test_a_privileged_pod_is_refused_in_a_restricted_namespace(
    running: DevCluster, namespace: str
) -> None:
    running.kubectl("label", "ns", namespace, "pod-security.kubernetes.io/enforce=restricted")
    with pytest.raises(DevClusterError, match="privileged"):
        running.kubectl("run", "x", "-n", namespace, "--image=x", "--privileged")


def test_a_claim_is_bound_and_a_job_completes(running: DevCluster, namespace: str) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    running.kubectl("apply", "-n", namespace, "-f", "-", input=json.dumps(claim))
    running.kubectl("create", "job", "once", "-n", namespace, "--image=x")
    wait = ("wait", "-n", namespace, "--timeout=20s")
    assert running.kubectl(*wait, "--for=jsonpath={.status.phase}=Bound", "pvc/data")
    assert running.kubectl(*wait, "--for=condition=Complete", "job/once")


def test_a_stopped_api_server_comes_back_with_its_data(running: DevCluster, namespace: str) -> None:
    before = running.server
    running.stop_process("kube-apiserver")
    assert not running.api.ready()
    running.start_process("kube-apiserver")
    assert running.server == before
    assert namespace in running.kubectl("get", "namespaces")


def test_a_component_started_by_a_thread_outlives_the_thread(running: DevCluster) -> None:
    running.stop_process("kube-scheduler", kill=True)
    thread = threading.Thread(target=running.start_process, args=["kube-scheduler"])
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert running.processes["kube-scheduler"].alive()


@pytest.mark.parametrize("name", ELECTED)
def test_a_lease_says_who_is_at_work(running: DevCluster, name: str) -> None:
    before = eventually(lambda: _lease(running, name))
    assert eventually(lambda: _lease(running, name)["renewTime"] > before["renewTime"])
    running.stop_process(name, kill=True)
    running.start_process(name)
    after = eventually(lambda: _lease(running, name))
    assert after["holderIdentity"] != before["holderIdentity"]


def _lease(running: DevCluster, name: str) -> dict[str, Any]:
    path = f"{LEASES}/{name}"
    return running.api.get(path)["spec"] if running.api.exists(path) else {}


def test_who_ended_without_the_api_server_is_started_with_it(running: DevCluster) -> None:
    """Without it no lease can be renewed, and who cannot renew ends."""
    before = running.pids
    running.stop_process("kube-apiserver", kill=True)
    for name in ELECTED:
        running.processes[name].kill()
    running.start_process("kube-apiserver")
    for name in ELECTED:
        assert running.pids[name] != before[name]
        assert eventually(lambda name=name: _lease(running, name))


@pytest.mark.parametrize("name", ELECTED)
def test_who_ends_by_itself_is_started_again(running: DevCluster, name: str) -> None:
    before = running.pids[name]
    running.processes[name].kill()
    assert eventually(lambda: running.pids.get(name, before) != before)
    assert eventually(lambda: _lease(running, name))


def test_a_paused_api_server_answers_nothing_until_resumed(running: DevCluster) -> None:
    running.pause("kube-apiserver")
    try:
        with pytest.raises(DevClusterError):
            running.kubectl("get", "namespaces", "--request-timeout=1s")
    finally:
        running.resume("kube-apiserver")
    assert running.kubectl("get", "namespaces")


def test_processor_time_is_told_for_each_component(running: DevCluster) -> None:
    assert set(running.cpu_seconds()) == set(COMPONENTS)
    assert running.cpu_seconds()["kwok"] > 0


def test_the_audit_log_counts_calls_by_user(running: DevCluster) -> None:
    running.kubectl("get", "nodes", kubeconfig=running.portal_kubeconfig)
    worker = "system:serviceaccount:portal-system:portal-worker"
    calls = [event for event in running.audit_events() if event["user"]["username"] == worker]
    assert {"nodes"} <= {call.get("objectRef", {}).get("resource") for call in calls}


def test_two_clusters_live_side_by_side_and_stopping_leaves_no_process(
    running: DevCluster, tmp_path: Path
) -> None:
    with DevCluster(tmp_path / "second", nodes=0) as second:
        second.kubectl("create", "namespace", "only-here")
        assert "only-here" not in running.kubectl("get", "namespaces")
        pids = second.pids
    assert [start_time(pid) for pid in pids.values()] == [None] * len(COMPONENTS)
    assert running.kubectl("get", "nodes")


def test_a_start_that_fails_leaves_no_process_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_programs()
    monkeypatch.setattr("devcluster.cluster.PORTAL_CHART", tmp_path / "nowhere")
    cluster = DevCluster(tmp_path / "third")
    spawned = []
    monkeypatch.setattr("devcluster.processes.record", lambda _, now: spawned.extend(now.values()))
    with pytest.raises(DevClusterError, match="nowhere"):
        cluster.start()
    assert len({process.name for process in spawned}) == len(COMPONENTS)
    assert not any(process.alive() for process in spawned)


def test_a_folder_with_data_is_not_started_again(tmp_path: Path) -> None:
    (tmp_path / "etcd").mkdir()
    with pytest.raises(DevClusterError, match="name a new folder"):
        DevCluster(tmp_path).start()


def test_a_node_without_processors_takes_no_pod(running: DevCluster, namespace: str) -> None:
    running.add_node("tiny", cpu="0")
    running.kubectl("cordon", "node-1")
    try:
        running.kubectl("create", "deployment", "web", "-n", namespace, "--image=x")
        running.kubectl("set", "resources", "deployment/web", "-n", namespace, "--requests=cpu=1")
        assert eventually(lambda: "Insufficient cpu" in _events(running, namespace))
    finally:
        running.kubectl("uncordon", "node-1")
        running.kubectl("delete", "node", "tiny")


def test_a_tainted_node_takes_no_pod_that_does_not_tolerate_it(
    running: DevCluster, namespace: str
) -> None:
    taint = {"key": "example.com/kept", "value": "yes", "effect": "NoSchedule"}
    running.add_node("kept", taints=[taint])
    running.kubectl("cordon", "node-1")
    try:
        running.kubectl("create", "deployment", "web", "-n", namespace, "--image=x")
        assert eventually(lambda: "untolerated taint" in _events(running, namespace))
    finally:
        running.kubectl("uncordon", "node-1")
        running.kubectl("delete", "node", "kept")


def _events(running: DevCluster, namespace: str) -> str:
    return running.kubectl("get", "events", "-n", namespace)
