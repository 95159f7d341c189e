"""What only the simulated cluster does: time by a clock, and stores that go wrong by their names."""

from __future__ import annotations

import json
import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import DevCluster
from provisioning import manifests
from provisioning.cluster import readiness
from provisioning.cluster import seen as reduced
from provisioning.cluster.base import Change, Manifest, Release
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.cluster.simulation import charts, objects
from provisioning.cluster.simulation.objects import merge
from provisioning.errors import ClusterUnavailable, LeaseLost, NotYet
from stores.models import Store, User

CHART = Path(__file__).parents[2] / "charts" / "woocommerce"
WEB, DATABASE = "store-web", "store-db"
FIRST_SETUP = "store-setup-1"
CONTENT, DATA = "store-content", "data-store-db-0"


class Clock:
    """Shared by all clusters of a test, and moved by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "simulated.sqlite3"


@pytest.fixture
def cluster(path: Path, clock: Clock) -> SimulatedCluster:
    return SimulatedCluster(path, clock=clock)


def opened(cluster: SimulatedCluster, name: str = "Anna’s Ceramics") -> Store:
    """A store of that name with its namespace and the portal's rights in it."""
    store = Store(owner=User(email="alice@example.com"), name=name, address="shop")
    store.namespace = f"store-shop-{store.pk.hex[:6]}"
    store.namespace_uid = cluster.apply(manifests.namespace(store))["metadata"]["uid"]
    cluster.apply(manifests.access(store, "portal-system/portal-worker"))
    return store


def release_of(store: Store, **values: Any) -> Release:
    values = {"commonLabels": manifests.labels(store), **values}
    return Release("store", store.namespace, CHART, "0.1.0", values, may_start_over=True)


def installed(cluster: SimulatedCluster, name: str = "Anna’s Ceramics") -> Store:
    store = opened(cluster, name)
    cluster.ensure_release(release_of(store))
    return store


def waiting(cluster: SimulatedCluster, store: Store) -> set[str]:
    return {message.params["name"] for message in cluster.not_ready(store.namespace)}


def found(cluster: SimulatedCluster, kind: str, name: str, store: Store) -> Manifest:
    item = cluster.get(kind, name, store.namespace)
    assert item is not None
    return item


def pod_of(cluster: SimulatedCluster, store: Store, container: str) -> Manifest:
    pods = cluster.evidence(store.namespace)["pods"]
    return next(pod for pod in pods if pod["spec"]["containers"][0]["name"] == container)


def container_of(cluster: SimulatedCluster, store: Store, name: str) -> Manifest:
    return dict(pod_of(cluster, store, name)["status"]["containerStatuses"][0])


def reasons(cluster: SimulatedCluster, store: Store) -> set[str]:
    return {event["reason"] for event in cluster.evidence(store.namespace)["events"]}


# --- Time ------------------------------------------------------------------------------------


def test_a_store_comes_up_part_by_part(cluster: SimulatedCluster, clock: Clock) -> None:
    store = installed(cluster)
    everything = {CONTENT, DATA, WEB, DATABASE, FIRST_SETUP}
    assert waiting(cluster, store) == everything
    for seconds, remaining in (
        (1, {WEB, DATABASE, FIRST_SETUP}), (1, {WEB, FIRST_SETUP}), (2, {WEB}), (1, set()),
    ):  # fmt: skip
        clock.wait(seconds)
        assert waiting(cluster, store) == remaining


def test_how_long_a_store_takes_is_a_setting(path: Path, clock: Clock) -> None:
    cluster = SimulatedCluster(path, clock=clock, starting_seconds=0.5)
    store = installed(cluster)
    clock.wait(0.49)
    assert waiting(cluster, store) == {WEB}
    clock.wait(0.01)
    assert waiting(cluster, store) == set()


def test_an_upgrade_restarts_the_shop_and_its_setup_but_not_the_database(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = installed(cluster)
    clock.wait(60)
    cluster.ensure_release(release_of(store, generation=2))
    assert waiting(cluster, store) == {WEB, "store-setup-2"}
    clock.wait(5)
    assert waiting(cluster, store) == set()


def test_a_quota_keeps_what_was_confirmed_until_a_change_is(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = opened(cluster)
    cluster.apply(manifests.quota(store))
    assert found(cluster, "ResourceQuota", "store-quota", store)["status"] == {}
    clock.wait(0.5)
    small = found(cluster, "ResourceQuota", "store-quota", store)["status"]["hard"]
    store.plan = "large"
    wanted = cluster.apply(manifests.quota(store))["spec"]["hard"]
    assert small != wanted
    assert found(cluster, "ResourceQuota", "store-quota", store)["status"]["hard"] == small
    clock.wait(0.5)
    assert found(cluster, "ResourceQuota", "store-quota", store)["status"]["hard"] == wanted


def test_a_namespace_is_terminating_for_its_time_and_its_disks_a_little_longer(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = installed(cluster)
    clock.wait(10)
    cluster.delete("Namespace", store.namespace)

    def codes() -> list[str]:
        return [one.code for one in cluster.leftovers(store.namespace, store.namespace_uid)]

    clock.wait(2.9)
    assert codes() == ["namespace-terminating"]
    clock.wait(0.1)
    assert codes() == ["volume-remaining", "volume-remaining"]
    clock.wait(0.5)
    assert codes() == []
    with sqlite3.connect(cluster.file.path) as connection:
        cluster.apply(manifests.namespace(opened(cluster)))  # a write sweeps what is gone
        rows = connection.execute("SELECT kind FROM objects WHERE namespace = ?", [store.namespace])
        assert rows.fetchall() == []


def test_asking_again_for_its_deletion_does_not_prolong_it(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = opened(cluster)
    cluster.delete("Namespace", store.namespace)
    clock.wait(2)
    cluster.delete("Namespace", store.namespace)
    clock.wait(1)
    assert cluster.get("Namespace", store.namespace) is None


# --- Stores that go wrong by their names -----------------------------------------------------


def test_a_broken_image_stays_broken(cluster: SimulatedCluster, clock: Clock) -> None:
    store = installed(cluster, "Broken-image shop")
    assert container_of(cluster, store, "web")["state"]["waiting"]["reason"] == "ContainerCreating"
    clock.wait(60)
    assert waiting(cluster, store) == {WEB}
    waits = container_of(cluster, store, "web")["state"]["waiting"]
    assert waits["reason"] == "ImagePullBackOff"
    assert "registry.example/woocommerce-web:0.1.0" in waits["message"]
    assert reasons(cluster, store) == {"Failed"}
    cluster.ensure_release(release_of(store, generation=2))
    clock.wait(60)
    assert waiting(cluster, store) == {WEB}


def test_an_image_that_is_broken_once_is_mended_by_a_retry(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = installed(cluster, "broken-once")
    clock.wait(60)
    assert waiting(cluster, store) == {WEB}
    cluster.ensure_release(release_of(store, generation=2))
    clock.wait(5)
    assert waiting(cluster, store) == set()


def test_without_room_no_pod_is_scheduled(cluster: SimulatedCluster, clock: Clock) -> None:
    store = installed(cluster, "no-room")
    clock.wait(60)
    assert waiting(cluster, store) == {WEB, DATABASE, FIRST_SETUP}
    for container in ("web", "db", "setup"):
        status = pod_of(cluster, store, container)["status"]
        assert status["phase"] == "Pending"
        (condition,) = status["conditions"]
        assert (condition["type"], condition["status"]) == ("PodScheduled", "False")
        assert "nodes are available" in condition["message"]
    assert reasons(cluster, store) == {"FailedScheduling"}


def test_a_crashing_database_keeps_the_rest_waiting(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = installed(cluster, "crash test")
    clock.wait(60)
    assert waiting(cluster, store) == {WEB, DATABASE, FIRST_SETUP}
    crashed = container_of(cluster, store, "db")
    assert crashed["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert crashed["lastState"]["terminated"]["exitCode"] == 1
    assert crashed["restartCount"] > 0
    assert container_of(cluster, store, "web")["state"]["waiting"]["reason"] == "PodInitializing"
    assert reasons(cluster, store) == {"BackOff"}


def test_a_setup_that_fails_says_so_when_it_is_over(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = installed(cluster, "setup-fails")
    clock.wait(3.9)
    assert "conditions" not in found(cluster, "Job", FIRST_SETUP, store)["status"]
    clock.wait(60)
    job = found(cluster, "Job", FIRST_SETUP, store)
    failed = readiness.condition(job, "Failed")
    assert failed is not None
    assert failed["reason"] == "BackoffLimitExceeded"
    assert waiting(cluster, store) == {FIRST_SETUP}
    assert container_of(cluster, store, "setup")["state"]["terminated"]["exitCode"] == 1
    assert reasons(cluster, store) == {"BackoffLimitExceeded"}


def test_a_slow_store_takes_four_times_as_long(cluster: SimulatedCluster, clock: Clock) -> None:
    store = installed(cluster, "Slow food")
    clock.wait(19.9)
    assert waiting(cluster, store) == {WEB}
    clock.wait(0.1)
    assert waiting(cluster, store) == set()


def test_a_stuck_deletion_names_the_finalizer_and_ends_at_last(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = opened(cluster, "stuck-delete")
    cluster.delete("Namespace", store.namespace)
    clock.wait(74)
    (message,) = cluster.leftovers(store.namespace, store.namespace_uid)
    assert "example.com/hold" in message.params["remaining"]
    clock.wait(1)
    assert cluster.leftovers(store.namespace, store.namespace_uid) == []


def test_a_degraded_store_is_up_then_unready_for_a_while_and_up_again(
    cluster: SimulatedCluster, clock: Clock
) -> None:
    store = installed(cluster, "Degraded goods")
    for wait, expected in ((5, set()), (9.9, set()), (0.1, {WEB}), (29.9, {WEB}), (0.1, set())):
        clock.wait(wait)
        assert waiting(cluster, store) == expected
        assert reasons(cluster, store) == ({"Unhealthy"} if expected else set())


def test_a_store_of_another_name_has_no_fault(cluster: SimulatedCluster, clock: Clock) -> None:
    store = installed(cluster, "My crash pads")
    clock.wait(5)
    assert waiting(cluster, store) == set()
    assert reasons(cluster, store) == set()


# --- Releases --------------------------------------------------------------------------------


@pytest.mark.cluster
def test_a_release_has_the_objects_that_the_chart_renders(devcluster: DevCluster) -> None:
    values = {"store": {"title": "a", "url": "https://a.example.com", "host": "a.example.com"}}
    rendered = yaml.safe_load_all(
        devcluster.helm("template", "store", str(CHART), "--values=-", input=json.dumps(values))
    )
    wanted = {(one["kind"], one["metadata"]["name"]) for one in rendered if one}
    looked_at = {"Deployment", "StatefulSet", "Job", "PersistentVolumeClaim", "Service"}
    release = Release("store", "store-a-000000", CHART, "0.1.0", values)
    simulated = {(one["kind"], one["metadata"]["name"]) for one in charts.objects_of(release, 1)}
    assert simulated == {(kind, name) for kind, name in wanted if kind in looked_at}


def test_the_disks_outlive_the_release(cluster: SimulatedCluster) -> None:
    store = installed(cluster)
    disks = [found(cluster, "PersistentVolumeClaim", name, store) for name in (CONTENT, DATA)]
    cluster.uninstall_release("store", store.namespace)
    cluster.ensure_release(release_of(store))
    again = [found(cluster, "PersistentVolumeClaim", name, store) for name in (CONTENT, DATA)]
    assert [one["metadata"]["uid"] for one in again] == [one["metadata"]["uid"] for one in disks]


def test_whoever_is_stopped_while_helm_runs_leaves_the_release_pending(
    cluster: SimulatedCluster,
) -> None:
    store = opened(cluster)

    def lost() -> None:
        raise LeaseLost

    with pytest.raises(LeaseLost):
        cluster.ensure_release(release_of(store), lost)
    record = found(cluster, "Secret", "sh.helm.release.v1.store.v1", store)
    assert record["metadata"]["labels"]["status"] == "pending-install"
    assert cluster.get("Deployment", WEB, store.namespace) is None
    assert cluster.ensure_release(release_of(store)) is True
    assert found(cluster, "Deployment", WEB, store)


def test_an_uninstall_that_was_cut_off_starts_over(cluster: SimulatedCluster) -> None:
    store = installed(cluster)
    cluster.leave_release(store.namespace, "store", "uninstalling")
    assert cluster.ensure_release(release_of(store)) is True
    assert cluster.ensure_release(release_of(store)) is False


def test_helm_remembers_five_revisions(cluster: SimulatedCluster) -> None:
    store = opened(cluster)
    for generation in range(1, 9):
        cluster.ensure_release(release_of(store, generation=generation))
    with cluster.file.reading() as stored:
        names = [one.name for one in stored.of_kind("Secret", namespace=store.namespace)]
    assert names == [f"sh.helm.release.v1.store.v{number}" for number in range(4, 9)]


# --- The file --------------------------------------------------------------------------------


def test_what_one_process_did_another_sees(path: Path, clock: Clock) -> None:
    store = installed(SimulatedCluster(path, clock=clock))
    assert waiting(SimulatedCluster(path, clock=clock), store)


def fill(path: Path, number: int) -> None:
    cluster = SimulatedCluster(path)
    for each in range(10):
        name = f"store-{number}-{each}"
        cluster.apply({"kind": "Namespace", "metadata": {"name": name}})


def test_many_processes_may_begin_at_once(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fill, args=(path, number)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    with SimulatedCluster(path).file.reading() as stored:
        namespaces = stored.of_kind("Namespace")
    versions = {one.body["metadata"]["resourceVersion"] for one in namespaces}
    assert (len(namespaces), len(versions)) == (80, 80)


def test_a_new_file_gives_other_uids(path: Path, clock: Clock) -> None:
    manifest = {"kind": "Namespace", "metadata": {"name": "store-a"}}
    first = SimulatedCluster(path, clock=clock).apply(manifest)["metadata"]["uid"]
    path.unlink()
    clock.wait(1)
    assert SimulatedCluster(path, clock=clock).apply(manifest)["metadata"]["uid"] != first


def test_what_a_verb_refuses_leaves_nothing_behind(cluster: SimulatedCluster) -> None:
    store = installed(cluster)
    cluster.leave_release(store.namespace, "store", "pending-install")
    cluster.delete("Namespace", store.namespace)
    with pytest.raises(NotYet):
        cluster.ensure_release(release_of(store))
    # It was not uninstalled in order to start over.
    assert found(cluster, "Deployment", WEB, store)


def test_a_file_that_stays_locked_is_a_cluster_that_does_not_answer(
    cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(cluster)
    monkeypatch.setattr(objects, "BUSY_SECONDS", 0.05)
    with sqlite3.connect(cluster.file.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ClusterUnavailable):
            cluster.apply(manifests.namespace(store))
        other.execute("ROLLBACK")
    assert cluster.apply(manifests.namespace(store))


# --- The watch -------------------------------------------------------------------------------


def test_a_watch_tells_each_turn_once(cluster: SimulatedCluster, clock: Clock) -> None:
    store = installed(cluster)
    polls = list(stepping(cluster, clock, seconds=1.0, polls=8))
    assert {one.kind for one in polls if one.picture is not None} == {"Namespace", *reduced.KINDS}
    turns = [(one.store_id, one.kind, one.name) for one in polls if one.turned and one.store_id]
    assert turns == [
        (str(store.pk), "StatefulSet", DATABASE),
        (str(store.pk), "Job", FIRST_SETUP),
        (str(store.pk), "Deployment", WEB),
    ]


def test_a_watch_tells_when_a_shop_falls_back(cluster: SimulatedCluster, clock: Clock) -> None:
    store = installed(cluster)
    clock.wait(5)
    polls = stepping(cluster, clock, seconds=0.1, polls=3)
    assert next(polls).picture is not None
    cluster.ensure_release(release_of(store, generation=2))
    turns = [(one.store_id, one.kind, one.name) for one in polls if one.turned]
    assert (str(store.pk), "Deployment", WEB) in turns


def test_a_watch_comes_back_with_new_pictures(
    cluster: SimulatedCluster, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = stepping(cluster, clock, seconds=0.1, polls=4)
    kinds = ["Namespace", *reduced.KINDS]
    assert [next(polls).kind for _ in kinds] == kinds
    looks = iter([ClusterUnavailable("away"), {}, {}])

    def look() -> Any:
        answer = next(looks)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(cluster, "look", look)
    assert [(one.kind, one.picture) for one in polls] == [
        ("", None),  # cut off
        *((kind, []) for kind in kinds),
    ]


def stepping(
    cluster: SimulatedCluster, clock: Clock, *, seconds: float, polls: int
) -> Iterator[Change]:
    """A watch in which that much time passes before each of so many looks."""
    left = iter(range(polls))

    def stopped() -> bool:
        clock.wait(seconds)
        return next(left, None) is None

    return cluster.watch(stopped)


# --- Server-side apply -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("live", "before", "wanted", "merged"),
    [
        ({"a": 1}, {}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": 1}, {"b": 2}, {"b": 2}),
        ({"m": {"ours": 1, "theirs": 2}}, {"m": {"ours": 1}}, {}, {"m": {"theirs": 2}}),
        ({"m": {"ours": 1}}, {"m": {"ours": 1}}, {"m": {"ours": 1}}, {"m": {"ours": 1}}),
        ({"m": {"ours": 1}}, {"m": {"ours": 1}}, {}, {}),
        ({"list": [1, 2]}, {"list": [1, 2]}, {"list": [3]}, {"list": [3]}),
    ],
)
def test_an_apply_takes_back_only_what_it_said(
    live: Manifest, before: Manifest, wanted: Manifest, merged: Manifest
) -> None:
    assert merge(live, before, wanted) == merged
