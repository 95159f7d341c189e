"""The proof of a deletion on the page of the store."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from portal.receipt import WORDS
from provisioning import runner
from provisioning.cluster import inventory
from provisioning.cluster.simulated import SimulatedCluster
from stores.audit import AuditEvent
from stores.models import Store
from stores.services import create_store, delete_store

GONE = "2026-03-01T10:20:30+00:00"


def item(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "namespace": "store-x", "uid": "u-1", **more}


def read(client: Client, store: Store) -> str:
    return client.get(store.get_absolute_url()).content.decode()


@pytest.fixture
def deleted(make_store):
    def make(*items: dict[str, Any]) -> Store:
        store = make_store("deleted")
        store.operations.filter(kind="delete").update(receipt={"items": items, "hash": "ab" * 32})
        return store

    return make


def test_a_deleted_store_shows_what_was_there_and_when_it_was_seen_gone(at_alice, deleted):
    store = deleted(
        item("Secret", "db-password", gone=GONE), item("Namespace", "store-x", gone=GONE)
    )
    page = read(at_alice, store)
    assert "2 of 2 parts are gone" in page and "ab" * 32 in page
    assert "db-password" in page and page.count("2026-03-01 10:20:30</time>") == 2
    assert "The storage class keeps" not in page


def test_helms_records_are_not_called_passwords(at_alice, deleted):
    page = read(at_alice, deleted(item("Secret", "sh.helm.release.v1.store.v1", gone=GONE)))
    assert "Record of the installation" in page and "Passwords" not in page


def test_a_disk_that_is_kept_is_named(at_alice, deleted):
    disk = item("PersistentVolume", "pvc-7", reclaim="Retain", kept="its storage class keeps it")
    page = read(at_alice, deleted(item("Secret", "db", gone=GONE), disk))
    assert "1 of 2 parts are gone" in page
    assert "The storage class keeps the disk <strong>pvc-7</strong>" in page
    assert "ask support" in page


def test_a_store_that_was_never_made_has_nothing_to_prove(at_alice, deleted):
    assert "Nothing had been made in the cluster yet" in read(at_alice, deleted())


def test_names_in_a_receipt_are_never_markup(at_alice, deleted):
    attack = "<script>alert(1)</script>"
    page = read(at_alice, deleted(item(attack, attack, gone=GONE)))
    assert attack not in page and escape(attack) in page


def test_before_the_end_there_is_no_receipt(at_alice, make_store):
    store = make_store("deleting")
    receipt = {"items": [item("Secret", "db", gone=GONE)], "hash": "ab"}
    store.operations.filter(kind="delete").update(receipt=receipt)
    assert "Receipt of the deletion" not in read(at_alice, store)


def test_every_kind_of_an_inventory_has_a_word():
    assert {*inventory.KINDS, "Namespace", "PersistentVolume"} <= set(WORDS)


def test_the_receipt_of_a_store_that_lived_has_the_hash_of_the_audit_trail(
    at_alice, alice, as_alice, tmp_path
):
    now = [1000.0]
    cluster = SimulatedCluster(tmp_path / "own.sqlite3", clock=lambda: now[0])
    store = create_store(actor=as_alice, owner=alice, name="Shop", address="annas-shop")

    def passes(status: str) -> None:
        for _ in range(40):
            now[0] += 2
            Store.objects.filter(pk=store.pk).update(due_at=None)
            runner.converge(store.pk, cluster)
            store.refresh_from_db()
            if store.status == status:
                return
        raise AssertionError(f"{store.status}: {store.sentence}")

    passes("ready")
    delete_store(store, actor=as_alice)
    passes("deleted")
    page = read(at_alice, store)
    told = AuditEvent.objects.get(action="store.deleted").details["receipt"]
    assert len(told) == 64 and told in page
    for kind in ("Namespace", "Secret", "PersistentVolume", "Deployment"):
        assert f">{kind}</span>" in page, kind
