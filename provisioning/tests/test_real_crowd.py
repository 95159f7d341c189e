"""Many stores at once: all become READY, no worker is held by one, and owners take turns."""

from __future__ import annotations

import pytest

from provisioning.tests.real_platform import OpenPlatform, Platform, until
from stores.lifecycle import Status
from stores.models import OperationStep, Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]

WORKERS = 2
STARTING = 5
READY_AFTER = "3s"


def test_twenty_stores_at_once_all_become_ready(open_platform: OpenPlatform) -> None:
    with open_platform(WORKERS=WORKERS, MAX_STORES_STARTING=STARTING, TICK_SECONDS=600) as platform:
        platform.devcluster.set_ready_after(READY_AFTER)
        batch = [platform.create(f"Batch {number}") for number in range(19)]
        last = platform.create("Bob’s only one", owner=platform.bob)
        platform.start_worker()
        platform.start_watcher()
        try:
            seen = watch_until_all_are_settled(len(batch) + 1)
        finally:
            platform.devcluster.set_ready_after("1s")

        assert set(Store.objects.values_list("status", flat=True)) == {Status.READY}
        assert set(Store.objects.values_list("attempts", flat=True)) == {0}
        assert max(seen["starting"]) == STARTING, "as many as the setting says, and no more"
        # Stores whose pods are starting: more than there are workers, so none is held by them.
        assert max(seen["waiting for pods"]) > WORKERS
        assert max(seen["held"]) <= WORKERS
        last.refresh_from_db()
        before = Store.objects.filter(owner=platform.alice, ready_at__lt=last.ready_at).count()
        assert before <= 2 * STARTING, f"{before} stores of the batch came before the other owner's"
        assert_each_was_installed_once(platform)


def watch_until_all_are_settled(number: int) -> dict[str, list[int]]:
    """How many stores were starting, waiting for pods, and held by a worker, at each look."""
    seen: dict[str, list[int]] = {"starting": [], "waiting for pods": [], "held": []}

    def look() -> bool:
        seen["starting"].append(Store.objects.starting().count())
        seen["held"].append(Store.objects.exclude(lease_owner="").count())
        seen["waiting for pods"].append(
            OperationStep.objects.filter(
                name="wait_until_running", outcome=OperationStep.Outcome.WAITING
            ).count()
        )
        settled = Store.objects.filter(status__in=[Status.READY, Status.FAILED]).count()
        return settled == number

    until(look, "all stores to be settled", seconds=240)
    return seen


def assert_each_was_installed_once(platform: Platform) -> None:
    runs = platform.helm_runs()
    assert len(runs) == Store.objects.count()
    assert all(run.startswith("upgrade") for run in runs)
