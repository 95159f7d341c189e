"""After the database was lost, the cluster says whose stores there are and what was wanted of them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from provisioning import adoption, invariants, manifests
from provisioning.adoption import Verdict
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.tests.conftest import deliver
from stores import names
from stores.actor import Actor
from stores.audit import AuditEvent, verify
from stores.lifecycle import Health, Status
from stores.models import Operation, Store, User
from stores.services import create_store, delete_store, retry_store

OPERATOR = Actor(None, "command")


@pytest.fixture
def clock(clock):
    """Rows and cluster on one clock, as on a real platform."""
    clock.now = time.time() - 60
    return clock


@pytest.fixture
def ready(store: Store, work: Callable[[Store], None]) -> Store:
    work(store)
    assert store.status == Status.READY
    return store


def lose_the_database(*kept: User) -> None:
    connection.check_constraints()  # what waits for the end of the transaction holds its tables
    call_command("flush", interactive=False, verbosity=0)
    for user in kept:
        user.save(force_insert=True)


def adopt(cluster: SimulatedCluster, **options) -> list[Verdict]:
    return adoption.adopt(cluster, actor=OPERATOR, apply=True, **options)


def passwords(cluster: SimulatedCluster, store: Store) -> dict[str, str]:
    return dict(cluster.get("Secret", "store-db", store.namespace)["data"])


def why_not(cluster: SimulatedCluster, **options) -> str:
    """Of the one namespace, which is left alone with a reason, and of which no row was made."""
    [verdict] = adopt(cluster, **options)
    assert verdict.why_not
    assert not Store.objects.filter(namespace_uid=uid_of(cluster, verdict)).exists()
    return verdict.why_not


def uid_of(cluster: SimulatedCluster, verdict: Verdict) -> str:
    return str(cluster.get("Namespace", verdict.namespace)["metadata"]["uid"])


# --- A store that was ready --------------------------------------------------------------


def test_everything_that_a_row_says_comes_back(ready, alice, cluster):
    lose_the_database(alice)
    [verdict] = adopt(cluster)
    assert verdict.why_not == ""
    found = Store.objects.get()
    for field in ("pk", "owner_id", "name", "address", "engine", "plan", "generation", "host",
                  "chart_version", "namespace", "namespace_uid", "status", "slot"):  # fmt: skip
        assert getattr(found, field) == getattr(ready, field), field
    assert found.ready_at and found.created_at <= found.ready_at
    event = AuditEvent.objects.get(action="store.adopt")
    assert (event.store, event.via) == (found, "command") and event.details["owner"] == (
        ready.owner.pseudonym
    )


def test_an_adopted_store_goes_on_as_it_was(ready, alice, cluster, clock):
    before = passwords(cluster, ready)
    release = cluster.contents(ready.namespace, ("Secret",))
    lose_the_database(alice)
    adopt(cluster)
    clock.passes(60)
    assert deliver(cluster) == 1
    store = Store.objects.get()
    assert store.status == Status.READY and not store.sentence
    assert passwords(cluster, store) == before
    # No Helm ran: the same revisions, and nothing was restarted.
    assert len(cluster.contents(ready.namespace, ("Secret",))) == len(release)
    assert invariants.check(cluster, settled=True) == []


def test_an_adopted_store_gets_no_empty_disk_in_place_of_one_that_is_gone(
    ready, alice, cluster, work
):
    cluster.delete("PersistentVolumeClaim", "store-content", ready.namespace)
    # So that Helm would run, and make what is missing.
    cluster.delete("Service", "store-web", ready.namespace)
    lose_the_database(alice)
    adopt(cluster)
    store = Store.objects.get()
    deliver(cluster)
    store.refresh_from_db()
    assert cluster.get("PersistentVolumeClaim", "store-content", ready.namespace) is None
    assert store.message["code"] == "volume-lost"
    assert store.health == Health.LOST


def test_a_shop_that_was_retried_is_not_restarted_by_its_adoption(
    store, alice, as_alice, cluster, work, clock
):
    Store.objects.filter(pk=store.pk).update(status=Status.FAILED)
    store.operations.open().update(finished_at=store.created_at)
    retry_store(store, actor=as_alice)
    work(store)
    assert (store.status, store.generation) == (Status.READY, 2)
    lose_the_database(alice)
    adopt(cluster)
    deliver(cluster)
    [record] = [
        item for item in cluster.contents(store.namespace, ("Secret",))
        if item["metadata"]["labels"].get("owner") == "helm"
    ]  # fmt: skip
    assert record["metadata"]["labels"]["version"] == "1"


def test_adopting_again_changes_nothing(ready, alice, cluster):
    lose_the_database(alice)
    adopt(cluster)
    events = AuditEvent.objects.count()
    assert adopt(cluster) == []
    assert (Store.objects.count(), AuditEvent.objects.count()) == (1, events)


def test_a_dry_run_says_the_same_and_writes_nothing(ready, cluster, alice):
    lose_the_database()
    [would] = adoption.adopt(cluster, actor=OPERATOR, apply=False)
    assert would.why_not == "" and would.remains.status == Status.READY
    assert not Store.objects.exists() and not User.objects.exists()
    assert not AuditEvent.objects.exists() and deliver(cluster) == 0
    assert adopt(cluster) == [would]


def also_there(cluster: SimulatedCluster, store: Store, address: str, owner: uuid.UUID) -> None:
    """The namespace of another store that is in no row."""
    twin = Store(owner=store.owner, name="Twin", address=address, engine=store.engine)
    twin.namespace = names.namespace_name(address, twin.pk)
    manifest = manifests.namespace(twin)
    manifest["metadata"].pop("uid", None)
    manifest["metadata"]["annotations"]["storeyard.dev/owner"] = str(owner)
    cluster.apply(manifest)


@pytest.mark.parametrize("address", ["anna", "other"])
def test_a_dry_run_knows_what_candidates_would_take_from_each_other(ready, alice, cluster, address):
    """An address; and the e-mail of an owner who would have come back with another id."""
    owner = alice.uuid if address == "anna" else uuid.uuid4()
    also_there(cluster, ready, address, owner)
    lose_the_database()
    would = adoption.adopt(cluster, actor=OPERATOR, apply=False)
    assert sorted(bool(verdict.why_not) for verdict in would) == [False, True]
    assert not User.objects.exists()
    assert adopt(cluster) == would


@pytest.mark.django_db(transaction=True)
def test_a_dry_run_locks_nothing_for_longer_than_one_candidate_takes(ready, alice, cluster):
    """All in one transaction would hold the audit trail, and then wait for the next owner."""
    also_there(cluster, ready, "other", alice.uuid)
    lose_the_database(alice)
    with CaptureQueriesContext(connection) as queries:
        adoption.adopt(cluster, actor=OPERATOR, apply=False)
    asked = [query["sql"] for query in queries]
    assert sum(sql.startswith("ROLLBACK") for sql in asked) == 2, asked


# --- Stores in other states --------------------------------------------------------------


def test_one_that_was_being_made_is_made(store, alice, cluster, work, clock):
    deliver(cluster, limit=1)
    clock.passes(1)
    deliver(cluster, limit=1)
    assert cluster.get("Namespace", store.namespace)
    lose_the_database(alice)
    adopt(cluster)
    found = Store.objects.get()
    assert found.status == Status.REQUESTED
    assert found.operations.get().kind == Operation.Kind.CREATE
    work(found)
    assert found.status == Status.READY
    assert found.namespace_uid == Store.objects.get(pk=store.pk).namespace_uid


def test_one_that_was_being_deleted_is_deleted(ready, alice, as_alice, cluster, work):
    delete_store(ready, actor=as_alice)
    deliver(cluster, limit=1)
    lose_the_database(alice)
    adopt(cluster)
    found = Store.objects.get()
    assert found.status == Status.DELETING
    work(found)
    assert found.status == Status.DELETED
    assert invariants.check(cluster, settled=True) == []


def test_one_whose_shop_is_down_is_not_called_ready_and_never_made_anew(
    ready, alice, cluster, work
):
    """Its release was in place: then its data may be of worth, and its passwords stay."""
    cluster.delete("Secret", "store-db", ready.namespace)
    cluster.delete("Deployment", "store-web", ready.namespace)
    cluster.leave_release(ready.namespace, "store", "pending-upgrade")
    lose_the_database(alice)
    adopt(cluster)
    found = Store.objects.get()
    assert found.status == Status.REQUESTED and found.ready_at
    work(found)
    assert found.status == Status.FAILED and "store-db is gone" in found.sentence
    assert cluster.get("Secret", "store-db", ready.namespace) is None


def test_one_that_never_got_a_release_has_nothing_to_lose(store, alice, cluster):
    cluster.apply(manifests.namespace(store))
    lose_the_database(alice)
    adopt(cluster)
    assert Store.objects.get().ready_at is None


# --- Owners ------------------------------------------------------------------------------


def test_an_owner_who_is_gone_too_comes_back_without_a_login(ready, alice, cluster):
    lose_the_database()
    adopt(cluster)
    owner = Store.objects.get().owner
    assert (owner.uuid, owner.email) == (alice.uuid, "alice@example.com")
    assert not owner.is_active and not owner.has_usable_password()
    assert owner.max_stores == 1
    assert owner.username == f"alice-{alice.uuid.hex[:8]}"
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["user.adopt", "user.set_quota", "store.adopt"]
    assert verify() == ""


def test_a_quota_is_raised_to_what_there_is(alice, as_alice, cluster, work):
    for n in range(3):
        work(create_store(actor=as_alice, owner=alice, name=f"Shop {n}"))
    alice.max_stores = 1
    lose_the_database(alice)
    assert [verdict.why_not for verdict in adopt(cluster)] == ["", "", ""]
    assert User.objects.get().max_stores == 3
    assert sorted(Store.objects.values_list("slot", flat=True)) == [0, 1, 2]


def test_somebody_with_the_owners_email_is_not_taken_for_the_owner(ready, alice, cluster):
    owner, alice.uuid = alice.uuid, uuid.uuid4()
    lose_the_database(alice)
    said = why_not(cluster)
    assert f"--owner {owner}=alice" in said
    [verdict] = adopt(cluster, heirs={owner: alice})
    assert verdict.why_not == "" and Store.objects.get().owner == alice


# --- Left alone --------------------------------------------------------------------------


def annotate(cluster: SimulatedCluster, store: Store, **notes: str | None) -> None:
    with cluster.file.writing() as objects:
        found = objects.namespace(store.namespace)
        annotations = found.body["metadata"]["annotations"]
        for note, value in notes.items():
            annotations.pop(f"storeyard.dev/{note}")
            if value is not None:
                annotations[f"storeyard.dev/{note}"] = value
        objects.save(found)


@pytest.mark.parametrize(
    ("note", "value", "words"),
    [
        ("owner", None, "no annotation storeyard.dev/owner"),
        ("owner", "alice", "“alice” (the owner in its annotations) is no id"),
        ("name", "two\nlines", "line breaks"),
        ("engine", "abacus", "no engine “abacus”"),
        ("plan", "huge", "no plan “huge”"),
        ("host", "anna.elsewhere.example", "Set STORE_DOMAIN"),
        ("host", "admin.stores.localhost", "reserved"),
        ("host", "annas.stores.localhost", "is named store-annas-"),
    ],
)
def test_annotations_that_make_no_sense_are_named(ready, alice, cluster, note, value, words):
    annotate(cluster, ready, **{note: value})
    lose_the_database(alice)
    assert words in why_not(cluster)
    assert not Store.objects.exists()


def test_a_label_that_is_no_id_is_named(cluster, db):
    labels = {"storeyard.dev/store": "mine"}
    cluster.apply({"kind": "Namespace", "metadata": {"name": "store-x", "labels": labels}})
    assert "“mine” (its label) is no id" in why_not(cluster)


def test_a_namespace_with_a_foreign_uid_is_never_touched(ready, cluster):
    Store.objects.filter(pk=ready.pk).update(namespace_uid="that-of-the-real-one")
    before = cluster.get("Namespace", ready.namespace)
    assert "It is foreign" in why_not(cluster)
    assert cluster.get("Namespace", ready.namespace) == before


def test_two_that_say_they_are_the_same_store_are_both_left_alone(ready, alice, cluster):
    twin = manifests.namespace(ready)
    del twin["metadata"]["uid"]
    twin["metadata"]["name"] = "store-anna-twin"
    cluster.apply(twin)
    lose_the_database(alice)
    verdicts = adopt(cluster)
    assert len(verdicts) == 2
    assert all("Several namespaces" in verdict.why_not for verdict in verdicts)


def test_an_address_that_was_given_away_since_is_a_matter_for_people(
    ready, alice, bob, as_alice, cluster
):
    lose_the_database(alice, bob)
    other = create_store(actor=Actor(bob, "test"), owner=bob, name="Mine", address="anna")
    said = why_not(cluster)
    assert str(other.pk) in said and "Delete one of the two" in said
    assert User.objects.get(pk=alice.pk).stores.count() == 0


def test_a_refusal_takes_nothing_of_the_store_with_it(ready, bob, alice, cluster):
    """Not even the user that was made for it."""
    lose_the_database(bob)
    create_store(actor=Actor(bob, "test"), owner=bob, name="Mine", address="anna")
    assert why_not(cluster)
    assert list(User.objects.values_list("username", flat=True)) == ["bob"]
    assert not AuditEvent.objects.filter(action__contains="adopt").exists()


def test_a_store_that_a_worker_is_just_making_is_left_to_it(store, cluster):
    cluster.apply(manifests.namespace(store))
    assert "a worker looks after it" in why_not(cluster)
