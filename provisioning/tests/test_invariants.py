"""Each invariant, broken once: the checker names it, and says nothing of a platform that is well."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from provisioning import invariants, manifests, runner
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.cluster.simulation.objects import Objects, timestamp
from provisioning.cluster.simulation.releases import History
from stores import queue
from stores.lifecycle import Health, Status
from stores.messages import Message
from stores.models import AuditEvent, Operation, Pause, Store
from stores.services import create_store, delete_store, set_quota
from stores.tests.test_audit import tamper


@pytest.fixture
def clock(clock):
    """Rows and cluster on one clock, as on a real platform."""
    clock.now = time.time() - 60
    return clock


@pytest.fixture
def ready(store: Store, work: Callable[[Store], None], clock) -> Store:
    work(store)
    assert store.status == Status.READY
    # The simulated clock ran ahead while it worked.
    clock.now = time.time()
    return store


@pytest.fixture
def objects(cluster: SimulatedCluster) -> Callable[[], AbstractContextManager[Objects]]:
    return cluster.file.writing


def change(store: Store, **columns) -> None:
    Store.objects.filter(pk=store.pk).update(**columns)


def said(cluster, number: str, *, settled: bool = False) -> str:
    """The one violation, which has that number."""
    [violation] = invariants.check(cluster, settled=settled)
    assert violation.startswith(f"{number}: "), violation
    return violation


def at(seconds: float) -> str:
    return timestamp(time.time() + seconds)


# --- A platform that is well -------------------------------------------------------------


def test_a_ready_a_failed_a_waiting_and_a_deleted_store_are_all_well(
    ready, alice, as_alice, cluster, work, clock
):
    failing = create_store(actor=as_alice, owner=alice, name="setup-fails")
    work(failing)
    assert failing.status == Status.FAILED
    gone = create_store(actor=as_alice, owner=alice, name="Gone soon")
    work(gone)
    delete_store(gone, actor=as_alice)
    work(gone)
    assert gone.status == Status.DELETED
    assert invariants.check(cluster, settled=True) == []
    create_store(actor=as_alice, owner=alice, name="Asked just now")
    assert invariants.check(cluster) == []


def test_no_moment_of_a_provision_and_a_deletion_is_a_violation(store, as_alice, cluster, clock):
    for _ in range(60):
        clock.passes(0.5)
        runner.converge(store.pk, cluster)
        assert invariants.check(cluster) == []
    store.refresh_from_db()
    assert store.status == Status.READY
    delete_store(store, actor=as_alice)
    for _ in range(20):
        clock.passes(0.5)
        runner.converge(store.pk, cluster)
        assert invariants.check(cluster) == []
    store.refresh_from_db()
    assert store.status == Status.DELETED


# --- One by one --------------------------------------------------------------------------


def test_i1_a_namespace_without_a_row(ready, cluster):
    stranger = Store(pk="00000000-0000-4000-8000-000000000001", owner=ready.owner)
    stranger.namespace = "store-nobody-000000"
    cluster.apply(manifests.namespace(stranger))
    assert "of which there is no row" in said(cluster, "I1")


def test_i1_a_label_that_is_no_id_is_nobodys_store(ready, cluster):
    labels = {"storeyard.dev/store": "mine!"}
    cluster.apply({"kind": "Namespace", "metadata": {"name": "store-x", "labels": labels}})
    assert "the store mine!" in said(cluster, "I1")


def test_i1_a_store_without_its_namespace(ready, cluster, clock):
    cluster.delete("Namespace", ready.namespace)
    clock.passes(60)
    assert "nobody has said so" in said(cluster, "I1")
    # Once it is said, the platform is as it should be.
    change(ready, health=Health.LOST)
    assert invariants.check(cluster) == []


def test_i1_a_namespace_with_another_uid(ready, cluster):
    change(ready, namespace_uid="another")
    violations = invariants.check(cluster)
    assert len(violations) == 2 and all(v.startswith("I1: ") for v in violations)
    assert "not another" in violations[0]


def test_i2_half_a_lease(ready, cluster):
    change(ready, lease_owner="host/1/abc")
    assert "half a lease" in said(cluster, "I2")


def test_i2_work_without_an_operation(store, cluster):
    store.operations.open().update(finished_at=Now())
    assert "no operation is open" in said(cluster, "I2")


def test_i3_more_stores_than_were_ever_allowed(ready, alice, as_carol, cluster):
    set_quota(alice, 0, actor=as_carol)
    assert invariants.check(cluster) == []  # lowered later: nothing is taken away
    for slot in (1, 2, 3):
        row = Store(owner=alice, name="x", address=f"shop-{slot}", slot=slot, status="failed")
        row.namespace, row.message = f"store-{slot}", Message("rejected").as_json()
        row.save(force_insert=True)
    assert "never allowed more than 3" in said(cluster, "I3")


def test_i4_a_release_that_nobody_mends(ready, cluster):
    cluster.leave_release(ready.namespace, "store", "pending-upgrade")
    assert "is pending-upgrade" in said(cluster, "I4")


def test_i4_one_that_was_begun_just_now_is_work_under_way(ready, cluster, clock):
    cluster.leave_release(ready.namespace, "store", "pending-upgrade")
    queue.ring(ready.pk)
    assert invariants.check(cluster) == []
    clock.passes(301)
    assert "for 301 seconds" in said(cluster, "I4")


def test_i5_two_deployed_revisions(ready, cluster, objects):
    with objects() as there:
        History(there, "store", ready.namespace).begin("deployed")
    assert "[1, 2]" in said(cluster, "I5")


def test_i6_a_password_that_was_made_anew(ready, cluster, clock, objects):
    with objects() as there:
        old = there.find("Secret", "store-db", ready.namespace)
        there.remove(old)
    clock.passes(3600)
    cluster.create(manifests.secret(ready, "store-db", {"password": "another"}))
    assert "store-db is younger than the volume" in said(cluster, "I6")


def test_i6_a_secret_that_was_put_back_from_a_backup_may_be_younger(ready, cluster, clock, objects):
    with objects() as there:
        there.remove(there.find("Secret", "store-db", ready.namespace))
    clock.passes(3600)
    secret = manifests.secret(ready, "store-db", {"password": "from the backup"})
    secret["metadata"]["annotations"] = {manifests.RESTORED: "by carol, from the backup"}
    cluster.create(secret)
    assert invariants.check(cluster) == []


def test_i6_a_secret_that_is_gone_and_nobody_says_so(ready, cluster):
    cluster.delete("Secret", "store-db", ready.namespace)
    assert "store-db is gone" in said(cluster, "I6")
    lost = Message("secret-lost", {"name": "store-db"})
    change(ready, health=Health.DEGRADED, health_message=lost.as_json())
    assert invariants.check(cluster) == []


def test_i6_a_secret_that_was_written_into(ready, cluster, objects):
    with objects() as there:
        secret = there.find("Secret", "store-db", ready.namespace)
        secret.body["metadata"]["managedFields"] = [
            {"manager": "kubectl-edit", "time": at(3600), "fieldsV1": {"f:data": {}}}
        ]
        there.save(secret)
    assert "was changed after it was made" in said(cluster, "I6")


def test_i7_a_failure_without_a_reason(ready, cluster):
    change(ready, status=Status.FAILED, message={})
    assert "nobody says why" in said(cluster, "I7")


def test_i7_a_store_that_nobody_looks_at(store, cluster):
    change(store, due_at=Now() - timedelta(minutes=4))
    assert invariants.check(cluster) == []
    change(store, due_at=Now() - timedelta(minutes=6))
    assert "nobody has looked at it" in said(cluster, "I7")


def test_i7_while_all_is_paused_nobody_has_to_look(store, cluster):
    change(store, due_at=Now() - timedelta(minutes=6))
    Pause.objects.create(pk=1, reason="We move the cluster.", actor_name="carol")
    assert invariants.check(cluster) == []


def test_i7_at_the_end_of_everything_nothing_is_under_way(store, cluster):
    assert "is still requested" in said(cluster, "I7", settled=True)


def test_i8_something_is_left_of_a_deleted_store(ready, cluster):
    ready.operations.open().update(finished_at=Now())
    change(ready, status=Status.DELETED, slot=None, deleted_at=Now())
    violations = invariants.check(cluster)
    assert violations and all(v.startswith("I8: ") for v in violations)
    assert "its namespace store-anna" in violations[0]
    # Its disks are a matter of their own: they may outlive the namespace.
    assert any("The disk" in v for v in violations[1:])


def test_i9_a_guardrail_that_came_late(ready, cluster, objects):
    with objects() as there:
        policy = there.find("NetworkPolicy", manifests.DENY, ready.namespace)
        policy.body["metadata"]["creationTimestamp"] = at(0)
        there.save(policy)
    change(ready, ready_at=Now() + timedelta(minutes=5))
    assert "store-default-deny came after the first pod" in said(cluster, "I9")


def test_i9_a_guardrail_that_was_put_back_is_a_repair(ready, cluster, clock):
    cluster.delete("LimitRange", manifests.LIMITS, ready.namespace)
    assert "no LimitRange store-limits" in said(cluster, "I9")
    clock.passes(3600)
    runner.converge(ready.pk, cluster)
    assert invariants.check(cluster) == []


def test_i10_a_broken_chain(ready, cluster):
    event = AuditEvent.objects.first()
    tamper("UPDATE stores_auditevent SET via = 'x' WHERE id = %s", event.pk)
    assert f"Audit event {event.pk}" in said(cluster, "I10")


def test_i10_a_request_that_the_trail_does_not_know(ready, cluster):
    Operation.objects.create(store=ready, kind="refresh", finished_at=Now(), outcome="succeeded")
    assert "1 operations “refresh”, and the audit trail knows of 0" in said(cluster, "I10")


@pytest.mark.parametrize("where", ["in plain text", "in the queue"])
def test_i11_a_password_in_the_database(ready, cluster, where):
    secret = cluster.get("Secret", "store-db", ready.namespace)
    password = plain(secret["data"]["password"])
    if where == "in the queue":
        queue.async_task("provisioning.tasks.converge_store", f"password={password}")
    else:
        change(ready, message=Message("rejected", {"reason": f"bad {password}!"}).as_json())
    violation = said(cluster, "I11")
    assert f"{ready.namespace}/store-db" in violation and password not in violation
    assert ("django_q_ormq" if where == "in the queue" else "stores_store") in violation


def plain(value: str) -> str:
    return base64.b64decode(value).decode()


def test_i12_a_shop_that_was_installed_anew(ready, cluster, objects, clock):
    with objects() as there:
        history = History(there, "store", ready.namespace)
        history.forget()
    clock.passes(3600)
    with objects() as there:
        History(there, "store", ready.namespace).begin("deployed")
    assert "installed anew" in said(cluster, "I12")


def test_i12_a_shop_that_was_uninstalled(ready, cluster):
    cluster.uninstall_release("store", ready.namespace)
    assert "its release is gone" in said(cluster, "I12")


# --- On a live system --------------------------------------------------------------------


def test_what_changed_while_it_looked_is_not_held_against_it(ready, cluster, monkeypatch):
    cluster.leave_release(ready.namespace, "store", "pending-upgrade")
    look = cluster.contents

    def meanwhile(*arguments):
        found = look(*arguments)
        change(ready, fence=F("fence") + 1)
        return found

    monkeypatch.setattr(cluster, "contents", meanwhile)
    assert invariants.check(cluster) == []


def test_a_store_that_became_ready_after_the_survey_is_not_said_to_have_lost_its_namespace(
    ready, cluster, monkeypatch
):
    survey, surveys = cluster.survey, []

    def first_too_early():
        surveys.append(survey())
        return replace(surveys[-1], namespaces=[]) if len(surveys) == 1 else surveys[-1]

    monkeypatch.setattr(cluster, "survey", first_too_early)
    assert invariants.check(cluster) == []
    assert len(surveys) == 2


def test_what_concerns_the_whole_platform_is_asked_once_however_many_stores_there_are(
    alice, as_alice, django_assert_num_queries
):
    create_store(actor=as_alice, owner=alice, name="Shop 1")
    with CaptureQueriesContext(connection) as asked:
        assert list(invariants.whole_platform()) == []
    create_store(actor=as_alice, owner=alice, name="Shop 2")
    create_store(actor=as_alice, owner=alice, name="Shop 3")
    with django_assert_num_queries(len(asked)):
        assert list(invariants.whole_platform()) == []
