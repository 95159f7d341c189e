"""How many start at once is a setting, and owners take turns."""

from datetime import timedelta

import pytest
from django.utils import timezone

from provisioning import estimates, line, runner
from provisioning.lease import Lease
from provisioning.tests.conftest import deliver
from stores.actor import Actor
from stores.lifecycle import Status
from stores.models import Operation, Store, User
from stores.services import create_store, pause_provisioning
from stores.tests.test_services import in_parallel


def make(owner: User, count: int) -> list[Store]:
    User.objects.filter(pk=owner.pk).update(max_stores=50)
    first = owner.stores.count()
    return [
        create_store(actor=Actor(owner, "test"), owner=owner, name=f"{owner.username} {n}")
        for n in range(first, first + count)
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


@pytest.mark.parametrize(
    ("code", "seconds", "lets_others_in"),
    [
        ("unschedulable", 300, True),
        ("certificate-missing", 300, True),
        ("unschedulable", 10, False),  # it may be over in a moment
        ("cluster-unavailable", 300, False),  # others would fare no better
        ("paused", 300, False),
    ],
)
def test_a_store_that_stands_still_alone_holds_nobody_up(
    alice, bob, cluster, settings, code, seconds, lets_others_in
):
    settings.MAX_STORES_STARTING = 1
    [stands] = make(alice, 1)
    Store.objects.filter(pk=stands.pk).update(
        status=Status.PROVISIONING,
        message={"code": code, "params": {}},
        outage_since=timezone.now() - timedelta(seconds=seconds),
    )
    [next_one] = make(bob, 1)
    assert bool(Store.objects.starting()) is not lets_others_in
    assert (line.admit(Lease.take(next_one.pk)) == 0) is lets_others_in


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


# --- What those who wait are told --------------------------------------------------------


def has_taken(seconds: float, owner: User, step: str = "wait_until_running") -> None:
    """A store that was set up, in one step of that length."""
    [store] = make(owner, 1)
    operation = store.operations.get()
    began = timezone.now() - timedelta(hours=1)
    operation.steps.create(
        name=step, position=0, started_at=began, ended_at=began + timedelta(seconds=seconds),
        outcome="done",
    )  # fmt: skip
    store.operations.update(finished_at=began, outcome="succeeded")
    Store.objects.filter(pk=store.pk).update(status=Status.READY, ready_at=began)


def starts(store: Store, seconds_ago: float = 0) -> None:
    since = timezone.now() - timedelta(seconds=seconds_ago)
    Store.objects.filter(pk=store.pk).update(status=Status.PROVISIONING, status_since=since)


def test_without_history_there_is_a_place_and_no_estimate(alice, settings):
    settings.MAX_STORES_STARTING = 1
    first, second, third = make(alice, 3)
    starts(first)
    assert line.place_in_line(third) == line.Place(position=2, of=2, wait=None)
    assert estimates.estimated_duration("woocommerce") is None


def test_a_store_that_is_not_in_line_has_no_place(alice):
    [store] = make(alice, 1)
    starts(store)
    store.refresh_from_db()
    assert line.place_in_line(store) is None
    # Nor one that started since it was read.
    assert line.places() == {}


def test_the_place_is_the_one_in_which_stores_are_let_in(alice, bob, settings):
    settings.MAX_STORES_STARTING = 1
    a = make(alice, 3)
    b = make(bob, 2)
    starts(a[0])
    order = line.next_in_line(10)
    places = line.places()
    assert [places[pk].position for pk in order] == [1, 2, 3, 4]
    assert places[b[0].pk].position == 1


def test_the_estimate_is_the_sum_of_the_medians_of_the_steps(alice):
    for seconds in (10, 1000, 20):
        has_taken(seconds, alice)
    has_taken(5, alice, step="create_namespace")
    assert estimates.estimated_duration("woocommerce") == timedelta(seconds=25)


def test_only_the_last_twenty_that_ended_well_count(alice):
    has_taken(10_000, alice)
    for _ in range(20):
        has_taken(30, alice)
    assert estimates.estimated_duration("woocommerce") == timedelta(seconds=30)
    Operation.objects.update(outcome="failed")
    assert estimates.estimated_duration("woocommerce") is None


def test_one_waits_until_as_many_as_are_before_it_made_room(alice, settings):
    settings.MAX_STORES_STARTING = 2
    has_taken(100, alice)
    first, second, *waiting = make(alice, 6)
    starts(first, seconds_ago=90)
    starts(second, seconds_ago=40)
    waits = [line.place_in_line(store).wait.total_seconds() for store in waiting]
    assert waits == [pytest.approx(expected, abs=5) for expected in (10, 60, 110, 160)]


def test_with_a_free_place_one_starts_at_once(alice, settings):
    settings.MAX_STORES_STARTING = 2
    has_taken(100, alice)
    [store] = make(alice, 1)
    assert line.place_in_line(store) == line.Place(1, 1, timedelta())


def test_a_store_that_takes_longer_than_others_did_is_expected_any_moment(alice, settings):
    settings.MAX_STORES_STARTING = 1
    has_taken(100, alice)
    slow, store = make(alice, 2)
    starts(slow, seconds_ago=500)
    assert line.place_in_line(store).wait == timedelta()


def test_more_under_way_than_may_be_make_the_line_wait_longer(alice, settings):
    settings.MAX_STORES_STARTING = 1
    has_taken(100, alice)
    one, other, store = make(alice, 3)
    starts(one, seconds_ago=80)
    starts(other, seconds_ago=10)
    assert line.place_in_line(store).wait.total_seconds() == pytest.approx(90, abs=5)


def test_while_all_is_paused_nobody_can_say_how_long(alice, as_carol):
    has_taken(100, alice)
    [store] = make(alice, 1)
    pause_provisioning("We move the cluster.", actor=as_carol)
    assert line.place_in_line(store) == line.Place(1, 1, None)


def test_places_cost_the_same_few_queries_for_one_store_and_for_twenty(
    alice, settings, django_assert_num_queries
):
    has_taken(100, alice)
    for count in (1, 19):
        make(alice, count)
        with django_assert_num_queries(2):
            line.places()
