"""Twelve hours in which somebody was not there, and then life again: everything catches up, once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from django_q.scheduler import scheduler

from portal.shared import facts
from portal.troubles import worker_silent_since
from provisioning import runner
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.lease import Lease
from provisioning.tests.conftest import Clock, deliver
from provisioning.tests.real_platform import until
from provisioning.tests.worker_rig import Rig, gone
from provisioning.watcher import Watcher
from stores import queue
from stores.actor import Actor
from stores.lifecycle import Status
from stores.models import AuditEvent, Heartbeat, Operation, OperationStep, Store, User
from stores.services import create_store, delete_store, refresh_store

pytest_plugins = ["provisioning.tests.worker_rig"]
ABSENCE = timedelta(hours=12)
MOMENTS = {
    Store: ("status_since", "due_at", "deadline_at", "lease_until", "outage_since", "closes_at",
            "created_at", "ready_at", "health_since", "observed_at", "verified_at"),
    Operation: ("requested_at", "finished_at"),
    OperationStep: ("started_at", "ended_at"),
    Heartbeat: ("at",),
    OrmQ: ("lock",),
}  # fmt: skip


def twelve_hours_pass(clock: Clock | None = None) -> None:
    """Everything that is written down with a time is that much older."""
    for model, fields in MOMENTS.items():
        model.objects.update(**{field: F(field) - ABSENCE for field in fields})
    if clock:
        clock.passes(ABSENCE.total_seconds())


@pytest.fixture
def make(alice: User, as_alice: Actor) -> Callable[[str], Store]:
    User.objects.filter(pk=alice.pk).update(max_stores=20)
    alice.refresh_from_db()

    def made(address: str) -> Store:
        return create_store(actor=as_alice, owner=alice, name=address, address=address)

    return made


@pytest.fixture
def crowd(
    make: Callable[[str], Store],
    as_alice: Actor,
    cluster: SimulatedCluster,
    clock: Clock,
    work: Callable[[Store], None],
) -> dict[str, Store]:
    """One store in each state in which it can be left alone."""
    stores = {"updating": make("updating"), "deleting": make("deleting"), "ready": make("ready")}
    for store in stores.values():
        work(store)
    stores["waiting"] = make("waiting")
    deliver(cluster)
    refresh_store(stores["updating"], actor=as_alice)
    delete_store(stores["deleting"], actor=as_alice)
    stores["requested"] = make("requested")
    stores["killed-at-once"], stores["killed-later"] = make("killed-at-once"), make("killed-later")
    for name in ("killed-at-once", "killed-later"):
        # A worker that died in the middle of its first pass: nobody had said yet when to look again.
        lease = Lease.take(stores[name].pk)
        assert lease
        if name == "killed-later":
            runner.line.admit(lease)
    for store in stores.values():
        store.refresh_from_db()
    return stores


def life(cluster: SimulatedCluster, clock: Clock, seconds: int = 90) -> None:
    """The clock strikes and the worker works, as every day."""
    for _ in range(seconds):
        runner.reconcile()
        deliver(cluster)
        clock.passes(1)
        # The database's clock cannot be moved: what is to be looked at in a while is looked at now.
        Store.objects.filter(due_at__gt=Now()).update(due_at=Now())
        if not Store.objects.unsettled().exists():
            return


def everything_is_as_wanted_once(crowd: dict[str, Store], cluster: SimulatedCluster) -> None:
    for name, store in crowd.items():
        store.refresh_from_db()
        wanted = Status.DELETED if name == "deleting" else Status.READY
        assert store.status == wanted, f"{name}: {store.sentence}"
        assert store.lease_until is None and store.rings == 0
        said = Counter(
            AuditEvent.objects.filter(store_id=store.pk).values_list("action", flat=True)
        )
        ready_twice = 2 if name == "updating" else 1
        assert said["store.ready"] == ready_twice, f"{name}: {said}"
        assert said["store.failed"] == 0
        assert not store.operations.open().exists()
        assert set(store.operations.values_list("outcome", flat=True)) <= {"succeeded"}
    seen = [namespace.store_id for namespace in cluster.survey().namespaces]
    assert sorted(seen) == sorted(str(s.pk) for name, s in crowd.items() if name != "deleting")
    assert not OrmQ.objects.exists(), "nothing rings any more"


def test_the_worker_was_dead(crowd, cluster, clock) -> None:
    """The queue filled up meanwhile, as the clock went on; deadlines are long over."""
    for _ in range(200):
        runner.reconcile()
    assert OrmQ.objects.count() < 200, "the clock does not fill the queue without end"
    twelve_hours_pass(clock)
    life(cluster, clock)
    everything_is_as_wanted_once(crowd, cluster)


def test_the_clock_and_the_watcher_were_dead(crowd, cluster, clock) -> None:
    """The worker went on, but nobody rang: what it was told last is done, the rest has waited."""
    deliver(cluster)
    assert not OrmQ.objects.exists()
    twelve_hours_pass(clock)
    assert not deliver(cluster)
    life(cluster, clock)
    everything_is_as_wanted_once(crowd, cluster)


def test_the_queue_lost_everything(crowd, cluster, clock) -> None:
    """Its table was emptied, say, or signed with another key: rows are the truth."""
    OrmQ.objects.all().delete()
    twelve_hours_pass(clock)
    life(cluster, clock)
    everything_is_as_wanted_once(crowd, cluster)


def test_the_queue_delivers_everything_once_more(crowd, cluster, clock) -> None:
    """What was claimed by processes that are dead comes again, twelve hours late."""
    OrmQ.objects.update(lock=Now() + timedelta(seconds=900))
    late = list(OrmQ.objects.values("key", "payload", "lock"))
    twelve_hours_pass(clock)
    life(cluster, clock)
    fences = dict(Store.objects.values_list("pk", "fence"))
    OrmQ.objects.bulk_create([OrmQ(**row) for row in late])
    deliver(cluster)
    assert dict(Store.objects.values_list("pk", "fence")) == fences, "nobody even took a lease"
    everything_is_as_wanted_once(crowd, cluster)


def test_one_strike_of_the_clock_rings_everything_that_is_due_once(crowd, cluster, clock) -> None:
    OrmQ.objects.all().delete()
    twelve_hours_pass(clock)
    rung = runner.reconcile()
    assert sorted(rung) == sorted(Store.objects.unsettled().values_list("pk", flat=True))
    assert OrmQ.objects.count() == len(rung)


def test_a_store_that_nobody_looked_at_keeps_the_time_it_had(crowd, cluster, clock) -> None:
    """Of its ten minutes none is lost: not in waiting, not with a worker that died in its first pass."""
    before = {
        name: store.deadline_at for name, store in crowd.items() if store.deadline_at is not None
    }
    assert {"waiting", "killed-later"} <= set(before)
    twelve_hours_pass(clock)
    runner.reconcile()
    deliver(cluster)
    for name in ("waiting", "killed-later"):
        store = Store.objects.get(pk=crowd[name].pk)
        assert store.status == Status.PROVISIONING, store.sentence
        assert store.deadline_at - before[name] > -timedelta(minutes=2), name


def test_the_pages_said_that_nobody_worked_and_stop_saying_so(crowd, cluster, clock) -> None:
    from provisioning.tasks import heartbeat

    heartbeat()
    assert worker_silent_since(facts()) is None
    twelve_hours_pass(clock)
    assert worker_silent_since(facts()) is not None
    heartbeat()
    assert worker_silent_since(facts()) is None


class OneTick(threading.Event):
    """Over when it is waited for the second time."""

    def wait(self, timeout: float | None = None) -> bool:
        was_set = self.is_set()
        self.set()
        return was_set


@pytest.mark.django_db(transaction=True)
def test_a_broken_row_among_the_schedules_stops_the_queues_clock_and_not_ours(
    crowd, cluster, clock
) -> None:
    """F19: the queue takes them all in one transaction, which that row undoes every time."""
    for name, args in (("first", "no literal ("), ("reconcile", None)):
        Schedule.objects.create(
            name=name, func="provisioning.tasks.reconcile", args=args, minutes=1, repeats=-1,
            schedule_type=Schedule.MINUTES, next_run=timezone.now() - ABSENCE,
        )  # fmt: skip
    OrmQ.objects.all().delete()
    twelve_hours_pass(clock)
    scheduler()
    assert not OrmQ.objects.exists()
    Watcher(cluster).tick(OneTick())
    due = set(Store.objects.unsettled().values_list("pk", flat=True))
    assert due and OrmQ.objects.count() == len(due) + 1, "and one for letters that waited"
    life(cluster, clock)
    everything_is_as_wanted_once(crowd, cluster)


@pytest.mark.slow
def test_the_whole_platform_was_off(rig: Rig) -> None:
    """With its real processes: a worker that was killed, a queue with its claims, no watcher."""
    worker = rig.start_worker()
    stores = [rig.create() for _ in range(3)]
    held = rig.create()
    _, folder = rig.hold(held)
    queue.ring(stores[0].pk)
    processes = rig.working(worker)
    worker.kill()
    until(lambda: gone(processes.all), "all of it to be gone")
    (folder / "go").touch()  # its task comes again, as every claim of the dead does
    twelve_hours_pass()
    rig.start_worker()
    rig.start("watch_cluster")
    for store in (*stores, held):
        rig.wait_for(store, Status.READY)
        assert store.operations.count() == 1
        ready = AuditEvent.objects.filter(store_id=store.pk, action="store.ready")
        assert ready.count() == 1
    assert worker_silent_since(facts()) is None
