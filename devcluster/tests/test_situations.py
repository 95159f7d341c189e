import json
from collections.abc import Mapping
from typing import Any

import pytest

from devcluster import DevCluster, DevClusterError
from devcluster.testing import eventually

pytestmark = pytest.mark.cluster
SITUATION = "devcluster.storeyard.dev/situation"
READY_AFTER = "devcluster.storeyard.dev/ready-after"

WORDS = {
    "image-pull": "ImagePullBackOff",
    "crash-loop": "CrashLoopBackOff",
    "out-of-memory": "OOMKilled",
    "unready": "ContainersNotReady",
    "fail": "Error",
}


@pytest.mark.parametrize("name", WORDS)
def test_an_annotation_puts_a_pod_into_a_situation(
    running: DevCluster, namespace: str, name: str
) -> None:
    _create(running, namespace, annotations={SITUATION: name})
    assert eventually(lambda: WORDS[name] in json.dumps(_status(running, namespace)))
    assert not _ready(running, namespace)


def test_an_image_name_puts_a_pod_into_a_situation(running: DevCluster, namespace: str) -> None:
    _create(running, namespace, image="registry.example/situation-image-pull:1")
    assert eventually(lambda: "ImagePullBackOff" in json.dumps(_status(running, namespace)))


def test_a_rule_reaches_the_pods_of_a_namespace_until_it_is_cleared(
    running: DevCluster, namespace: str
) -> None:
    running.situation("crash-loop", namespace=namespace, labels={"role": "web"})
    _create(running, namespace, labels={"role": "web"})
    _create(running, namespace, pod="other", labels={"role": "database"})
    assert eventually(lambda: "CrashLoopBackOff" in json.dumps(_status(running, namespace)))
    assert eventually(lambda: _ready(running, namespace, "other"))
    running.clear_situations()
    assert eventually(lambda: _ready(running, namespace))


def test_a_running_pod_can_fall_ill_and_recover(running: DevCluster, namespace: str) -> None:
    _create(running, namespace)
    assert eventually(lambda: _ready(running, namespace))
    running.kubectl("annotate", "pod", "web", "-n", namespace, f"{SITUATION}=unready")
    assert eventually(lambda: not _ready(running, namespace))
    running.kubectl("annotate", "pod", "web", "-n", namespace, f"{SITUATION}-")
    assert eventually(lambda: _ready(running, namespace))


def test_an_init_container_that_fails_keeps_its_pod_pending(
    running: DevCluster, namespace: str
) -> None:
    _create(running, namespace, annotations={SITUATION: "init-fail"}, init=True)
    assert eventually(lambda: "initContainerStatuses" in _status(running, namespace))
    status = _status(running, namespace)
    [init], [web] = status["initContainerStatuses"], status["containerStatuses"]
    assert init["lastState"]["terminated"]["exitCode"] == 1
    assert web["state"]["waiting"]["reason"] == "PodInitializing"
    assert status["phase"] == "Pending"
    assert not _ready(running, namespace)
    running.kubectl("annotate", "pod", "web", "-n", namespace, f"{SITUATION}-")
    assert eventually(lambda: _ready(running, namespace))


def test_a_pod_without_an_init_container_cannot_fail_in_one(
    running: DevCluster, namespace: str
) -> None:
    _create(running, namespace, annotations={SITUATION: "init-fail"})
    _create(running, namespace, pod="other")
    assert eventually(lambda: _ready(running, namespace, "other"))
    assert _status(running, namespace)["phase"] == "Pending"


def test_a_delayed_pod_says_it_is_being_created_and_then_is_ready(
    running: DevCluster, namespace: str
) -> None:
    _create(running, namespace, annotations={READY_AFTER: "1s"})
    assert eventually(lambda: "ContainerCreating" in json.dumps(_status(running, namespace)))
    assert not _ready(running, namespace)
    assert eventually(lambda: _ready(running, namespace))


def test_every_pod_can_be_delayed(running: DevCluster, namespace: str) -> None:
    running.set_ready_after("1s")
    try:
        _create(running, namespace)
        assert eventually(lambda: "ContainerCreating" in json.dumps(_status(running, namespace)))
        assert eventually(lambda: _ready(running, namespace))
    finally:
        running.set_ready_after("0s")


def test_a_job_whose_pod_fails_is_failed(running: DevCluster, namespace: str) -> None:
    _create_job(running, namespace, {SITUATION: "fail"})
    wait = ("wait", "-n", namespace, "--timeout=20s", "job/setup")
    assert running.kubectl(*wait, "--for=condition=Failed")


def test_a_job_can_take_its_time(running: DevCluster, namespace: str) -> None:
    _create_job(running, namespace, {"devcluster.storeyard.dev/complete-after": "1s"})
    assert eventually(lambda: "Running" in running.kubectl("get", "pods", "-n", namespace))
    wait = ("wait", "-n", namespace, "--timeout=20s", "job/setup")
    assert running.kubectl(*wait, "--for=condition=Complete")


def test_an_unknown_situation_is_refused_with_those_there_are(running: DevCluster) -> None:
    with pytest.raises(DevClusterError, match="out-of-memory"):
        running.situation("earthquake")


def _create(
    running: DevCluster, namespace: str, *, pod: str = "web", image: str = "shop:1",
    annotations: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None,
    init: bool = False,
) -> None:  # fmt: skip
    prepare = [{"name": "prepare", "image": "shop:1"}] if init else []
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod, "annotations": annotations or {}, "labels": labels or {}},
        "spec": {"containers": [{"name": "web", "image": image}], "initContainers": prepare},
    }
    running.api.create(f"/api/v1/namespaces/{namespace}/pods", manifest)


def _create_job(running: DevCluster, namespace: str, annotations: Mapping[str, str]) -> None:
    pod = {
        "metadata": {"annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "setup", "image": "setup"}]},
    }
    manifest = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "setup"},
        "spec": {"backoffLimit": 0, "template": pod},
    }
    running.api.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", manifest)


def _status(running: DevCluster, namespace: str, pod: str = "web") -> dict[str, Any]:
    answer = running.api.get(f"/api/v1/namespaces/{namespace}/pods/{pod}")
    status: dict[str, Any] = answer["status"]
    return status


def _ready(running: DevCluster, namespace: str, pod: str = "web") -> bool:
    conditions = _status(running, namespace, pod).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
