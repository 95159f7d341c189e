"""The checker on a real control plane: what only a real one writes down, and a platform at work."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta

import pytest

from provisioning import invariants, manifests
from provisioning.tests.real_checks import check_invariants
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform, until
from stores import services
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    with open_platform() as opened:
        opened.start_worker()
        opened.start_watcher()
        yield opened


def test_at_no_moment_of_a_life_is_a_store_in_work_a_violation(platform: Platform) -> None:
    store = platform.create()
    looks = watched_until(platform, store, Status.READY)
    check_invariants(platform, settled=True)
    services.delete_store(store, actor=TEST)
    looks += watched_until(platform, store, Status.DELETED)
    check_invariants(platform, settled=True)
    assert looks > 5


def watched_until(platform: Platform, store: Store, status: Status) -> int:
    """How often it was looked at on the way there; each time all was well."""
    looks = 0

    def there() -> bool:
        nonlocal looks
        looks += 1
        check_invariants(platform)
        return Store.objects.get(pk=store.pk).status == status

    until(there, f"{store} to be {status}")
    return looks


def test_a_password_changed_by_hand_is_seen_by_the_time_the_api_server_wrote_down(
    platform: Platform,
) -> None:
    store = platform.create()
    platform.wait_for(store, Status.READY)
    kubectl = platform.devcluster.kubectl
    # The times are whole seconds, and clocks may differ by some.
    until(lambda: age_of_secret(platform, store) > invariants.SKEW.total_seconds() + 1, "a while")
    kubectl("label", "secret", "store-db", "note=seen", "--namespace", store.namespace)
    check_invariants(platform)
    content = {"data": {"password": base64.b64encode(b"another").decode()}}
    kubectl(
        "patch", "secret", "store-db", "--namespace", store.namespace,
        "--patch", json.dumps(content),
    )  # fmt: skip
    with pytest.raises(AssertionError) as found:
        check_invariants(platform)
    [violation] = str(found.value).splitlines()[:1]
    assert violation.startswith("I6: ") and "store-db was changed" in violation
    kubectl("annotate", "secret", "store-db", "--namespace", store.namespace,
            f"{manifests.RESTORED}=by the test")  # fmt: skip
    check_invariants(platform)


def age_of_secret(platform: Platform, store: Store) -> float:
    secret = platform.admin.get("Secret", "store-db", store.namespace)
    assert secret
    return (platform.admin.now() - invariants.created(secret)).total_seconds()


def test_the_worker_may_look_itself(platform: Platform) -> None:
    """With the rights that it has on a live system, Secrets included."""
    store = platform.create()
    platform.wait_for(store, Status.READY)
    mine = [said for said in invariants.check(platform.cluster) if store.namespace in said]
    assert mine == []
    Store.objects.filter(pk=store.pk).update(ready_at=store.ready_at - timedelta(days=1))
    mine = [said for said in invariants.check(platform.cluster) if store.namespace in said]
    assert len(mine) == 1 and mine[0].startswith("I12: ")
    Store.objects.filter(pk=store.pk).update(ready_at=store.ready_at)
