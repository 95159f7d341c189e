"""On the real control plane: what happens to shops reaches their rows, and what was taken is put back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from provisioning.tests.real_platform import TEST, OpenPlatform, Platform, until
from stores import services
from stores.audit import AuditEvent
from stores.lifecycle import Health, Status
from stores.models import Heartbeat, Operation, Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]

TICK_SECONDS = 1
# A tick, the repair with its Helm run, and a loaded machine.
REPAIR_SECONDS = 60


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    # No sweep: what is put right here is put right because the watch has seen it.
    with open_platform(
        TICK_SECONDS=TICK_SECONDS, SWEEP_SECONDS=3600, HEALTH_HOLD_SECONDS=1
    ) as opened:
        opened.start_worker()
        opened.start_watcher()
        yield opened


@pytest.fixture(scope="module")
def shop(platform: Platform) -> Store:
    store = platform.wait_for(platform.create(), Status.READY)
    until(lambda: Heartbeat.seen(Heartbeat.WATCHER), "the watcher to see")
    return store


def health_is(store: Store, health: Health) -> bool:
    store.refresh_from_db()
    return store.health == health


def test_pods_that_turn_unready_make_the_store_degraded_with_the_reason_and_healthy_again(
    platform: Platform, shop: Store
) -> None:
    labels = {"app.kubernetes.io/component": "web"}
    platform.devcluster.situation("unready", namespace=shop.namespace, labels=labels)
    platform.devcluster.kubectl(
        "delete", "pod", "--namespace", shop.namespace, "--selector=app.kubernetes.io/component=web"
    )
    until(lambda: health_is(shop, Health.DEGRADED), "the shop to be degraded")
    until(
        lambda: "does not answer the question" in Store.objects.get(pk=shop.pk).health_sentence,
        lambda: f"the reason; it says {Store.objects.get(pk=shop.pk).health_sentence}",
    )
    shop.refresh_from_db()
    assert shop.status == Status.READY
    assert shop.health_sentence.startswith("The shop does not serve since")
    until(lambda: told(shop, "degraded"), "the history to be told")

    platform.devcluster.clear_situations()
    until(lambda: health_is(shop, Health.HEALTHY), "the shop to be healthy again")
    until(lambda: told(shop, "healthy"), "the history to be told")
    assert shop.health_message == {}


def told(store: Store, health: str) -> bool:
    return AuditEvent.objects.filter(store=store, action=f"store.health_{health}").exists()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("networkpolicy", "store-default-deny"),
        ("resourcequota", "store-quota"),
        ("limitrange", "store-limits"),
        ("rolebinding", "storeyard-operator"),
        ("deployment", "store-web"),
        ("statefulset", "store-db"),
        ("service", "store-web"),
        ("networkpolicy", "store-web"),
    ],
)
def test_what_somebody_deletes_is_put_back_and_told(
    platform: Platform, shop: Store, kind: str, name: str
) -> None:
    before = uid(platform, kind, name, shop)
    password = secret(platform, shop)
    last = shop.operations.first()
    assert last is not None
    platform.devcluster.kubectl("delete", kind, name, "--namespace", shop.namespace, "--wait=false")
    operation = repaired(shop, last)
    assert uid(platform, kind, name, shop) not in ("", before)
    found = [
        (one["code"], one["params"]["kind"].lower(), one["params"]["name"])
        for one in operation.findings
    ]
    assert ("drift-missing", kind, name) in found
    assert operation.actor is None
    assert operation.steps.exists()
    asked = AuditEvent.objects.filter(store=shop, action="store.ask_repair").order_by("pk").last()
    assert asked is not None
    assert asked.actor_id is None
    assert secret(platform, shop) == password
    until(lambda: health_is(shop, Health.HEALTHY), "the shop to be healthy")


def repaired(store: Store, last: Operation) -> Operation:
    """The repair that came after ``last``, finished."""

    def finished() -> Operation | None:
        return (
            store.operations.filter(kind="repair", pk__gt=last.pk).exclude(finished_at=None).first()
        )

    operation: Operation = until(finished, "a repair", REPAIR_SECONDS)
    assert operation.outcome == "succeeded", operation.sentence
    store.refresh_from_db()
    assert store.status == Status.READY
    return operation


def uid(platform: Platform, kind: str, name: str, store: Store) -> str:
    return platform.devcluster.kubectl(
        "get", kind, name, "--namespace", store.namespace, "--ignore-not-found",
        "--output=jsonpath={.metadata.uid}",
    )  # fmt: skip


def secret(platform: Platform, store: Store) -> Any:
    text = platform.devcluster.kubectl(
        "get", "secret", "store-db", "--namespace", store.namespace, "--output=json"
    )
    return json.loads(text)["data"]


def test_labels_of_the_namespace_that_somebody_takes_away_are_put_back(
    platform: Platform, shop: Store
) -> None:
    last = shop.operations.first()
    assert last is not None
    platform.devcluster.kubectl(
        "label", "namespace", shop.namespace, "storeyard.dev/store-",
        "pod-security.kubernetes.io/enforce-",
    )  # fmt: skip
    repaired(shop, last)
    found = platform.admin.get("Namespace", shop.namespace)
    assert found is not None
    assert found["metadata"]["labels"]["storeyard.dev/store"] == str(shop.pk)
    assert found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert Store.objects.get(pk=shop.pk).health != Health.LOST


def test_a_rule_that_somebody_adds_to_the_base_policy_is_taken_away(
    platform: Platform, shop: Store
) -> None:
    last = shop.operations.first()
    assert last is not None
    platform.devcluster.kubectl(
        "patch", "networkpolicy", "store-default-deny", "--namespace", shop.namespace,
        "--type=merge", "--patch", json.dumps({"spec": {"ingress": [{}]}}),
    )  # fmt: skip
    repaired(shop, last)
    found = platform.admin.get("NetworkPolicy", "store-default-deny", shop.namespace)
    assert found is not None
    assert not found["spec"].get("ingress")


def test_a_shop_that_somebody_scales_away_is_brought_back(platform: Platform, shop: Store) -> None:
    last = shop.operations.first()
    assert last is not None
    platform.devcluster.kubectl(
        "scale", "deployment/store-web", "--replicas=0", "--namespace", shop.namespace
    )
    repaired(shop, last)
    found = platform.admin.get("Deployment", "store-web", shop.namespace)
    assert found is not None
    assert found["spec"]["replicas"] == 1
    # Once: what Helm left is what is wanted from then on.
    time.sleep(3 * TICK_SECONDS)
    assert shop.operations.filter(finished_at=None).count() == 0


def test_a_store_whose_disk_is_gone_is_lost_and_gets_no_empty_one(platform: Platform) -> None:
    store = platform.wait_for(platform.create(), Status.READY)
    kubectl = platform.devcluster.kubectl
    kubectl("delete", "pvc", "data-store-db-0", "--namespace", store.namespace, "--wait=false")
    # The claim goes when nobody uses it any more, and its StatefulSet makes an empty one then.
    kubectl("delete", "pod", "store-db-0", "--namespace", store.namespace)
    until(lambda: health_is(store, Health.LOST), "the store to be lost")
    assert store.status == Status.READY
    assert "data-store-db-0" in store.health_sentence
    assert store.operations.filter(kind="repair").count() == 0
    take_away(platform, store)


def test_a_store_whose_namespace_is_gone_is_lost_and_never_rebuilt(platform: Platform) -> None:
    store = platform.wait_for(platform.create(), Status.READY)
    platform.devcluster.kubectl("delete", "namespace", store.namespace)
    until(lambda: health_is(store, Health.LOST), "the store to be lost")
    assert (store.status, store.message) == (Status.READY, {})
    assert store.namespace in store.health_sentence
    time.sleep(3 * TICK_SECONDS)
    assert platform.admin.get("Namespace", store.namespace) is None
    assert store.operations.filter(kind="repair").count() == 0
    take_away(platform, store)


def take_away(platform: Platform, store: Store) -> None:
    services.delete_store(store, actor=TEST, now=True)
    platform.wait_for(store, Status.DELETED)
