"""From what is seen to what is said: healthy, degraded and lost, each with its reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioning.cluster import seen
from provisioning.cluster.base import PARTS_ANNOTATION, SeenNamespace, SeenObject, SeenVolume
from provisioning.health import Known, Verdict, judge
from stores.lifecycle import Health

NOW = datetime(2026, 11, 24, 12, 10, tzinfo=UTC)
NAMESPACE = "store-anna-abc123"
KNOWN = Known(NAMESPACE, "uid-1", {"store-content": "claim-1", "data-store-db-0": "claim-2"})
WEB = ("Deployment", "store-web")
DATABASE = ("StatefulSet", "store-db")


def at(minutes_ago: float) -> str:
    return (NOW - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def namespace(**changes: Any) -> SeenNamespace:
    parts = json.dumps(
        {"Deployment/store-web": 1, "StatefulSet/store-db": 1, "Service/store-web": 0}
    )
    found = {"uid": "uid-1", "terminating": False, "annotations": {PARTS_ANNOTATION: parts}}
    return SeenNamespace(name=NAMESPACE, store_id="id", **{**found, **changes})


def thing(kind: str, name: str, uid: str = "", **body: Any) -> SeenObject:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": uid or f"{kind}/{name}"}
    metadata |= body.pop("metadata", {})
    return seen.thing({"kind": kind, "metadata": metadata, **body})


def workload(kind: str, name: str, ready: int = 1) -> SeenObject:
    status = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": ready, "observedGeneration": 1}
    return thing(kind, name, spec={"replicas": 1}, status=status)


def claim(name: str, uid: str, phase: str = "Bound", **metadata: Any) -> SeenObject:
    status, spec = {"phase": phase}, {"volumeName": f"pv-{name}"}
    return thing("PersistentVolumeClaim", name, uid, spec=spec, status=status, metadata=metadata)


def pod(
    owner: tuple[str, str], *, ready: bool = True, minutes: float = 10, **status: Any
) -> SeenObject:
    kind, name = owner
    reference = {"kind": kind, "name": name, "controller": True}
    if kind == "Deployment":
        reference = {"kind": "ReplicaSet", "name": f"{name}-5d8f7", "controller": True}
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": at(7)}
    return thing(
        "Pod",
        f"{name}-0",
        metadata={"ownerReferences": [reference], "creationTimestamp": at(minutes)},
        status={"phase": "Running", "conditions": [condition], **status},
    )


def container(**status: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "one", "image": "shop:1", "state": {}, **status}]}


def restarted(times: int, minutes_ago: float, reason: str = "OOMKilled") -> dict[str, Any]:
    ended = {"reason": reason, "exitCode": 137, "finishedAt": at(minutes_ago)}
    return container(
        ready=True, restartCount=times, state={"running": {}}, lastState={"terminated": ended}
    )


CLAIMS = (claim("store-content", "claim-1"), claim("data-store-db-0", "claim-2"))
WELL = (workload(*WEB), workload(*DATABASE), pod(WEB), pod(DATABASE), *CLAIMS)


def verdict(*objects: SeenObject, disks: list[SeenVolume] | None = None) -> Verdict:
    return judge(KNOWN, namespace(), objects, NOW, disks)


def without(*names: str) -> list[SeenObject]:
    return [one for one in WELL if one.name not in names]


def test_a_store_of_which_everything_is_up_is_healthy() -> None:
    assert verdict(*WELL) == Verdict(Health.HEALTHY)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (
            container(ready=False, state={"running": {}}),
            "it runs, but does not answer the question whether it is ready",
        ),
        (
            container(ready=False, state={"waiting": {"reason": "ImagePullBackOff"}}),
            "the image shop:1 cannot be fetched (ImagePullBackOff)",
        ),
        (
            container(
                ready=False,
                state={"waiting": {"reason": "CrashLoopBackOff"}},
                lastState={"terminated": {"reason": "Error", "exitCode": 3}},
            ),
            "it stops again and again, last reason Error, exit code 3",
        ),
        (container(ready=True, state={"running": {}}), "the machine it runs on does not answer"),
        ({"phase": "Failed", "reason": "Evicted"}, "it was ended (Evicted)"),
        (
            container(ready=False, state={"waiting": {"reason": "ContainerCreating"}}),
            "it is starting",
        ),
        (
            container(ready=False, state={"waiting": {"reason": "CreateContainerConfigError"}}),
            "it cannot be started (CreateContainerConfigError)",
        ),
    ],
)
def test_a_shop_that_does_not_serve_is_degraded_since_then_for_that_reason(
    status: dict[str, Any], reason: str
) -> None:
    found = verdict(
        *without("store-web", "store-web-0"),
        workload(*WEB, ready=0),
        pod(WEB, ready=False, **status),
    )
    assert found.health == Health.DEGRADED
    assert str(found.message).startswith(
        f"The shop does not serve since 12:03 UTC (0 of 1 ready): {reason}."
    )
    assert "ask support" in str(found.message)


def test_a_pod_that_no_node_has_room_for_is_said_with_the_schedulers_words() -> None:
    unscheduled = {
        "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/3 nodes available"}
        ],
        "phase": "Pending",
    }
    found = verdict(
        *without("store-db", "store-db-0"), workload(*DATABASE, 0), pod(DATABASE, **unscheduled)
    )
    assert "The database does not serve since 12:00 UTC" in str(found.message)
    assert "no node has room for it (0/3 nodes available)" in str(found.message)


def test_one_that_is_being_replaced_while_the_old_one_serves_is_healthy() -> None:
    status = {"replicas": 2, "updatedReplicas": 1, "readyReplicas": 1, "observedGeneration": 1}
    rolling = thing(*WEB, spec={"replicas": 1}, status=status)
    new = pod(
        WEB,
        ready=False,
        **container(ready=False, state={"waiting": {"reason": "ContainerCreating"}}),
    )
    assert rolling.waiting is not None
    assert verdict(*without("store-web"), rolling, new).health == Health.HEALTHY


def test_a_database_that_restarts_again_and_again_is_degraded_although_it_is_up() -> None:
    found = verdict(
        *without("store-db-0"), pod(DATABASE, minutes=10, **restarted(4, minutes_ago=1))
    )
    assert found.health == Health.DEGRADED
    assert str(found.message) == (
        "The database has restarted 4 times in 10 minutes, last reason OOMKilled (exit code 137). "
        "If it goes on, ask support."
    )


@pytest.mark.parametrize(
    "restarts",
    [
        {"minutes": 10, **restarted(1, minutes_ago=1)},  # once
        {"minutes": 50, **restarted(4, minutes_ago=30)},  # long ago
        {"minutes": 60 * 24 * 90, **restarted(30, minutes_ago=5)},  # thirty times in three months
    ],
)
def test_a_restart_once_or_long_ago_is_no_trouble(restarts: dict[str, Any]) -> None:
    assert verdict(*without("store-db-0"), pod(DATABASE, **restarts)).health == Health.HEALTHY


def test_an_old_pod_in_a_crash_loop_is_degraded() -> None:
    loop = restarted(30, minutes_ago=1, reason="Error")
    loop["containerStatuses"][0] |= {
        "ready": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    }
    found = verdict(
        *without("store-db", "store-db-0"),
        workload(*DATABASE, 0),
        pod(DATABASE, ready=False, minutes=60 * 5, **loop),
    )
    assert "The database has restarted 30 times in 5 hours, last reason Error" in str(found.message)


@pytest.mark.parametrize("owner", [("Job", "store-setup-1"), ("Job", "store-cron-29384")])
def test_pods_of_jobs_and_cron_jobs_change_nobodys_health(owner: tuple[str, str]) -> None:
    crashed = pod(
        owner,
        ready=False,
        **container(ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}),
    )
    failed = thing("Job", owner[1], status={"conditions": [{"type": "Failed", "status": "True"}]})
    finished = pod(owner, ready=False, phase="Succeeded")
    assert crashed.waiting is None
    assert verdict(*WELL, crashed, failed, finished).health == Health.HEALTHY


def test_a_workload_that_was_removed_is_degraded() -> None:
    found = verdict(*without("store-web", "store-web-0"))
    assert found.health == Health.DEGRADED
    assert str(found.message).startswith("The shop has been removed from the cluster.")


@pytest.mark.parametrize(
    "there",
    [None, namespace(uid="another"), namespace(terminating=True)],
    ids=["gone", "another", "going"],
)
def test_a_store_whose_namespace_is_gone_is_lost_and_what_is_left_is_named(
    there: SeenNamespace | None,
) -> None:
    disk = SeenVolume("pv-7", NAMESPACE, "data-store-db-0", "Released", "Retain")
    found = judge(KNOWN, there, [], NOW, [disk])
    assert found.health == Health.LOST
    assert NAMESPACE in str(found.message)
    assert "Still there of its data: pv-7 (data-store-db-0)." in str(found.message)
    assert "No disk of it is left" in str(judge(KNOWN, there, [], NOW, []).message)


@pytest.mark.parametrize(
    "claims",
    [
        [CLAIMS[0]],
        [CLAIMS[0], claim("data-store-db-0", "made-anew")],
        [CLAIMS[0], claim("data-store-db-0", "claim-2", phase="Lost")],
    ],
    ids=["gone", "made anew", "without its disk"],
)
def test_a_store_whose_disk_is_gone_is_lost_even_if_there_is_an_empty_one(
    claims: list[SeenObject],
) -> None:
    found = verdict(*without("store-content", "data-store-db-0"), *claims)
    assert found.health == Health.LOST
    assert "The disk data-store-db-0 with the shop's data has been removed" in str(found.message)
    assert "ask support" in str(found.message)


def test_a_disk_that_goes_when_the_shop_stops_is_a_warning() -> None:
    going = claim("data-store-db-0", "claim-2", deletionTimestamp=at(1))
    found = verdict(*without("data-store-db-0"), going)
    assert found.health == Health.DEGRADED
    assert "Ask support at once" in str(found.message)
