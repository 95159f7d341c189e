"""Helm is killed, told to end or stopped in the middle of its work, and its word is not true.

Whatever record it leaves behind, the store heals itself: a shop that was running is never uninstalled,
one revision is deployed in the end, and the passwords stay.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devcluster import Proxy
from devcluster.faults import answered
from provisioning.cluster.api import path_of
from provisioning.tests.real_checks import helm_processes, namespaces_of, passwords
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform, until
from stores import services
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]

LEASE_SECONDS = 3
Struck = Callable[[], int]
# What happens to which Helm when which revision's record appears, and what that leaves behind.
INSTALLS = {"killed": "KILL", "told-to-end": "TERM"}
UPGRADES = {
    "killed": [("upgrade", "KILL", 2)],
    "told-to-end": [("upgrade", "TERM", 2)],
    "stopped-for-a-while": [("upgrade", "DELAY", 2)],
    # The second one is the rollback that mends what the first one left.
    "killed-in-the-rollback": [("upgrade", "KILL", 2), ("rollback", "KILL", 3)],
}
DELETIONS = {"killed": "KILL", "told-to-end": "TERM"}


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    with open_platform(
        LEASE_SECONDS=LEASE_SECONDS,
        RETRY_SECONDS="0.5,1,2",
        MAX_STORES_STARTING=20,
        GRACE_SECONDS=0,
    ) as opened:
        yield opened


def record(store: Store, revision: int) -> str:
    return path_of("Secret", f"sh.helm.release.v1.store.v{revision}", store.namespace)


def assert_whole(platform: Platform, store: Store, before: dict[str, Any] | None = None) -> None:
    """Ready, with one release, and with the passwords it had."""
    assert store.status == Status.READY, store.sentence
    states = list(platform.admin.revisions("store", store.namespace).values())
    assert states.count("deployed") == 1, states
    assert set(states) <= {"deployed", "superseded", "failed"}, states
    assert len(passwords(platform.admin, store)) == 2
    assert passwords(platform.admin, store) == (before or passwords(platform.admin, store))
    assert helm_processes(store.namespace) == []


@pytest.fixture(scope="module")
def installed(platform: Platform) -> dict[str, tuple[Store, Struck]]:
    """New stores, one for each thing that can happen to the Helm that installs it."""
    made = {name: platform.create() for name in INSTALLS}
    struck = {
        name: platform.strike_helm("upgrade", made[name], does, record(made[name], 1))
        for name, does in INSTALLS.items()
    }
    platform.start_worker()
    platform.start_watcher()
    for store in made.values():
        platform.wait_for(store, Status.READY, Status.FAILED)
    return {name: (store, struck[name]) for name, store in made.items()}


@pytest.fixture(scope="module")
def ready(platform: Platform, installed: dict[str, Any]) -> Callable[[], Store]:
    """Gives out stores that are ready, made all at once."""
    wanted = len(UPGRADES) + len(DELETIONS) + 2
    stores = [platform.create() for _ in range(wanted)]
    for store in stores:
        platform.wait_for(store, Status.READY)
    return iter(stores).__next__


@pytest.mark.parametrize("name", INSTALLS)
def test_a_store_gets_ready_although_the_helm_that_installed_it_was(
    platform: Platform, installed: dict[str, tuple[Store, Struck]], name: str
) -> None:
    store, struck = installed[name]
    assert struck(), "nothing happened to Helm"
    assert_whole(platform, store)
    assert len(platform.helm_runs(store.namespace)) > 1


@pytest.fixture(scope="module")
def upgraded(platform: Platform, ready: Callable[[], Store]) -> dict[str, tuple]:
    """All at once: (store, what struck, Secrets and uid of the shop's Deployment before)."""
    found = {}
    for name, strikes in UPGRADES.items():
        store = ready()
        before = passwords(platform.admin, store), uid_of_the_shop(platform, store)
        struck = [
            platform.strike_helm(command, store, does, record(store, revision), seconds=2)
            for command, does, revision in strikes
        ]
        platform.outdate(store)
        services.refresh_store(store, actor=TEST)
        found[name] = store, struck, before
    for store, _, _ in found.values():
        platform.wait_for(store, Status.READY, Status.FAILED)
    return found


def uid_of_the_shop(platform: Platform, store: Store) -> str:
    found = platform.admin.get("Deployment", "store-web", store.namespace)
    return str(found and found["metadata"]["uid"])


@pytest.mark.parametrize("name", UPGRADES)
def test_a_running_shop_is_kept_although_the_helm_that_upgraded_it_was(
    platform: Platform, upgraded: dict[str, tuple], name: str
) -> None:
    store, struck, (secrets, shop) = upgraded[name]
    assert all(one() for one in struck), "nothing happened to Helm"
    assert_whole(platform, store, secrets)
    assert uid_of_the_shop(platform, store) == shop
    assert not [run for run in platform.helm_runs(store.namespace) if run.startswith("uninstall")]


@pytest.fixture(scope="module")
def deleted(platform: Platform, ready: Callable[[], Store]) -> dict[str, tuple[Store, Struck]]:
    """Its Helm is struck when the first object is gone and many are not."""
    found = {}
    for name, does in DELETIONS.items():
        store = ready()
        ingress = path_of("Ingress", "store-web", store.namespace)
        found[name] = store, platform.strike_helm("uninstall", store, does, ingress, gone=True)
        services.delete_store(store, actor=TEST, now=True)
    for store, _ in found.values():
        platform.wait_for(store, Status.DELETED)
    return found


@pytest.mark.parametrize("name", DELETIONS)
def test_a_store_is_gone_although_the_helm_that_uninstalled_it_was(
    platform: Platform, deleted: dict[str, tuple[Store, Struck]], name: str
) -> None:
    store, struck = deleted[name]
    assert struck(), "nothing happened to Helm"
    assert namespaces_of(platform.admin, store) == []


def test_a_helm_that_outlives_its_worker_does_nothing_while_another_one_works(
    platform: Platform, ready: Callable[[], Store]
) -> None:
    """It was stopped when its worker was killed, so that it did not even hear of it."""
    store = ready()
    before = passwords(platform.admin, store), uid_of_the_shop(platform, store)
    struck = platform.strike_helm("upgrade", store, "STOP", record(store, 2))
    platform.outdate(store)
    services.refresh_store(store, actor=TEST)
    orphan = until(struck, "Helm to be stopped")
    platform.kill_all()
    platform.start_worker()
    platform.start_watcher()
    platform.wait_for(store, Status.READY, Status.FAILED)
    if alive(orphan):
        os.kill(orphan, signal.SIGCONT)
    until(lambda: not alive(orphan), "the orphan to end")
    time.sleep(0.5)
    assert_whole(platform, store, before[0])
    assert uid_of_the_shop(platform, store) == before[1]


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return bool(file.read())
    except OSError:
        return False


def test_helms_word_that_all_is_well_is_not_believed(
    platform: Platform, ready: Callable[[], Store]
) -> None:
    """It ends with 0 although the API server did not take the record that says deployed."""
    with platform.devcluster.proxy() as proxy:
        platform.kill_all()
        platform.start_worker(STOREYARD_KUBECONFIG=proxy.kubeconfig)
        platform.start_watcher()
        store = ready()
        before = passwords(platform.admin, store), uid_of_the_shop(platform, store)
        new = platform.create()
        lost = [refuse_last_record(proxy, store, 2), refuse_last_record(proxy, new, 1)]
        platform.outdate(store)
        services.refresh_store(store, actor=TEST)
        for one in (store, new):
            platform.wait_for(one, Status.READY, Status.FAILED)
        assert all(rule.seen for rule in lost)
        assert_whole(platform, store, before[0])
        assert uid_of_the_shop(platform, store) == before[1]
        assert_whole(platform, new)


def refuse_last_record(proxy: Proxy, store: Store, revision: int) -> Any:
    """Once: the PUT of a new revision's record is the one that would say that it is in place."""
    return proxy.rule(answered(500), verb="PUT", path=record(store, revision), nth=1)
