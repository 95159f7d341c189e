"""One holder at a time, by the database's clock; who comes late changes nothing."""

from datetime import timedelta

import pytest
from django.apps import apps
from django.db.models.functions import Now

from provisioning.errors import LeaseLost
from provisioning.lease import Lease
from stores import queue
from stores.lifecycle import Status
from stores.models import Store
from stores.tests.test_services import in_parallel


def queued() -> int:
    return apps.get_model("django_q", "OrmQ").objects.count()


def expire() -> None:
    Store.objects.update(lease_until=Now() - timedelta(seconds=1))


def test_a_lease_is_held_by_one_until_it_is_given_back(store):
    lease = Lease.take(store.pk)
    assert lease is not None
    assert Lease.take(store.pk) is None
    lease.release(orderly=True)
    assert Lease.take(store.pk) is not None


def test_a_lease_that_ran_out_goes_to_the_next_with_a_higher_fence(store):
    first = Lease.take(store.pk)
    expire()
    second = Lease.take(store.pk)
    assert second.fence == first.fence + 1
    for late in (first.renew, lambda: first.write(chart_version="9")):
        with pytest.raises(LeaseLost):
            late()
    first.release(orderly=True)
    assert Store.objects.get(pk=store.pk).lease_until is not None
    assert Store.objects.get(pk=store.pk).chart_version == ""


def test_a_store_that_is_deleted_or_unknown_has_no_lease(store):
    Store.objects.update(status=Status.DELETED, slot=None)
    assert Lease.take(store.pk) is None
    store.pk = "00000000-0000-0000-0000-000000000000"
    assert Lease.take(store.pk) is None


def test_a_lease_is_lost_when_the_store_is_meant_otherwise(store):
    lease = Lease.take(store.pk)
    Store.objects.update(status=Status.DELETING)
    with pytest.raises(LeaseLost):
        lease.renew()


def test_an_orderly_end_gives_its_attempt_back_and_a_death_does_not(store):
    Lease.take(store.pk).release(orderly=True)
    assert Store.objects.get(pk=store.pk).attempts == 0
    Lease.take(store.pk)
    expire()
    Lease.take(store.pk).release(orderly=True)
    assert Store.objects.get(pk=store.pk).attempts == 1


def test_an_attempt_that_was_reset_meanwhile_never_falls_below_none(store):
    lease = Lease.take(store.pk)
    Store.objects.update(attempts=0)
    lease.release(orderly=True)
    assert Store.objects.get(pk=store.pk).attempts == 0


def test_a_ring_that_came_during_the_pass_is_delivered_at_its_end(store):
    lease = Lease.take(store.pk)
    apps.get_model("django_q", "OrmQ").objects.all().delete()
    queue.ring(store.pk)
    apps.get_model("django_q", "OrmQ").objects.all().delete()  # delivered while the lease was held
    lease.release(orderly=True)
    assert queued() == 1


def test_a_pass_that_nobody_rang_at_rings_nobody(store):
    lease = Lease.take(store.pk)
    apps.get_model("django_q", "OrmQ").objects.all().delete()
    lease.release(orderly=True)
    assert queued() == 0


def test_many_rings_are_answered_by_one_pass(store):
    queue.ring(store.pk)
    queue.ring(store.pk)
    Lease.take(store.pk, rung=True).release(orderly=True)
    assert Lease.take(store.pk, rung=True) is None
    queue.ring(store.pk)
    assert Lease.take(store.pk, rung=True) is not None


def test_who_gives_the_lease_back_can_ask_for_another_pass(store):
    Lease.take(store.pk).release(orderly=True, ring=True)
    assert Lease.take(store.pk, rung=True) is not None


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_reach_for_it_at_once_one_gets_it(store):
    taken = []
    outcomes = in_parallel(8, lambda n: taken.append(Lease.take(store.pk)))
    assert outcomes == [None] * 8
    assert len([lease for lease in taken if lease]) == 1
