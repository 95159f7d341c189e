"""Deleting a store in any state, and at the worst moments: in the end nothing of it is left."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.db.models.functions import Now

from provisioning.tests.real_checks import (
    changes_since,
    namespace_uid,
    namespaces_of,
    version_now,
    volumes_of,
)
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform, until
from stores import queue, services
from stores.errors import QuotaExceeded
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    """One store at a time may start: the next one waits in line."""
    with open_platform(MAX_STORES_STARTING=1) as opened:
        opened.start_worker()
        opened.start_watcher()
        yield opened
        opened.devcluster.clear_situations()


def delete(platform: Platform, store: Store) -> None:
    services.delete_store(store, actor=TEST)
    assert_gone(platform, platform.wait_for(store, Status.DELETED))


def assert_gone(platform: Platform, store: Store) -> None:
    """Nothing is left in the cluster, and the row is kept."""
    assert namespaces_of(platform.admin, store) == []
    assert platform.admin.get("Namespace", store.namespace) is None
    assert platform.admin.api.objects("Secret", store.namespace) == []
    assert volumes_of(platform.admin, store) == []
    assert store.deleted_at is not None
    assert (store.slot, store.operations.open().count()) == (None, 0)
    assert store.audit_events.filter(action="store.deleted").count() == 1


def starting(platform: Platform) -> Store:
    """A store with everything installed whose pods do not get up."""
    store = platform.create()
    platform.devcluster.situation("unready", namespace=store.namespace)
    platform.wait_for_step(store, "wait_until_running", "waiting")
    return store


def test_a_store_in_line_and_one_half_made_can_be_deleted(platform: Platform) -> None:
    since = version_now(platform.admin)
    half_made = starting(platform)
    in_line = platform.create()
    until(lambda: Store.objects.get(pk=in_line.pk).message, "the second one to wait in line")
    assert Store.objects.get(pk=in_line.pk).status == Status.REQUESTED

    delete(platform, in_line)
    changes = changes_since(platform.admin, "Namespace", since)
    assert in_line.namespace not in [item["metadata"]["name"] for _, _, item in changes]

    assert namespace_uid(platform.admin, half_made)
    delete(platform, half_made)


def test_a_store_can_be_deleted_while_helm_installs_it(platform: Platform) -> None:
    with platform.helm_held():
        store = platform.create()
        until(lambda: platform.helm_runs(store.namespace), "Helm to run")
        # Helm is still held: whoever waits for it is told to stop it.
        delete(platform, store)
    assert not [run for run in platform.helm_runs(store.namespace) if "uninstall" in run]


def test_a_failed_store_can_be_deleted(platform: Platform) -> None:
    store = starting(platform)
    Store.objects.filter(pk=store.pk).update(deadline_at=Now() - timedelta(seconds=1))
    queue.ring(store.pk)
    platform.wait_for(store, Status.FAILED)
    delete(platform, store)


def test_the_place_in_the_quota_is_free_only_when_everything_is_gone(platform: Platform) -> None:
    bob = platform.bob
    services.set_quota(bob, 1, actor=TEST)
    store = platform.create(owner=bob)
    platform.wait_for(store, Status.READY)
    assert len(volumes_of(platform.admin, store)) == 2

    with kept_terminating(platform, store):
        services.delete_store(store, actor=TEST)
        platform.wait_for_step(store, "wait_until_gone", "waiting")
        store.refresh_from_db()
        assert store.status == Status.DELETING
        with pytest.raises(QuotaExceeded, match="1 of 1"):
            platform.create(owner=bob)

    assert_gone(platform, platform.wait_for(store, Status.DELETED))
    assert [run.split()[0] for run in platform.helm_runs(store.namespace)] == [
        "upgrade",
        "uninstall",
    ]
    again = platform.create(owner=bob)
    assert again.slot == 0
    delete(platform, again)


def test_a_namespace_that_is_going_already_is_not_uninstalled(platform: Platform) -> None:
    store = platform.create()
    platform.wait_for(store, Status.READY)
    runs = platform.helm_runs(store.namespace)

    with kept_terminating(platform, store):
        platform.admin.delete("Namespace", store.namespace)
        services.delete_store(store, actor=TEST)
        platform.wait_for_step(store, "wait_until_gone", "waiting")
        uninstall = store.operations.first().steps.get(name="uninstall_release")
        assert (uninstall.outcome, uninstall.message["code"]) == ("skipped", "release-absent")

    assert_gone(platform, platform.wait_for(store, Status.DELETED))
    assert platform.helm_runs(store.namespace) == runs


@contextmanager
def kept_terminating(platform: Platform, store: Store) -> Iterator[None]:
    """Meanwhile the store's namespace can begin to go, and does not get to the end."""
    holder = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "holder",
            "namespace": store.namespace,
            "finalizers": ["example.com/held"],
        },
    }
    platform.admin.create(holder)
    try:
        yield
    finally:
        platform.devcluster.kubectl(
            "patch", "configmap", "holder", "--namespace", store.namespace,
            "--type", "merge", "--patch", '{"metadata": {"finalizers": null}}',
        )  # fmt: skip


def test_a_worker_paused_before_it_makes_the_namespace_resurrects_nothing(
    open_platform: OpenPlatform,
) -> None:
    with open_platform(LEASE_SECONDS=3) as platform:
        moments = {
            str(platform.create().pk): moment
            for moment in ("paused_before_the_namespace", "paused_and_killed")
        }
        tasks = [{"store": pk, "moment": moment} for pk, moment in moments.items()]
        late = platform.start(
            "-m", "provisioning.tests.real_killed_worker", json.dumps(tasks), log="late"
        )
        until(lambda: late.said.count("\n") or late.ended, "the late workers to start")
        pids = json.loads(late.said.splitlines()[0])
        until(lambda: all(state_of(pid) == "T" for pid in pids.values()), "them to be paused")

        platform.start_worker()
        platform.start_watcher()
        stores = list(Store.objects.all())
        for store in stores:
            services.delete_store(store, actor=TEST)
        for store in stores:
            assert_gone(platform, platform.wait_for(store, Status.DELETED))

        since = version_now(platform.admin)
        for pid in pids.values():
            os.kill(pid, signal.SIGCONT)
        assert late.wait() == 0
        assert json.loads(late.said.splitlines()[-1]) == {
            pk: -9 if moment == "paused_and_killed" else 0 for pk, moment in moments.items()
        }
        made = [
            item["metadata"]["name"]
            for _, change, item in changes_since(platform.admin, "Namespace", since)
            if change == "ADDED"
        ]
        assert sorted(made) == sorted(store.namespace for store in stores), "they came too early"
        # The one that was killed could not take its namespace back: the clock's sweep does.
        for store in stores:
            until(lambda store=store: not namespaces_of(platform.admin, store), "it to be gone")
            assert Store.objects.get(pk=store.pk).status == Status.DELETED


def state_of(pid: int) -> str:
    """R, S, T (stopped), … as in /proc."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
