"""A store on its way out: closed first, to be had back for a while, then gone, with the proof."""

import hashlib
import json
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from provisioning import receipts, runner, steps
from provisioning.engines import RELEASE_NAME
from provisioning.errors import NotYet
from provisioning.tests.conftest import deliver
from provisioning.tests.test_runner import passwords
from stores import audit
from stores.errors import IllegalTransition, QuotaExceeded, Refused
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import AuditEvent, Operation, Store
from stores.services import create_store, delete_store, release_slot, undo_delete


@pytest.fixture(autouse=True)
def grace(settings) -> None:
    settings.GRACE_SECONDS = 600


@pytest.fixture
def ready(store, work) -> Store:
    work(store)
    assert store.status == Status.READY
    return store


def time_is_up(store: Store) -> None:
    past = Now() - timedelta(seconds=1)
    Store.objects.filter(pk=store.pk).update(closes_at=past, due_at=past)


def close(store: Store, actor, cluster) -> None:
    delete_store(store, actor=actor)
    deliver(cluster)
    store.refresh_from_db()


def test_a_store_that_is_deleted_is_closed_first_and_nothing_is_destroyed(ready, as_alice, cluster):
    before = passwords(cluster, ready)
    assert cluster.routes(ready.namespace) == ["store-web"]
    close(ready, as_alice, cluster)
    assert ready.status == Status.CLOSING
    assert cluster.routes(ready.namespace) == []
    assert passwords(cluster, ready) == before
    assert cluster.get("Deployment", "store-web", ready.namespace) is not None
    assert "nothing is destroyed" in ready.sentence
    assert ready.due_at == ready.closes_at


def test_while_it_is_closed_passes_leave_it_as_it_is(ready, as_alice, cluster):
    close(ready, as_alice, cluster)
    inventory = cluster.inventory(ready.namespace, ready.namespace_uid)
    runner.converge(ready.pk, cluster)
    ready.refresh_from_db()
    assert ready.status == Status.CLOSING
    assert cluster.inventory(ready.namespace, ready.namespace_uid) == inventory


def test_a_store_that_is_wanted_back_is_reached_again_with_the_same_passwords(
    ready, as_alice, cluster, work
):
    before = passwords(cluster, ready)
    close(ready, as_alice, cluster)
    undo_delete(ready, actor=as_alice)
    work(ready)
    assert ready.status == Status.READY
    assert cluster.routes(ready.namespace) == ["store-web"]
    assert passwords(cluster, ready) == before
    kinds = list(ready.operations.values_list("kind", "outcome"))
    assert kinds == [("undo", "succeeded"), ("delete", "superseded"), ("create", "succeeded")]


@pytest.mark.parametrize("at_once", [False, True], ids=["closed", "deleted"])
def test_a_namespace_that_somebody_put_in_the_place_of_ours_is_left_alone(
    ready, as_alice, cluster, work, at_once
):
    """From a backup, say: with our labels, our binding and a release of that name in it."""
    Store.objects.filter(pk=ready.pk).update(namespace_uid="the-one-that-is-gone")
    before = cluster.contents(ready.namespace, ("Secret", "Ingress", "Deployment"))
    delete_store(ready, actor=as_alice, now=at_once)
    deliver(cluster)
    assert cluster.contents(ready.namespace, ("Secret", "Ingress", "Deployment")) == before
    assert "deletionTimestamp" not in cluster.get("Namespace", ready.namespace)["metadata"]


def test_when_the_time_is_up_everything_goes(ready, as_alice, cluster, work):
    close(ready, as_alice, cluster)
    time_is_up(ready)
    runner.reconcile()
    work(ready)
    assert ready.status == Status.DELETED
    assert cluster.get("Namespace", ready.namespace) is None
    steps_taken = list(ready.operations.first().steps.values_list("name", flat=True))
    assert steps_taken == [step.__name__ for step in (*steps.CLOSE, *steps.TEAR_DOWN)]


def test_the_grace_period_can_be_skipped_at_once_and_later(ready, as_alice, cluster, work, alice):
    close(ready, as_alice, cluster)
    delete_store(ready, actor=as_alice)
    assert ready.status == Status.CLOSING
    delete_store(ready, actor=as_alice, now=True)
    assert ready.status == Status.DELETING
    work(ready)
    assert ready.status == Status.DELETED
    assert ready.operations.filter(kind="delete").count() == 1
    other = create_store(actor=as_alice, owner=alice, name="Other", address="other")
    delete_store(other, actor=as_alice, now=True)
    assert other.status == Status.DELETING


@pytest.mark.parametrize("status", [Status.REQUESTED, Status.READY, Status.FAILED, Status.DELETING])
def test_only_what_is_being_closed_can_be_had_back(store, as_alice, status):
    Store.objects.filter(pk=store.pk).update(status=status)
    with pytest.raises(IllegalTransition, match="had back"):
        undo_delete(store, actor=as_alice)


def test_a_store_that_never_was_ready_can_be_had_back_too(store, as_alice, cluster, work):
    deliver(cluster, limit=1)
    close(store, as_alice, cluster)
    assert store.status == Status.CLOSING
    assert store.operations.first().steps.get(name="close_storefront").outcome == "skipped"
    undo_delete(store, actor=as_alice)
    work(store)
    assert store.status == Status.READY


# --- The receipt -------------------------------------------------------------------------


def test_the_receipt_names_everything_there_was_and_stands_in_the_audit_trail(
    ready, as_alice, cluster, work
):
    was_there = {(item["kind"], item["name"]) for item in
                 cluster.inventory(ready.namespace, ready.namespace_uid)}  # fmt: skip
    delete_store(ready, actor=as_alice, now=True)
    work(ready)
    receipt = ready.operations.first().receipt
    assert {(item["kind"], item["name"]) for item in receipt["items"]} == was_there
    assert ("Secret", "store-db") in was_there
    assert all(item["gone"] for item in receipt["items"])
    text = json.dumps(receipt["items"], sort_keys=True, separators=(",", ":"))
    assert receipt["hash"] == hashlib.sha256(text.encode()).hexdigest()
    event = AuditEvent.objects.get(action="store.deleted")
    assert event.details["receipt"] == receipt["hash"]
    assert audit.verify() == ""


def test_what_was_there_is_written_down_before_anything_is_destroyed(
    ready, as_alice, cluster, monkeypatch
):
    delete_store(ready, actor=as_alice, now=True)
    seen = []

    def uninstall(*args, **kwargs) -> None:
        seen.append(len(Operation.objects.get(kind="delete").inventory))
        raise SystemExit

    monkeypatch.setattr(cluster, "uninstall_release", uninstall)
    with pytest.raises(SystemExit):
        runner.converge(ready.pk, cluster)
    assert seen[0] > 8


def test_a_second_pass_keeps_the_first_inventory(ready, as_alice, cluster, clock):
    delete_store(ready, actor=as_alice, now=True)
    deliver(cluster, limit=1)
    first = ready.operations.first().inventory
    runner.converge(ready.pk, cluster)
    assert ready.operations.first().inventory == first


def test_a_store_of_which_something_is_still_there_is_not_deleted(ready, cluster):
    inventory = cluster.inventory(ready.namespace, ready.namespace_uid)
    with pytest.raises(NotYet, match="is not gone yet"):
        receipts.of(inventory, cluster)


def test_another_object_of_the_same_name_is_none_of_ours(ready, cluster):
    inventory = cluster.inventory(ready.namespace, ready.namespace_uid)
    others = [{**item, "uid": "another"} for item in inventory]
    assert all("gone" in item for item in receipts.of(others, cluster)["items"])


def test_a_disk_that_its_storage_class_keeps_is_named_as_kept(ready, as_alice, cluster, work):
    volume = next(item for item in cluster.inventory(ready.namespace, ready.namespace_uid)
                  if item["kind"] == "PersistentVolume")  # fmt: skip
    with cluster.file.writing() as objects:
        stored = objects.find("PersistentVolume", volume["name"])
        stored.body["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
        objects.save(stored)
    delete_store(ready, actor=as_alice, now=True)
    work(ready)
    assert ready.status == Status.DELETED
    assert receipts.kept(ready.operations.first().receipt) == [volume["name"]]


def test_a_disk_that_somebody_decides_to_keep_meanwhile_does_not_hold_the_deletion_up(
    ready, cluster
):
    inventory = cluster.inventory(ready.namespace, ready.namespace_uid)
    [disk, *_] = [item for item in inventory if item["kind"] == "PersistentVolume"]
    with cluster.file.writing() as objects:
        stored = objects.find("PersistentVolume", disk["name"])
        stored.body["spec"]["persistentVolumeReclaimPolicy"] = "Retain"
        objects.save(stored)
    receipt = receipts.of([disk], cluster)
    assert receipts.kept(receipt) == [disk["name"]]


def test_a_disk_that_we_may_not_see_is_not_taken_for_gone(ready, cluster, monkeypatch):
    inventory = cluster.inventory(ready.namespace, ready.namespace_uid)

    def refuse(*args):
        raise NotYet(Message("access-pending"))

    monkeypatch.setattr(cluster, "get", refuse)
    with pytest.raises(NotYet):
        receipts.of([item for item in inventory if not item["namespace"]], cluster)


def test_a_store_without_a_namespace_has_an_empty_receipt(store, as_alice, work):
    delete_store(store, actor=as_alice, now=True)
    work(store)
    assert store.status == Status.DELETED
    assert store.operations.first().receipt["items"] == []


# --- A removal that hangs ----------------------------------------------------------------


def test_support_releases_the_place_of_a_store_that_hangs_and_the_rest_goes_on(
    alice, as_alice, as_carol, cluster, work
):
    alice.max_stores = 1
    alice.save()
    hanging = create_store(actor=as_alice, owner=alice, name="stuck-delete", address="stuck")
    work(hanging)
    delete_store(hanging, actor=as_alice, now=True)
    deliver(cluster)
    with pytest.raises(QuotaExceeded):
        create_store(actor=as_alice, owner=alice, name="Next", address="next")
    release_slot(hanging, "a finalizer of the backup add-on", actor=as_carol)
    create_store(actor=as_alice, owner=alice, name="Next", address="next")
    hanging.refresh_from_db()
    assert hanging.status == Status.DELETING
    assert hanging in Store.objects.existing()
    event = AuditEvent.objects.get(action="store.release_slot")
    assert event.details["reason"] == "a finalizer of the backup add-on"
    assert event.actor is not None and event.actor.username == "carol"
    work(hanging)
    assert hanging.status == Status.DELETED


def test_a_place_is_released_only_once_only_while_deleting_and_only_with_a_reason(
    ready, as_alice, as_carol
):
    with pytest.raises(IllegalTransition):
        release_slot(ready, "because", actor=as_carol)
    delete_store(ready, actor=as_alice, now=True)
    with pytest.raises(Refused, match="Give a reason"):
        release_slot(ready, "  ", actor=as_carol)
    release_slot(ready, "because", actor=as_carol)
    with pytest.raises(IllegalTransition):
        release_slot(ready, "because", actor=as_carol)


def test_a_chart_whose_last_words_hang_is_uninstalled_without_them(monkeypatch, tmp_path):
    from provisioning.cluster.helm import Helm
    from provisioning.cluster.kubernetes import KubernetesCluster

    calls = []

    def uninstall(self, name, namespace, beat, *, hooks=False) -> None:
        calls.append(hooks)
        if hooks:
            raise NotYet(Message("busy"))

    monkeypatch.setattr(Helm, "uninstall", uninstall)
    cluster = KubernetesCluster(None, Helm("helm", "", 1), name="x", routes_traffic=False)
    monkeypatch.setattr(cluster, "get", lambda *args: {"metadata": {}})
    monkeypatch.setattr(cluster, "revisions", lambda *args: {1: "deployed"})
    cluster.uninstall_release(RELEASE_NAME, "store-x")
    assert calls == [True, False]
