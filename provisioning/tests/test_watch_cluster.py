"""The watcher rings whom a change concerns, and nobody else."""

import pytest
from django.apps import apps
from django.db.models.functions import Now

from provisioning.cluster.base import Change
from provisioning.watcher import ring
from stores.lifecycle import Status
from stores.models import Store


@pytest.fixture(autouse=True)
def empty_queue(store) -> None:
    apps.get_model("django_q", "OrmQ").objects.all().delete()


def queued() -> int:
    return apps.get_model("django_q", "OrmQ").objects.count()


def test_a_change_of_a_store_that_is_being_worked_on_rings_it(store):
    ring(Change(str(store.pk), "Deployment", "store-web"))
    assert queued() == 1
    assert Store.objects.get(pk=store.pk).rings == store.rings + 1


@pytest.mark.parametrize("status", [Status.READY, Status.FAILED])
def test_a_change_of_a_settled_store_rings_nobody(store, status):
    Store.objects.update(status=status)
    store.operations.update(finished_at=Now(), outcome="succeeded")
    ring(Change(str(store.pk), "Deployment", "store-web"))
    assert queued() == 0


def test_a_change_of_a_ready_store_that_is_being_repaired_rings_it(store):
    Store.objects.update(status=Status.READY)
    assert store.operations.open().exists()
    ring(Change(str(store.pk), "Deployment", "store-web"))
    assert queued() == 1


def test_after_an_interruption_everyone_unsettled_is_rung(store):
    ring(Change(""))
    assert queued() == 1


@pytest.mark.parametrize("label", ["not-a-uuid", "00000000-0000-0000-0000-000000000000", "x" * 63])
def test_a_label_that_is_no_store_of_ours_rings_nobody_and_breaks_nothing(store, label):
    ring(Change(label, "Deployment", "stranger"))
    assert queued() == 0
