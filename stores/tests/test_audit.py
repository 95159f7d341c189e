"""The audit trail: only added to, and any tampering shows."""

import pytest
from django.db import DatabaseError, connection, transaction

from stores import audit
from stores.actor import SYSTEM, Actor
from stores.models import AuditEvent
from stores.services import create_store
from stores.tests.test_services import in_parallel


def three_events() -> list[int]:
    return [
        AuditEvent.record(f"test.{number}", actor=SYSTEM, details={"n": number}).pk
        for number in range(3)
    ]


def tamper(sql: str, *params: object) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # as an attacker with all rights would
            cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, params)


def test_a_whole_chain_verifies(alice, as_alice):
    create_store(actor=as_alice, owner=alice, name="Zażółć 🛍")
    three_events()
    assert audit.verify() == ""


@pytest.mark.parametrize("column", ["action", "actor_name", "via", "store_name", "address"])
@pytest.mark.django_db
def test_a_changed_row_is_named(column):
    ids = three_events()
    tamper(f"UPDATE stores_auditevent SET {column} = 'x' WHERE id = %s", ids[1])
    assert audit.verify() == f"Audit event {ids[1]} (test.1) was changed after it was written." or (
        column == "action" and f"Audit event {ids[1]} (x)" in audit.verify()
    )


@pytest.mark.django_db
def test_a_removed_row_is_noticed_at_the_one_after_it():
    ids = three_events()
    tamper("DELETE FROM stores_auditevent WHERE id = %s", ids[1])
    assert f"Audit event {ids[2]} does not follow" in audit.verify()


@pytest.mark.django_db
def test_rows_missing_at_the_end_are_noticed():
    ids = three_events()
    tamper("DELETE FROM stores_auditevent WHERE id = %s", ids[2])
    assert audit.verify() == "Audit events are missing at the end: 2 are there, 3 were written."


@pytest.mark.django_db
def test_a_row_slipped_in_at_the_end_is_noticed():
    ids = three_events()
    last = AuditEvent.objects.get(pk=ids[2])
    forged = AuditEvent(
        at=last.at, action="test.forged", actor_name="x", via="x", previous_hash=last.hash
    )
    forged.hash = forged.digest()
    forged.save()
    assert audit.verify() == "Audit events were added past the trail: 4 are there, 3 were written."


@pytest.mark.django_db
def test_events_cannot_be_changed_or_deleted_through_the_model():
    three_events()
    event = AuditEvent.objects.first()
    for attempt in (
        event.save,
        event.delete,
        AuditEvent.objects.all().delete,
        lambda: AuditEvent.objects.update(action="x"),
    ):
        with pytest.raises(TypeError, match="cannot be"):
            attempt()


@pytest.mark.django_db
def test_postgresql_refuses_to_change_or_delete_events_itself():
    if connection.vendor != "postgresql":
        pytest.skip("the trigger is PostgreSQL's: run with DATABASE_URL")
    ids = three_events()
    for sql in (
        "UPDATE stores_auditevent SET via = 'x' WHERE id = %s",
        "DELETE FROM stores_auditevent WHERE id = %s",
    ):
        with (
            pytest.raises(DatabaseError, match="cannot be changed"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, [ids[0]])


@pytest.mark.django_db(transaction=True)
def test_writers_at_the_same_moment_still_make_one_chain():
    outcomes = in_parallel(
        8, lambda n: [AuditEvent.record(f"test.{n}", actor=SYSTEM) for _ in range(5)]
    )
    assert outcomes == [None] * 8
    assert AuditEvent.objects.count() == 40
    assert audit.verify() == ""


@pytest.mark.django_db
def test_a_changed_network_address_is_named():
    event = AuditEvent.record("test.0", actor=Actor(None, "test", address="192.0.2.7"))
    assert audit.verify() == ""
    tamper("UPDATE stores_auditorigin SET address = '192.0.2.8' WHERE event_id = %s", event.pk)
    assert audit.verify() == f"The network address of audit event {event.pk} (test.0) was changed."


@pytest.mark.django_db
def test_without_its_network_addresses_the_chain_is_whole():
    event = AuditEvent.record("test.0", actor=Actor(None, "test", address="192.0.2.7"))
    assert "192.0.2.7" not in str(AuditEvent.objects.values().get())
    event.origin.delete()
    assert audit.verify() == ""


def test_an_event_names_nobody(alice, as_alice):
    create_store(actor=as_alice, owner=alice, name="Anna's Ceramics")
    for kept in AuditEvent.objects.values():
        assert "alice" not in str(kept)
