"""The table is followed, by one mutator, whatever else happens."""

import itertools

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from stores.actor import SYSTEM
from stores.errors import IllegalTransition, StaleStore
from stores.lifecycle import SETTLED, TRANSITIONS, Status
from stores.models import AuditEvent, Store, User
from stores.services import create_store


def make_store(owner, as_owner, **fields) -> Store:
    store = create_store(actor=as_owner, owner=owner, name="Anna", address="anna")
    if fields:
        Store.objects.filter(pk=store.pk).update(**fields)
        store.refresh_from_db()
    return store


@pytest.mark.parametrize(("here", "there"), list(itertools.product(Status, Status)))
def test_every_pair_of_statuses_is_allowed_or_refused_as_the_table_says(
    alice, as_alice, here, there
):
    slot = None if here == Status.DELETED else 0
    store = make_store(alice, as_alice, status=here, slot=slot)
    changes = {"slot": None} if there == Status.DELETED else {}
    if there in TRANSITIONS[here]:
        store.move_to(there, actor=SYSTEM, **changes)
        assert Store.objects.get(pk=store.pk).status == there
    else:
        with pytest.raises(IllegalTransition):
            store.move_to(there, actor=SYSTEM, **changes)
        assert Store.objects.get(pk=store.pk).status == here


def test_a_move_writes_its_audit_event_in_the_same_transaction(alice, as_alice):
    store = make_store(alice, as_alice)
    with pytest.raises(RuntimeError), transaction.atomic():
        store.move_to(Status.PROVISIONING, actor=SYSTEM)
        raise RuntimeError
    assert Store.objects.get(pk=store.pk).status == Status.REQUESTED
    assert not AuditEvent.objects.filter(action="store.provisioning").exists()


def test_who_read_the_store_before_somebody_else_moved_it_is_told(alice, as_alice):
    store = make_store(alice, as_alice)
    late = Store.objects.get(pk=store.pk)
    store.move_to(Status.PROVISIONING, actor=SYSTEM)
    with pytest.raises(StaleStore):
        late.move_to(Status.PROVISIONING, actor=SYSTEM)


def test_a_move_with_an_old_fence_changes_nothing(alice, as_alice):
    store = make_store(alice, as_alice, fence=5)
    with pytest.raises(StaleStore):
        store.move_to(Status.PROVISIONING, actor=SYSTEM, fence=4)
    assert Store.objects.get(pk=store.pk).status == Status.REQUESTED


def test_the_database_refuses_a_status_that_is_not_in_the_table(alice, as_alice):
    store = make_store(alice, as_alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        Store.objects.filter(pk=store.pk).update(status="sleeping")


def test_only_deleted_has_no_way_on_and_a_deletion_is_never_given_up():
    assert [status for status in Status if not TRANSITIONS[status]] == [Status.DELETED]
    assert TRANSITIONS[Status.DELETING] == {Status.DELETED}
    live = set(Status) - {Status.DELETING, Status.DELETED}
    assert all(Status.DELETING in TRANSITIONS[status] for status in live)
    assert Status.DELETED in SETTLED


class AnyHistory(TestCase):
    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.sampled_from(list(Status)), max_size=12))
    def test_whatever_is_asked_in_whatever_order_only_arrows_of_the_table_are_walked(self, wishes):
        owner = User.objects.create_user("dora", max_stores=1)
        store = create_store(actor=SYSTEM, owner=owner, name="Dora", address="dora")
        walked = [Status.REQUESTED]
        for wish in wishes:
            changes = {"slot": None} if wish == Status.DELETED else {}
            try:
                store.move_to(wish, actor=SYSTEM, **changes)
            except IllegalTransition:
                continue
            walked.append(wish)
        assert all(there in TRANSITIONS[here] for here, there in itertools.pairwise(walked))
        events = store.audit_events.filter(action__in=[f"store.{s}" for s in Status])
        assert events.count() == len(walked) - 1
