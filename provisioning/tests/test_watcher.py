"""The watcher on a simulated cluster: from a change to the row, and through outages of either side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError

from provisioning import observing
from provisioning.cluster.base import Change
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.cluster.simulation import looking
from provisioning.errors import ClusterUnavailable
from provisioning.picture import Picture
from provisioning.tests.conftest import Clock, deliver
from provisioning.watcher import Watcher, outlived
from stores import queue
from stores.actor import Actor
from stores.lifecycle import Health, Status
from stores.models import Heartbeat, Store, User
from stores.services import create_store


class Hand:
    """A watch that moves when the test says so."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self.cluster, self.watcher = cluster, Watcher(cluster)
        self.before: looking.Look = {}

    def begin(self) -> None:
        self.before = self.cluster.look()
        for change in looking.pictures(self.before):
            self.watcher.take(change)

    def move(self) -> None:
        now = self.cluster.look()
        for change in looking.changes(self.before, now):
            self.watcher.take(change)
        self.before = now


@pytest.fixture
def hand(store: Store, work: Callable[[Store], None], cluster: SimulatedCluster) -> Hand:
    """Watching a store that is ready."""
    work(store)
    assert store.status == Status.READY
    hand = Hand(cluster)
    hand.begin()
    return hand


def health_of(store: Store) -> str:
    store.refresh_from_db()
    return str(store.health)


def test_what_happens_in_the_cluster_is_in_the_row_at_once(
    hand: Hand, store: Store, cluster: SimulatedCluster
) -> None:
    cluster.disturb("Deployment", "store-web", store.namespace, "unready")
    hand.move()
    assert health_of(store) == Health.DEGRADED
    assert "does not answer the question whether it is ready" in store.health_sentence
    assert store.observed_at is not None
    cluster.disturb("Deployment", "store-web", store.namespace)
    hand.move()
    assert health_of(store) == Health.HEALTHY


def test_before_every_kind_has_been_listed_nothing_is_judged(
    store: Store, work: Callable[[Store], None], cluster: SimulatedCluster
) -> None:
    work(store)
    watcher = Watcher(cluster)
    namespaces, *rest = looking.pictures(cluster.look())
    for change in rest:
        watcher.take(change)
    assert health_of(store) == Health.HEALTHY  # as the pass found it, and not lost
    assert watcher.picture.is_current is False
    watcher.take(namespaces)
    assert watcher.picture.is_current is True


def test_a_namespace_that_is_gone_is_a_loss_and_one_without_its_label_is_not(
    hand: Hand, store: Store, cluster: SimulatedCluster, clock: Clock
) -> None:
    with cluster.file.writing() as objects:
        namespace = objects.namespace(store.namespace)
        assert namespace is not None
        labels = dict(namespace.labels)
        namespace.body["metadata"]["labels"] = {}
        objects.save(namespace)
    hand.move()
    assert health_of(store) == Health.HEALTHY
    with cluster.file.writing() as objects:
        namespace = objects.namespace(store.namespace)
        assert namespace is not None
        namespace.body["metadata"]["labels"] = labels
        objects.save(namespace)
    hand.move()
    cluster.delete("Namespace", store.namespace)
    clock.passes(60)
    hand.move()
    assert health_of(store) == Health.LOST


def test_a_guardrail_that_was_taken_away_is_put_back_within_a_tick(
    hand: Hand, store: Store, cluster: SimulatedCluster
) -> None:
    for kind, name in (("LimitRange", "store-limits"), ("ResourceQuota", "store-quota")):
        cluster.delete(kind, name, store.namespace)
    hand.move()
    hand.watcher.repair()
    deliver(cluster)
    assert cluster.get("LimitRange", "store-limits", store.namespace)
    assert cluster.get("ResourceQuota", "store-quota", store.namespace)
    operation = store.operations.first()
    assert operation is not None
    assert operation.kind == "repair"


def test_a_store_under_a_pass_is_looked_at_for_drift_when_that_is_over(
    hand: Hand, store: Store, cluster: SimulatedCluster
) -> None:
    cluster.delete("LimitRange", "store-limits", store.namespace)
    hand.move()
    Store.objects.update(lease_until="2999-01-01T00:00:00Z")
    hand.watcher.repair()
    assert store.operations.filter(kind="repair").count() == 0
    Store.objects.update(lease_until=None)
    hand.watcher.repair()
    assert store.operations.filter(kind="repair").count() == 1


@pytest.mark.django_db(transaction=True)
def test_what_the_database_did_not_take_is_written_at_the_next_tick(
    hand: Hand, store: Store, cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(observing, "observe", away)
        cluster.disturb("Deployment", "store-web", store.namespace, "unready")
        hand.move()
    assert health_of(store) == Health.HEALTHY
    hand.watcher.look_again()
    assert health_of(store) == Health.DEGRADED


@pytest.mark.parametrize("lost", [0, 1])
def test_a_store_that_cannot_be_judged_holds_up_no_other(
    lost: int,
    as_alice: Actor,
    alice: User,
    work: Callable[[Store], None],
    cluster: SimulatedCluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores = [
        create_store(actor=as_alice, owner=alice, name=name, address=name)
        for name in ("annas", "berts")
    ]
    for store in stores:
        work(store)
    hand = Hand(cluster)
    hand.begin()
    poor, other = stores[lost], stores[1 - lost]
    hand.watcher.picture.namespaces.pop(poor.namespace)
    monkeypatch.setattr(cluster, "get", raising(ClusterUnavailable("away")))
    cluster.disturb("Deployment", "store-web", other.namespace, "unready")
    with pytest.raises(ClusterUnavailable):
        observing.observe(seen_by(hand), cluster)
    assert (health_of(poor), health_of(other)) == (Health.HEALTHY, Health.DEGRADED)


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


def seen_by(hand: Hand) -> Picture:
    """With everything that has happened since, and judged by nobody."""
    now = hand.cluster.look()
    for change in looking.changes(hand.before, now):
        hand.watcher.picture.take(change)
    return hand.watcher.picture


@pytest.mark.django_db(transaction=True)
def test_while_the_database_is_away_only_the_clock_asks_it(
    hand: Hand, store: Store, cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it does not even refuse, each try takes as long as a connection may."""
    asked = []

    def away(*_: Any) -> None:
        asked.append(1)
        raise OperationalError("away")

    with monkeypatch.context() as patch:
        patch.setattr(observing, "observe", away)
        patch.setattr(queue, "ring", away)
        for how in ("unready", "crash", "", "unready"):
            cluster.disturb("Deployment", "store-web", store.namespace, how)
            hand.move()
        assert len(asked) == 1
        with pytest.raises(OperationalError):
            hand.watcher.look_again()
        assert len(asked) == 2
    hand.watcher.look_again()
    assert health_of(store) == Health.DEGRADED
    cluster.disturb("Deployment", "store-web", store.namespace)
    hand.move()
    assert health_of(store) == Health.HEALTHY


def test_when_what_was_seen_could_not_be_judged_nobody_says_that_somebody_looks(
    hand: Hand, store: Store, cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(observing, "observe", raising(RuntimeError("a fault of ours")))
        cluster.disturb("Deployment", "store-web", store.namespace, "unready")
        hand.move()
    hand.watcher.say_that_it_looks()
    assert Heartbeat.seen(Heartbeat.WATCHER) is None
    hand.watcher.look_again()
    hand.watcher.say_that_it_looks()
    assert Heartbeat.seen(Heartbeat.WATCHER) is not None


def test_while_a_watch_is_cut_off_nobody_says_that_somebody_looks(
    hand: Hand, store: Store, cluster: SimulatedCluster
) -> None:
    assert hand.watcher.picture.is_current
    hand.watcher.take(Change("", "Pod"))
    assert not hand.watcher.picture.is_current
    # What is judged without the pods would be wrong.
    cluster.disturb("Deployment", "store-web", store.namespace, "unready")
    hand.move()
    assert health_of(store) == Health.HEALTHY
    hand.begin()
    assert health_of(store) == Health.DEGRADED


def test_a_relist_tells_what_the_watch_has_missed(
    hand: Hand, store: Store, cluster: SimulatedCluster
) -> None:
    cluster.disturb("StatefulSet", "store-db", store.namespace, "crash")
    hand.begin()
    assert health_of(store) == Health.DEGRADED
    assert "The database" in store.health_sentence


def test_nothing_that_goes_wrong_ends_the_watcher(caplog: pytest.LogCaptureFixture) -> None:
    for error in (ClusterUnavailable("away"), RuntimeError("a fault of ours")):
        with outlived("do it"):
            raise error
    assert "a fault of ours" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_it_runs_beats_and_ends_when_told(settings: Any, tmp_path: Any) -> None:
    settings.TICK_SECONDS = 0.2
    over = threading.Event()
    watcher = Watcher(SimulatedCluster(tmp_path / "own.sqlite3"))
    thread = threading.Thread(target=watcher.run, args=(over,))
    thread.start()
    deadline = time.monotonic() + 20
    while Heartbeat.seen(Heartbeat.WATCHER) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    over.set()
    thread.join(10)
    assert not thread.is_alive()
    assert Heartbeat.seen(Heartbeat.WATCHER) is not None
