"""Rings at the wrong moment: twice at once, while somebody else works, with no clock to help out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from django.apps import apps
from django.db import transaction
from django.db.models.functions import Now

from provisioning import runner
from provisioning.lease import Lease
from provisioning.tests.real_platform import OpenPlatform, Platform, until
from stores import queue
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]

HOLD_SECONDS = 3


class Untouchable:
    """A cluster that nobody may call."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"the cluster was asked for {name}")


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    """Two workers and a watcher; its clock does not strike before the test is over."""
    with open_platform(TICK_SECONDS=600, LEASE_SECONDS=2, WORKERS=2) as opened:
        opened.start_worker()
        opened.start_watcher()
        yield opened


def tasks() -> int:
    """In the queue, or at work."""
    return apps.get_model("django_q", "OrmQ").objects.count()


def test_of_two_deliveries_at_once_one_works_and_the_other_returns(platform: Platform) -> None:
    with platform.helm_held():
        with transaction.atomic():
            store = platform.create()
            queue.ring_again(store.pk)
        until(lambda: platform.helm_runs(store.namespace), "a worker to start Helm")
        until(lambda: tasks() == 1, "the second delivery to be over")

        # A third, here, where it can be seen that nobody asks the cluster anything. Held for longer
        # than the lease lasts: the worker renews it while Helm runs.
        store.refresh_from_db()
        fence, owner = store.fence, store.lease_owner
        held_since = time.monotonic()
        while time.monotonic() < held_since + HOLD_SECONDS:
            started = time.monotonic()
            cluster: Any = Untouchable()
            runner.converge(store.pk, cluster)
            assert time.monotonic() - started < 0.5
            time.sleep(0.2)
        store.refresh_from_db()
        assert (store.fence, store.lease_owner) == (fence, owner)
    platform.wait_for(store, Status.READY)
    assert len(platform.helm_runs(store.namespace)) == 1
    assert store.attempts == 0


def test_a_ring_while_somebody_else_holds_the_lease_is_not_lost(platform: Platform) -> None:
    store = waiting_for_pods(platform)
    lease = until(lambda: Lease.take(store.pk), "the lease to be free")
    # For as long as this may take on a busy machine: the platform's are for 2 seconds.
    Store.objects.filter(pk=store.pk).update(lease_until=Now() + timedelta(minutes=5))

    platform.devcluster.clear_situations()
    until(lambda: not platform.admin.not_ready(store.namespace), "the pods to be up")
    # They rang, somebody came, found it taken, and went.
    until(lambda: unanswered(store), "the watcher to ring")
    until(lambda: not tasks(), "the worker to come and go")
    assert Store.objects.get(pk=store.pk).status == Status.PROVISIONING

    lease.release(orderly=True)
    released = time.monotonic()
    platform.wait_for(store, Status.READY)
    assert time.monotonic() - released < 1


def test_ready_is_said_within_a_second_of_the_last_pod(platform: Platform) -> None:
    store = waiting_for_pods(platform)
    platform.devcluster.clear_situations()
    until(lambda: not platform.admin.not_ready(store.namespace), "the pods to be up")
    up = time.monotonic()
    platform.wait_for(store, Status.READY)
    assert time.monotonic() - up < 1


def unanswered(store: Store) -> int:
    return Store.objects.values_list("rings", flat=True).get(pk=store.pk)


def waiting_for_pods(platform: Platform) -> Store:
    """A store with everything installed and a shop that does not get up; nobody works on it."""
    store = platform.create()
    platform.devcluster.situation("unready", namespace=store.namespace)
    platform.wait_for_step(store, "wait_until_running", "waiting")
    # The database and the volumes ring too, when they are up.
    until(lambda: quiet(store), "everybody to have gone")
    return store


def quiet(store: Store) -> bool:
    """For a second no pass begins, and none is under way or wanted."""
    passes = Store.objects.get(pk=store.pk).fence
    time.sleep(1)
    free = Store.objects.filter(pk=store.pk, fence=passes, lease_until=None, rings=0)
    return free.exists() and not tasks()
