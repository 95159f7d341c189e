"""The worker's supervisor with a real Helm under way: stopped, killed, replaced."""

from __future__ import annotations

import os
import signal
import time

import pytest

from provisioning.processes import Family
from provisioning.tests.real_checks import helm_processes, namespace_uid, passwords
from provisioning.tests.real_platform import Platform, Process, until
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]
PENDING = {"pending-install", "pending-upgrade", "pending-rollback", "uninstalling"}
ROLLING_STORES = 6


def supervisor(worker: Process) -> int:
    """The worker itself, below the guard that the tests put before it."""
    for pid in Family.now().living(worker.popen.pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"run_worker" in (words := file.read().split(b"\0")) and b"guard" not in words:
                return pid
    pytest.fail("there is no worker")


def holder(store: Store) -> int:
    store.refresh_from_db()
    return int(store.lease_owner.split("/")[1]) if store.lease_until else 0


def attempts(store: Store) -> int:
    store.refresh_from_db()
    return store.attempts


def test_a_worker_that_is_told_to_end_lets_helm_finish(platform: Platform) -> None:
    """F7: nothing is left half done, and nobody has to wait for a lease."""
    worker = platform.start_worker(LEASE_SECONDS=120)
    with platform.helm_held():
        store = platform.create()
        until(lambda: platform.helm_runs(store.namespace), "Helm to be started")
        os.kill(supervisor(worker), signal.SIGTERM)
        time.sleep(3)
        assert not worker.ended
        assert helm_processes(store.namespace)
    assert worker.wait() == 0, worker.said
    assert platform.admin.release_state("store", store.namespace) == "deployed"
    assert holder(store) == 0
    platform.start_worker()
    platform.start_watcher()
    platform.wait_for(store, Status.READY)
    # Given back with the lease, a moment after the store is ready.
    until(lambda: attempts(store) == 0, "the attempt to be given back: nobody died")
    assert len(platform.helm_runs(store.namespace)) == 1


def test_a_busy_worker_that_is_killed_is_followed_before_its_lease_runs_out(
    platform: Platform,
) -> None:
    """F1, F10: by one of the same supervisor, once Helm has ended."""
    worker = platform.start_worker(LEASE_SECONDS=300)
    platform.start_watcher()
    with platform.helm_held():
        store = platform.create()
        until(lambda: platform.helm_runs(store.namespace), "Helm to be started")
        pid = until(lambda: holder(store), "somebody to hold the lease")
        uid, secrets = namespace_uid(platform.admin, store), passwords(platform.admin, store)
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
    platform.wait_for(store, Status.READY)
    print(f"FIGURE real busy: {time.monotonic() - killed:.1f} s from the kill to a ready store")
    until(lambda: holder(store) == 0, "the pass to be over")
    assert (namespace_uid(platform.admin, store), passwords(platform.admin, store)) == (
        uid,
        secrets,
    )
    states = list(platform.admin.revisions("store", store.namespace).values())
    assert states.count("deployed") == 1 and not PENDING & set(states)
    assert store.attempts == 1
    assert supervisor(worker)


def test_workers_can_be_replaced_while_stores_are_made(platform: Platform) -> None:
    """F7: as at a deployment, one after the other, and in the middle of it."""
    worker = platform.start_worker(LEASE_SECONDS=120)
    platform.start_watcher()
    stores = [platform.create() for _ in range(ROLLING_STORES)]
    for _ in range(3):
        until(lambda: platform.helm_runs(), "work to be under way")
        time.sleep(2)
        following = platform.start_worker(LEASE_SECONDS=120)
        os.kill(supervisor(worker), signal.SIGTERM)
        assert worker.wait() == 0, worker.said
        worker = following
    for store in stores:
        platform.wait_for(store, Status.READY)
        until(lambda store=store: holder(store) == 0, "the pass to be over")
        assert store.attempts == 0, "nobody died"
        states = list(platform.admin.revisions("store", store.namespace).values())
        assert states.count("deployed") == 1 and not PENDING & set(states)
