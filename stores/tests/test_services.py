"""Each verb: rule, row, audit event and doorbell together, or nothing."""

import threading
from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.db import connection, connections
from django.utils import timezone

from stores import queue
from stores.actor import Actor
from stores.errors import IllegalTransition, QuotaExceeded, Refused
from stores.lifecycle import Status
from stores.models import AuditEvent, Operation, Store, User
from stores.services import create_store, delete_store, refresh_store, retry_store, set_quota


def queued() -> int:
    return apps.get_model("django_q", "OrmQ").objects.count()


def put(store: Store, status: Status) -> Store:
    slot = None if status == Status.DELETED else store.slot
    Store.objects.filter(pk=store.pk).update(status=status, slot=slot)
    store.operations.open().update(finished_at=timezone.now())
    store.refresh_from_db()
    return store


@pytest.fixture
def store(alice, as_alice) -> Store:
    return create_store(actor=as_alice, owner=alice, name="Anna", address="anna")


def test_the_doorbell_names_a_task_that_exists():
    module, _, name = queue.CONVERGE.rpartition(".")
    assert callable(getattr(import_module(module), name))


def test_creating_writes_row_operation_audit_event_and_doorbell(store, alice):
    assert (store.status, store.slot, store.rings) == (Status.REQUESTED, 0, 1)
    assert store.namespace == f"store-anna-{store.pk.hex[:6]}"
    assert [op.kind for op in store.operations.all()] == [Operation.Kind.CREATE]
    event = AuditEvent.objects.get(action="store.ask_create")
    assert (event.actor, event.store, event.details["address"]) == (alice, store, "anna")
    assert queued() == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"address": "Not Good"}, "address"),
        ({"address": "admin"}, "address"),
        ({"address": "xn--80ak6aa92e"}, "address"),
        ({"name": "магазин"}, "address"),
        ({"plan": "gigantic"}, "plan"),
        ({"engine": "magento"}, "engine"),
    ],
)
def test_bad_input_names_its_field_and_writes_nothing(alice, as_alice, fields, field):
    with pytest.raises(Refused) as refusal:
        create_store(actor=as_alice, owner=alice, **{"name": "Anna", **fields})
    assert refusal.value.field == field
    assert not Store.objects.exists()
    assert not AuditEvent.objects.exists()
    assert queued() == 0


def test_an_address_in_use_is_refused_whoever_asks(store, bob):
    with pytest.raises(Refused, match="taken"):
        create_store(actor=Actor(bob, "test"), owner=bob, name="Other", address="anna")
    assert Store.objects.count() == 1


def test_a_deleted_address_is_kept_for_its_owner_for_thirty_days(store, alice, bob, as_alice):
    put(store, Status.DELETED)
    Store.objects.update(deleted_at=timezone.now() - timedelta(days=29))
    with pytest.raises(Refused, match="taken"):
        create_store(actor=Actor(bob, "test"), owner=bob, name="Other", address="anna")
    Store.objects.update(deleted_at=timezone.now() - timedelta(days=31))
    create_store(actor=Actor(bob, "test"), owner=bob, name="Other", address="anna")


def test_the_owner_may_have_a_deleted_address_again_at_once(store, alice, as_alice):
    put(store, Status.DELETED)
    Store.objects.update(deleted_at=timezone.now())
    create_store(actor=as_alice, owner=alice, name="Anna again", address="anna")


def test_the_same_idempotency_key_gives_the_same_store(alice, as_alice):
    first = create_store(actor=as_alice, owner=alice, name="Anna", idempotency_key="k")
    again = create_store(actor=as_alice, owner=alice, name="Anna", idempotency_key="k")
    assert first == again
    assert Store.objects.count() == 1
    assert queued() == 1


def test_a_quota_of_zero_means_may_not_create(alice, as_alice):
    User.objects.update(max_stores=0)
    with pytest.raises(QuotaExceeded, match="may not create stores. Ask support"):
        create_store(actor=as_alice, owner=alice, name="Anna")
    assert not Store.objects.exists()


def test_a_deleting_store_still_occupies_its_place_and_a_deleted_one_does_not(
    store, alice, as_alice
):
    User.objects.update(max_stores=1)
    delete_store(store, actor=as_alice)
    with pytest.raises(QuotaExceeded, match="1 of 1 stores"):
        create_store(actor=as_alice, owner=alice, name="Second")
    put(store, Status.DELETED)
    create_store(actor=as_alice, owner=alice, name="Second")


def test_the_platform_has_a_limit_beside_the_owners(store, bob, settings):
    settings.MAX_STORES_TOTAL = 1
    with pytest.raises(QuotaExceeded, match="platform is full"):
        create_store(actor=Actor(bob, "test"), owner=bob, name="Bob")


def test_only_a_failed_store_can_be_retried(store, as_alice):
    with pytest.raises(IllegalTransition, match="Only a failed store can be retried"):
        retry_store(store, actor=as_alice)
    put(store, Status.FAILED)
    retry_store(store, actor=as_alice)
    assert (store.status, store.generation) == (Status.REQUESTED, 2)
    assert store.operations.open().get().kind == Operation.Kind.RETRY


def test_a_store_that_is_being_closed_is_not_retried(store, as_alice, settings):
    """From there an arrow leads to the same status, but that is to keep it."""
    settings.GRACE_SECONDS = 600
    delete_store(store, actor=as_alice)
    with pytest.raises(IllegalTransition, match="this one is closing"):
        retry_store(store, actor=as_alice)
    store.refresh_from_db()
    assert store.status == Status.CLOSING


def test_only_a_ready_store_can_be_refreshed(store, as_alice):
    with pytest.raises(IllegalTransition, match="Only a ready store"):
        refresh_store(store, actor=as_alice)
    put(store, Status.READY)
    refresh_store(store, actor=as_alice)
    assert store.status == Status.UPDATING


@pytest.mark.parametrize(
    "status", [Status.REQUESTED, Status.PROVISIONING, Status.READY, Status.FAILED]
)
def test_every_live_store_can_be_deleted_and_asking_twice_is_once(store, as_alice, status):
    put(store, status)
    rings = store.rings
    delete_store(store, actor=as_alice)
    delete_store(store, actor=as_alice)
    store.refresh_from_db()
    assert (store.status, store.rings) == (Status.DELETING, rings + 1)
    assert store.operations.filter(kind=Operation.Kind.DELETE).count() == 1


def test_deleting_ends_the_operation_under_way(store, as_alice):
    delete_store(store, actor=as_alice)
    create = store.operations.get(kind=Operation.Kind.CREATE)
    assert create.outcome == Operation.Outcome.SUPERSEDED
    assert store.operations.open().count() == 1


def test_a_quota_is_changed_with_an_audit_event_and_within_bounds(alice, as_carol):
    set_quota(alice, 7, actor=as_carol)
    alice.refresh_from_db()
    assert alice.max_stores == 7
    event = AuditEvent.objects.get(action="user.set_quota")
    assert event.details == {"user": alice.pseudonym, "from": 3, "to": 7}
    for wrong in (-1, 1001):
        with pytest.raises(Refused, match="between 0 and 1000"):
            set_quota(alice, wrong, actor=as_carol)


def in_parallel(times: int, act) -> list[Exception | None]:
    """The outcome of each of ``times`` threads that call ``act(number)`` at the same moment."""
    start = threading.Barrier(times)
    outcomes: list[Exception | None] = [None] * times

    def run(number: int) -> None:
        try:
            start.wait()
            act(number)
        except Exception as error:
            outcomes[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.django_db(transaction=True)
def test_twelve_parallel_creates_at_limit_three_leave_exactly_three(alice, as_alice):
    outcomes = in_parallel(
        12, lambda n: create_store(actor=as_alice, owner=alice, name=f"Shop {n}")
    )
    refusals = [error for error in outcomes if error]
    assert Store.objects.count() == 3
    assert sorted(Store.objects.values_list("slot", flat=True)) == [0, 1, 2]
    assert len(refusals) == 9
    assert {type(error) for error in refusals} == {QuotaExceeded}
    assert connection.vendor in ("sqlite", "postgresql")


@pytest.mark.django_db(transaction=True)
def test_twelve_parallel_creates_with_one_key_make_one_store(alice, as_alice):
    outcomes = in_parallel(
        12,
        lambda n: create_store(actor=as_alice, owner=alice, name="Anna", idempotency_key="key"),
    )
    assert outcomes == [None] * 12
    assert Store.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_owners_who_want_one_address_at_once_get_one_store_and_one_clear_answer(alice, bob):
    people = [alice, bob] * 4
    outcomes = in_parallel(
        8,
        lambda n: create_store(
            actor=Actor(people[n], "test"), owner=people[n], name="Anna", address="anna"
        ),
    )
    refusals = [error for error in outcomes if error]
    assert Store.objects.count() == 1
    assert len(refusals) == 7
    assert all(isinstance(e, Refused) and "taken" in str(e) for e in refusals)


@pytest.mark.django_db(transaction=True)
def test_one_owner_who_creates_deletes_and_gets_a_quota_at_once_meets_no_deadlock(alice, as_alice):
    User.objects.update(max_stores=50)
    old = [create_store(actor=as_alice, owner=alice, name=f"Old {n}") for n in range(6)]

    def act(number: int) -> None:
        if number % 3 == 0:
            create_store(actor=as_alice, owner=alice, name=f"New {number}")
        elif number % 3 == 1:
            delete_store(old[number // 3], actor=as_alice)
        else:
            set_quota(alice, 50 + number, actor=as_alice)

    assert in_parallel(18, act) == [None] * 18
