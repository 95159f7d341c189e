"""A worker is told to end: what it has begun it finishes, what it has not it leaves to others."""

from __future__ import annotations

import os
import signal
import time

import pytest
from django_q.models import OrmQ

from provisioning.processes import Family
from provisioning.tests.real_platform import until
from provisioning.tests.worker_rig import Program, Queue, Rig, gone
from stores import queue
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.slow
pytest_plugins = ["provisioning.tests.worker_rig"]


def free(store: Store) -> bool:
    store.refresh_from_db()
    return store.lease_until is None and store.lease_owner == ""


def told(worker: Program, how: signal.Signals, *, the_group: bool = False) -> None:
    if the_group:
        os.killpg(worker.pid, how)
    else:
        os.kill(worker.pid, how)


@pytest.mark.parametrize(
    ("how", "the_group"), [(signal.SIGTERM, False), (signal.SIGTERM, True), (signal.SIGINT, True)]
)
def test_it_finishes_the_pass_and_ends_well(rig: Rig, how: signal.Signals, the_group: bool) -> None:
    """Told alone (a container's first process), with its group (Ctrl-C, a service manager): F6, F7."""
    worker = rig.start_worker()
    processes = rig.working(worker)
    busy = rig.create()
    _, folder = rig.hold(busy)
    told(worker, how, the_group=the_group)
    until(lambda: gone(set(processes.pusher)), "nothing to be claimed any more")
    next_one = rig.create()
    time.sleep(1)
    assert worker.popen.poll() is None, "it waits for the pass"
    assert Store.objects.get(pk=next_one.pk).fence == 0, "and begins nothing"
    (folder / "go").touch()
    began = time.monotonic()
    assert worker.popen.wait(30) == 0, worker.said
    print(f"FIGURE stop: {time.monotonic() - began:.1f} s from the end of the pass to the exit")
    assert (folder / "finished").exists()
    assert gone(processes.all)
    assert free(busy) and busy.attempts == 0, "an orderly end"
    assert OrmQ.objects.filter(lock__lte=queue.Now()).exists(), "the ring waits for another worker"
    assert "Traceback" not in worker.said


def test_what_was_delivered_too_late_is_done_by_the_next_worker(rig: Rig) -> None:
    """It had been fetched from the queue already, behind a pass that went on."""
    worker = rig.start_worker(WORKERS=1)
    rig.working(worker)
    _, folder = rig.hold(rig.create())
    waiting = rig.create()
    until(lambda: OrmQ.objects.filter(lock__gt=queue.Now()).count() >= 2, "it to be fetched")
    told(worker, signal.SIGTERM)
    time.sleep(0.5)
    (folder / "go").touch()
    assert worker.popen.wait(30) == 0
    assert Store.objects.get(pk=waiting.pk).fence == 0
    assert Store.objects.get(pk=waiting.pk).rings >= 1, "the ring stays counted"
    rig.start_worker()
    # Within the time in which the queue itself would not deliver it again (QUEUE_RETRY).
    until(lambda: Store.objects.get(pk=waiting.pk).fence > 0, "the next worker to take it", 30)


@pytest.mark.parametrize("why", ["told again", "its grace is over"])
def test_a_pass_that_does_not_end_is_cut_off_and_handed_back(rig: Rig, why: str) -> None:
    worker = rig.start_worker(WORKER_GRACE_SECONDS=2 if why == "its grace is over" else 60)
    processes = rig.working(worker)
    store = rig.create()
    _, folder = rig.hold(store, "hold_with_helm")
    told(worker, signal.SIGTERM)
    if why == "told again":
        time.sleep(1)
        assert worker.popen.poll() is None
        told(worker, signal.SIGTERM)
    assert worker.popen.wait(30) == 0, worker.said
    assert gone(processes.all)
    assert (folder / "helm-ended").exists(), "Helm could write down that it was interrupted"
    assert free(store), "nobody waits for the end of the lease"
    assert not (folder / "finished").exists()
    rig.start_worker()
    rig.wait_for(store, Status.READY)


def test_a_queue_that_cannot_end_does_not_keep_it(rig: Rig) -> None:
    """As after a signal to all of its processes, of which the queue's parent never recovers: F6, F8."""
    worker = rig.start_worker()
    processes = rig.working(worker)
    for pid in processes.all:
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert worker.stop(30) == 0
    assert time.monotonic() - began < 25
    assert gone(processes.all)


def test_all_its_processes_are_told_at_once_and_it_ends_all_the_same(rig: Rig) -> None:
    """systemd's KillMode=control-group, in the middle of a pass: F6."""
    worker = rig.start_worker()
    processes = rig.working(worker)
    store = rig.create()
    rig.hold(store)
    for pid in {worker.pid} | processes.all:
        os.kill(pid, signal.SIGTERM)
    assert worker.popen.wait(30) == 0, worker.said
    assert gone(processes.all)
    assert free(store)


def test_it_can_be_told_at_any_moment(rig: Rig) -> None:
    """Also while its queue is starting, and while it is started anew: F8."""
    for delay in (0.3, 0.8, 1.2, 1.6, 2.0, 2.4):
        worker = rig.start()
        until(lambda worker=worker: caught(worker), "it to be in charge of its signals")
        time.sleep(delay)
        assert worker.stop(30) == 0, worker.said
        assert gone(Family.now().children(worker.pid))
    worker = rig.start_worker()
    before: Queue = rig.working(worker)
    os.kill(before.sentinel, signal.SIGKILL)
    time.sleep(0.6)
    assert worker.stop(30) == 0
    assert gone(before.all)


def caught(worker: Program) -> bool:
    """Whether it has a handler for SIGTERM yet."""
    with open(f"/proc/{worker.pid}/status") as file:
        [mask] = [line.split()[1] for line in file if line.startswith("SigCgt:")]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)
