"""A database from before goes on: its rows stay, and its audit trail is still whole."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from stores.audit import GENESIS, AuditEvent, AuditHead, verify
from stores.models import Store, User

BEFORE = [("stores", "0003_health_grace_pause_and_receipts")]
ACCOUNTS = "0004_sharing_inquiries_and_accounts"


def at(targets: list[tuple[str, str]]) -> Any:
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


@pytest.fixture
def before(transactional_db):
    newest = MigrationExecutor(connection).loader.graph.leaf_nodes()
    yield at(BEFORE)
    at(newest)


def old_event(store: Any) -> dict[str, Any]:
    """As it was written then: with the network address itself."""
    event = AuditEvent(
        at=timezone.now(), action="store.ask_create", actor_id=store.owner_id, actor_name="alice",
        via="portal", store_id=store.pk, store_name=store.name, address="192.0.2.7",
        previous_hash=GENESIS,
    )  # fmt: skip
    event.hash = event.digest()
    return {field.attname: getattr(event, field.attname) for field in AuditEvent._meta.fields}


def test_stores_people_and_their_history_outlive_the_move_to_accounts(before):
    owner = before.get_model("stores", "User").objects.create(
        username="alice", email="a@example.com"
    )
    store = before.get_model("stores", "Store").objects.create(
        owner=owner, slot=0, name="Anna", address="anna", namespace="store-anna"
    )
    row = old_event(store)
    before.get_model("stores", "AuditEvent").objects.create(**row)
    heads = before.get_model("stores", "AuditHead").objects
    heads.update_or_create(pk=1, defaults={"hash": row["hash"], "count": 1})
    at([("stores", ACCOUNTS)])
    assert verify() == ""
    kept = Store.objects.get(pk=store.pk)
    assert (kept.name, kept.usage, kept.mailed_health) == ("Anna", {}, "")
    person = User.objects.get(pk=owner.pk)
    assert (person.mail_ready, person.language, person.closed_at) == (True, "", None)
    assert AuditEvent.objects.get().address == "192.0.2.7"
    AuditHead.objects.update(count=2)
    assert "missing at the end" in verify(), "the look finds what there is to find"
