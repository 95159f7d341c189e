"""The queue's processes are killed one by one: the worker goes on, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from django_q.models import OrmQ

from provisioning.tests.real_platform import until
from provisioning.tests.worker_rig import OpenRig, Program, Rig, gone
from stores.lifecycle import Status
from stores.models import Heartbeat, Store

pytestmark = pytest.mark.slow
pytest_plugins = ["provisioning.tests.worker_rig"]


@pytest.fixture(scope="module")
def rig(open_rig: OpenRig) -> Iterator[Rig]:
    with open_rig() as opened:
        yield opened


@pytest.fixture(scope="module")
def worker(rig: Rig) -> Program:
    return rig.start_worker()


def makes_stores(rig: Rig) -> None:
    """Everything works, to the end of the queue."""
    started = Store.objects.count()
    store = rig.wait_for(rig.create(), Status.READY)
    assert store.attempts == 0
    until(lambda: not OrmQ.objects.filter(key="storeyard").exists(), "the queue to be empty")
    assert Store.objects.count() == started + 1


def test_a_store_is_made(rig: Rig, worker: Program) -> None:
    makes_stores(rig)


@pytest.mark.parametrize("role", ["workers", "monitor", "pusher"])
def test_an_idle_process_that_is_killed_stops_nothing(rig: Rig, worker: Program, role: str) -> None:
    """Any of them may have taken a lock of the queue's with it: F2, F3."""
    queue = rig.working(worker)
    killed = time.monotonic()
    # Of two idle workers one waits for a task and holds the lock, the other waits for the lock.
    for pid in getattr(queue, role):
        os.kill(pid, signal.SIGKILL)
    rig.working(worker, without=queue.all)
    print(f"FIGURE {role}: {time.monotonic() - killed:.1f} s from the kill to the next heartbeat")
    assert "died while idle" in worker.said
    assert gone(queue.all)
    makes_stores(rig)


@pytest.mark.parametrize("role", ["launcher", "sentinel"])
def test_nothing_of_the_queue_survives_its_parent(rig: Rig, worker: Program, role: str) -> None:
    """Else orphans would go on beside their successors, with nobody who guards them: F4, F5."""
    queue = rig.working(worker)
    os.kill(getattr(queue, role), signal.SIGKILL)
    until(lambda: gone(queue.all), "all of them to be gone", 10)
    rig.working(worker, without=queue.all)
    makes_stores(rig)


def test_a_worker_that_was_busy_is_replaced_and_the_others_go_on(rig: Rig, worker: Program) -> None:
    """F1: it held no lock of the queue's; the store does not wait for the end of the lease."""
    queue = rig.working(worker)
    store = rig.create()
    pid, _ = rig.hold(store)
    fence = Store.objects.get(pk=store.pk).fence
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    rig.wait_for(store, Status.READY)
    print(f"FIGURE busy: {time.monotonic() - killed:.1f} s from the kill to a ready store")
    assert store.fence > fence
    assert store.attempts == 1, "a death is counted"
    assert not gone({queue.launcher, queue.sentinel}), "the queue was not started anew"


def test_a_lease_is_not_given_away_while_the_helm_of_the_dead_still_runs(
    rig: Rig, worker: Program
) -> None:
    """F10: it gets its SIGTERM, and may write down that it was interrupted."""
    rig.working(worker)
    store = rig.create()
    pid, folder = rig.hold(store, "hold_with_helm")
    owner = Store.objects.get(pk=store.pk).lease_owner
    os.kill(pid, signal.SIGKILL)
    ended = folder / "helm-ended"
    while not ended.exists():
        assert Store.objects.get(pk=store.pk).lease_owner == owner
        time.sleep(0.05)
    rig.wait_for(store, Status.READY)


def test_workers_that_are_all_busy_are_left_alone(open_rig: OpenRig) -> None:
    """No heartbeat comes back then, for longer than is allowed; the pages are told all the same."""
    with open_rig(HEARTBEAT_LIMIT_SECONDS=2, WORKERS=1) as rig:
        worker = rig.start_worker()
        _, folder = rig.hold(rig.create())
        queue = rig.working(worker)
        since = Heartbeat.seen(Heartbeat.WORKER)
        time.sleep(4)
        assert not gone({queue.launcher}), worker.said
        assert Heartbeat.seen(Heartbeat.WORKER) > since
        (folder / "go").touch()
        until((folder / "finished").exists, "the pass to end")
        makes_stores(rig)


def test_a_queue_that_stands_still_is_started_anew(open_rig: OpenRig) -> None:
    """However that came about: here all that could do something is stopped, and none is dead."""
    with open_rig(HEARTBEAT_LIMIT_SECONDS=3) as rig:
        worker = rig.start_worker()
        queue = rig.working(worker)
        for pid in queue.members:
            os.kill(pid, signal.SIGSTOP)
        rig.working(worker, without=queue.all)
        assert "no heartbeat came back" in worker.said
        assert gone(queue.all)


def test_a_queue_whose_results_are_not_acknowledged_is_started_anew(open_rig: OpenRig) -> None:
    """F3, the quiet way: tasks are done, and all of them would be done again."""
    with open_rig(HEARTBEAT_LIMIT_SECONDS=3) as rig:
        worker = rig.start_worker()
        queue = rig.working(worker)
        [monitor] = queue.monitor
        os.kill(monitor, signal.SIGSTOP)
        rig.working(worker, without={monitor})
        assert "no heartbeat came back" in worker.said


def test_nothing_of_it_survives_the_supervisor(rig: Rig) -> None:
    """Killed with -9, in the middle of a pass, with Helm under way: F4, F10."""
    worker = rig.start_worker()
    store = rig.create()
    # Of two supervisors either may have got it.
    pid, folder = rig.hold(store, "hold_with_helm")
    queues = {program: rig.working(program) for program in rig.programs if alive(program)}
    [program] = [program for program, queue in queues.items() if pid in queue.members]
    program.kill()
    until(lambda: gone(queues[program].all), "the queue to be gone", 10)
    until((folder / "helm-ended").exists, "Helm to be told", 10)
    Store.objects.filter(pk=store.pk).update(lease_until=None)  # or after a minute
    if program is worker:
        return
    worker.stop()


def alive(program: Program) -> bool:
    return program.popen.poll() is None


def test_a_task_that_ends_its_process_is_survived(open_rig: OpenRig) -> None:
    """F13: the queue would deliver it again at once, and for ever, if it knew no retry time."""
    with open_rig() as rig:
        worker = rig.start_worker()
        queue = rig.working(worker)
        rig.queue("leave")
        rig.working(worker, without=queue.all)
        rig.wait_for(rig.create(), Status.READY)
