"""How many start at once is a setting, and owners take turns."""

import pytest

from provisioning import line, runner
from provisioning.lease import Lease
from provisioning.tests.conftest import deliver
from stores.actor import Actor
from stores.lifecycle import Status
from stores.models import Store, User
from stores.services import create_store
from stores.tests.test_services import in_parallel


def make(owner: User, count: int) -> list[Store]:
    User.objects.filter(pk=owner.pk).update(max_stores=50)
    return [
        create_store(actor=Actor(owner, "test"), owner=owner, name=f"{owner.username} {n}")
        for n in range(count)
    ]


def test_more_than_the_setting_do_not_start_and_say_why(alice, cluster, settings):
    settings.MAX_STORES_STARTING = 2
    stores = make(alice, 4)
    deliver(cluster, limit=4)
    assert Store.objects.starting().count() == 2
    waiting = Store.objects.get(pk=stores[3].pk)
    assert waiting.status == Status.REQUESTED
    assert "Waiting in line" in waiting.sentence


def test_whoever_comes_last_does_not_wait_for_another_owners_whole_batch(
    alice, bob, cluster, clock, settings
):
    settings.MAX_STORES_STARTING = 2
    make(alice, 8)
    [bobs] = make(bob, 1)
    order = []
    for _ in range(200):
        deliver(cluster)
        clock.passes(1)
        Store.objects.update(due_at=None)
        runner.reconcile()
        for pk in Store.objects.filter(status=Status.READY).values_list("pk", flat=True):
            if pk not in order:
                order.append(pk)
        if len(order) == 9:
            break
    assert len(order) == 9
    assert order.index(bobs.pk) <= 4


def test_the_next_in_line_are_of_those_with_fewest_starting_then_the_oldest(alice, bob, settings):
    a = make(alice, 3)
    b = make(bob, 2)
    Store.objects.filter(pk=a[0].pk).update(status=Status.PROVISIONING)
    assert line.next_in_line(3) == [b[0].pk, a[1].pk, b[1].pk]


def test_a_free_place_wakes_the_next(alice, cluster, work, settings):
    settings.MAX_STORES_STARTING = 1
    first, second = make(alice, 2)
    work(first)
    work(second)
    assert (first.status, second.status) == (Status.READY, Status.READY)


def test_another_look_at_a_ready_store_wakes_nobody(alice, cluster, work, settings):
    settings.MAX_STORES_STARTING = 1
    first, second = make(alice, 2)
    work(first)
    Store.objects.filter(pk=second.pk).update(rings=0)
    runner.converge(first.pk, cluster)
    assert Store.objects.get(pk=second.pk).rings == 0


@pytest.mark.django_db(transaction=True)
def test_two_workers_do_not_both_take_the_last_place(alice, settings):
    settings.MAX_STORES_STARTING = 1
    leases = [Lease.take(store.pk) for store in make(alice, 6)]
    outcomes = in_parallel(6, lambda n: line.admit(leases[n]))
    assert outcomes == [None] * 6
    assert Store.objects.starting().count() == 1
