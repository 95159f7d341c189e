"""The grace period and the receipt, on the real control plane."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioning.engines import RELEASE_NAME
from provisioning.tests.real_checks import passwords, release_record, volumes_of
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform, until
from stores import services
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    with open_platform(MAX_STORES_STARTING=3, GRACE_SECONDS=600) as opened:
        opened.start_worker()
        opened.start_watcher()
        yield opened


@pytest.fixture
def closed(platform: Platform, settings) -> Store:
    settings.GRACE_SECONDS = 600
    store = platform.create()
    platform.wait_for(store, Status.READY)
    assert platform.admin.routes(store.namespace) == ["store-web"]
    services.delete_store(store, actor=TEST)
    until(lambda: not platform.admin.routes(store.namespace), "the shop to be closed")
    platform.wait_for_step(store, "close_storefront", "done")
    return platform.wait_for(store, Status.CLOSING)


def pods(platform: Platform, store: Store) -> dict[str, str]:
    """The shop's own: name to uid."""
    found = platform.admin.api.objects("Pod", store.namespace)
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"]
        for pod in found
        if pod["status"]["phase"] == "Running"
    }


def policies(platform: Platform, store: Store) -> set[str]:
    found = platform.admin.api.objects("NetworkPolicy", store.namespace)
    return {policy["metadata"]["name"] for policy in found}


def test_a_closed_shop_is_unreachable_and_whole_and_comes_back_as_it_was(
    platform: Platform, closed: Store
) -> None:
    # Neither an address nor the network's leave to come in.
    assert "store-web" not in policies(platform, closed)
    assert "store-default-deny" in policies(platform, closed)
    running, secrets, disks = (
        pods(platform, closed),
        passwords(platform.admin, closed),
        {volume["metadata"]["uid"] for volume in volumes_of(platform.admin, closed)},
    )
    assert {name.rsplit("-", 2)[0] for name in running} >= {"store-web"}
    services.undo_delete(closed, actor=TEST)
    platform.wait_for(closed, Status.READY)
    assert platform.admin.routes(closed.namespace) == ["store-web"]
    assert "store-web" in policies(platform, closed)
    assert passwords(platform.admin, closed) == secrets
    assert {volume["metadata"]["uid"] for volume in volumes_of(platform.admin, closed)} == disks
    assert pods(platform, closed)["store-db-0"] == running["store-db-0"]
    assert list(platform.admin.revisions(RELEASE_NAME, closed.namespace).values()).count(
        "deployed"
    ) == 1  # fmt: skip


def test_at_its_end_everything_is_gone_and_the_receipt_says_so(
    platform: Platform, closed: Store
) -> None:
    manifest = release_record(platform.admin, closed)["manifest"]
    made = {
        line.removeprefix("  name: ").strip('"')
        for line in manifest.splitlines()
        if line.startswith("  name: ")
    }
    services.delete_store(closed, actor=TEST, now=True)
    platform.wait_for(closed, Status.DELETED)
    operation = closed.operations.first()
    assert operation is not None
    items = operation.receipt["items"]
    assert made <= {item["name"] for item in items}
    assert {"store-db", "store-wordpress"} <= {
        item["name"] for item in items if item["kind"] == "Secret"
    }
    assert len([item for item in items if item["kind"] == "PersistentVolume"]) == 2
    assert all(item["gone"] and item["uid"] for item in items)
    for item in items:
        found = platform.admin.get(item["kind"], item["name"], item["namespace"])
        assert found is None, item
