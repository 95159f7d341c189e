"""One pass after the other, on the simulated cluster: waiting, failing, being killed, being late."""

import threading
import time
from datetime import timedelta

import pytest
from django.apps import apps
from django.db.models.functions import Now

from provisioning import manifests, runner, steps, sweep
from provisioning.cluster.base import STORE_LABEL
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed
from provisioning.lease import Lease
from provisioning.tests.conftest import deliver
from provisioning.timeline import Timeline
from stores import audit, queue
from stores.errors import StaleStore
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Operation, OperationStep, Store
from stores.services import create_store, delete_store, refresh_store, retry_store
from stores.tests.test_services import in_parallel


def passwords(cluster, store) -> dict:
    return {
        name: cluster.get("Secret", name, store.namespace).get("data")
        or cluster.get("Secret", name, store.namespace)["stringData"]
        for name in ("store-db", "store-wordpress")
    }


def killed(*_) -> None:
    """As SIGKILL would be: nothing of ours runs afterwards. (A real one: test_real_*.py.)"""
    raise SystemExit


def expire_leases() -> None:
    Store.objects.filter(lease_until__isnull=False).update(lease_until=Now() - timedelta(seconds=1))


def test_a_store_becomes_ready_and_every_step_has_its_times(store, work):
    work(store)
    assert store.status == Status.READY
    assert store.ready_at is not None
    operation = store.operations.get()
    assert operation.outcome == Operation.Outcome.SUCCEEDED
    rows = list(operation.steps.all())
    assert [row.name for row in rows] == [step.__name__ for step in steps.PROVISION]
    assert all(row.started_at and row.ended_at for row in rows)
    assert [row.outcome for row in rows] == ["done"] * 5 + ["skipped"]
    assert "does not route traffic" in rows[-1].sentence


def test_a_waiting_store_says_what_it_waits_for(store, cluster, clock):
    deliver(cluster)
    clock.passes(1)
    runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert store.status == Status.PROVISIONING
    assert "0 of 1 ready" in store.sentence
    row = OperationStep.objects.get(name="wait_until_running")
    assert (row.outcome, row.ended_at) == ("waiting", None)


def test_a_second_pass_over_a_ready_store_changes_nothing(store, cluster, work):
    work(store)
    before = passwords(cluster, store)
    namespace = cluster.get("Namespace", store.namespace)
    row = Store.objects.values("status", "revision", "attempts", "message").get(pk=store.pk)
    runner.converge(store.pk, cluster)
    assert passwords(cluster, store) == before
    assert cluster.get("Namespace", store.namespace) == namespace
    assert Store.objects.values("status", "revision", "attempts", "message").get(pk=store.pk) == row


@pytest.mark.parametrize("step", steps.PROVISION, ids=lambda step: step.__name__)
def test_each_step_may_be_repeated(store, cluster, clock, work, step):
    work(store)
    before = passwords(cluster, store)
    lease = Lease.take(store.pk)
    step(steps.Work(lease.store, cluster, lease))
    step(steps.Work(lease.store, cluster, lease))
    assert passwords(cluster, store) == before


@pytest.mark.parametrize("number", range(len(steps.PROVISION)))
def test_killed_after_any_step_another_pass_finishes(
    store, cluster, clock, work, monkeypatch, number
):
    whole = steps.PROVISION
    deliver(cluster, limit=1)  # the quota has not confirmed itself yet
    clock.passes(10)
    monkeypatch.setattr(steps, "PROVISION", (*whole[: number + 1], killed))
    monkeypatch.setattr(Lease, "release", lambda *args, **kwargs: None)  # dead people release none
    with pytest.raises(SystemExit):
        clock.passes(10)
        while True:
            runner.converge(store.pk, cluster)
            expire_leases()
            clock.passes(10)
    monkeypatch.undo()
    made = cluster.get("Namespace", store.namespace)["metadata"]["uid"]
    expire_leases()
    work(store)
    assert store.status == Status.READY
    assert store.attempts >= 1
    assert cluster.get("Namespace", store.namespace)["metadata"]["uid"] == made
    assert (
        len([seen for seen in cluster.survey().namespaces if seen.store_id == str(store.pk)]) == 1
    )
    assert audit.verify() == ""


class Untouchable:
    """A cluster that must not be called."""

    def __getattr__(self, name):
        raise AssertionError(f"cluster.{name} was used")


def test_who_does_not_get_the_lease_returns_without_a_call_to_the_cluster(store):
    Lease.take(store.pk)
    runner.converge(store.pk, Untouchable())


def test_an_unreachable_cluster_is_no_stores_failure_and_its_deadline_stands_still(
    store, cluster, work, clock, monkeypatch, settings
):
    deliver(cluster, limit=1)

    def unreachable(*args, **kwargs):
        raise ClusterUnavailable("connection refused")

    monkeypatch.setattr(SimulatedCluster, "apply", unreachable)
    Store.objects.update(deadline_at=Now() + timedelta(seconds=60))
    runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert store.status == Status.PROVISIONING
    assert "cannot be reached" in store.sentence
    # The outage lasts far beyond the deadline.
    ago = timedelta(seconds=600)
    Store.objects.update(outage_since=Now() - ago, deadline_at=Now() - ago + timedelta(seconds=60))
    runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert (store.status, store.attempts) == (Status.PROVISIONING, 0)
    monkeypatch.undo()
    runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert store.outage_since is None
    assert 50 <= (store.deadline_at - store.status_since).total_seconds() <= 70
    work(store)
    assert store.status == Status.READY


def test_past_its_deadline_a_store_fails_with_the_cause_that_the_cluster_shows(
    alice, as_alice, work, cluster, settings
):
    settings.DIAGNOSE_SECONDS = 3600  # before the deadline nobody asks
    store = create_store(actor=as_alice, owner=alice, name="Broken-image shop", address="broken")
    work(store, 20)
    assert store.status == Status.PROVISIONING
    Store.objects.update(deadline_at=Now() - timedelta(seconds=1))
    work(store)
    assert store.status == Status.FAILED
    assert "cannot be fetched" in store.sentence
    assert "retry" in store.sentence.lower()
    assert store.operations.get().outcome == Operation.Outcome.FAILED


def test_a_failed_setup_fails_the_store_at_once(alice, as_alice, work):
    store = create_store(actor=as_alice, owner=alice, name="setup-fails", address="setup")
    work(store)
    assert store.status == Status.FAILED
    assert "Setting up the shop did not work" in store.sentence


def test_a_retry_gives_the_release_a_new_revision_and_keeps_the_passwords(
    alice, as_alice, work, cluster
):
    store = create_store(actor=as_alice, owner=alice, name="broken-once", address="once")
    work(store, 20)
    Store.objects.update(deadline_at=Now() - timedelta(seconds=1))
    work(store)
    assert store.status == Status.FAILED
    before = passwords(cluster, store)
    retry_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.READY
    assert passwords(cluster, store) == before


def test_a_refresh_ends_ready_with_its_own_operation(store, as_alice, work):
    work(store)
    refresh_store(store, actor=as_alice)
    assert store.status == Status.UPDATING
    work(store)
    assert store.status == Status.READY
    assert store.operations.first().kind == Operation.Kind.REFRESH


@pytest.mark.parametrize("seconds", [0, 1, 3, 30])
def test_deleted_at_any_moment_nothing_is_left_and_the_place_is_free_only_then(
    store, alice, as_alice, work, cluster, clock, seconds
):
    for _ in range(seconds):
        deliver(cluster)
        clock.passes(1)
        runner.reconcile()
    delete_store(store, actor=as_alice)
    assert alice.stores_used == 1
    work(store)
    assert store.status == Status.DELETED
    assert store.slot is None and store.deleted_at is not None
    assert alice.stores_used == 0
    assert cluster.survey().namespaces == []
    assert cluster.leftovers(store.namespace, store.namespace_uid) == []


def test_a_deletion_asked_for_in_the_middle_of_a_pass_stops_it_at_the_next_step(
    store, as_alice, work, cluster, monkeypatch
):
    def asks_for_deletion(work: steps.Work) -> None:
        steps.create_namespace(work)
        delete_store(Store.objects.get(pk=store.pk), actor=as_alice)

    asks_for_deletion.__name__ = "create_namespace"
    monkeypatch.setattr(steps, "PROVISION", (asks_for_deletion, *steps.PROVISION[1:]))
    runner.converge(store.pk, cluster)
    assert cluster.get("ResourceQuota", "store-quota", store.namespace) is None
    work(store)
    assert store.status == Status.DELETED
    assert cluster.survey().namespaces == []


def test_a_worker_paused_before_it_makes_the_namespace_resurrects_nothing(
    store, as_alice, work, cluster, clock, monkeypatch
):
    apply = SimulatedCluster.apply

    def paused(self, manifest):
        monkeypatch.undo()  # the others work as always
        expire_leases()
        delete_store(Store.objects.get(pk=store.pk), actor=as_alice)
        work(Store.objects.get(pk=store.pk))
        return apply(self, manifest)

    monkeypatch.setattr(SimulatedCluster, "apply", paused)
    runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert store.status == Status.DELETED
    clock.passes(60)
    assert cluster.survey().namespaces == []


def test_a_namespace_left_behind_by_a_late_and_killed_worker_is_swept_up(
    store, as_alice, work, cluster, clock
):
    from provisioning import manifests

    delete_store(store, actor=as_alice)
    work(store)
    store.namespace_uid = ""
    cluster.apply(manifests.namespace(store))
    assert sweep.sweep(cluster).orphans == [store.namespace]
    clock.passes(60)
    assert cluster.survey().namespaces == []


def test_a_namespace_that_somebody_took_away_is_said_so_and_not_rebuilt(
    store, as_alice, work, cluster, clock
):
    work(store)
    cluster.delete("Namespace", store.namespace)
    clock.passes(60)
    runner.converge(store.pk, cluster)
    assert cluster.get("Namespace", store.namespace) is None
    refresh_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.FAILED
    assert "removed from the cluster by somebody else" in store.sentence
    retry_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.FAILED
    assert cluster.get("Namespace", store.namespace) is None


def test_a_password_that_is_gone_while_the_data_lives_is_not_made_anew(
    store, as_alice, work, cluster
):
    work(store)
    cluster.delete("Secret", "store-db", store.namespace)
    refresh_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.FAILED
    assert "not made anew" in store.sentence
    assert cluster.get("Secret", "store-db", store.namespace) is None


def test_a_foreign_namespace_of_the_same_name_is_left_alone(store, work, cluster):
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": store.namespace}})
    work(store)
    assert store.status == Status.FAILED
    assert "belongs to somebody else" in store.sentence
    assert STORE_LABEL not in cluster.get("Namespace", store.namespace)["metadata"]["labels"]


def test_a_fault_of_ours_is_said_with_a_reference_and_is_tried_again(
    store, cluster, work, monkeypatch
):
    def bug(work):
        raise KeyError("s3cret")

    bug.__name__ = "create_namespace"
    monkeypatch.setattr(steps, "PROVISION", (bug, *steps.PROVISION[1:]))
    with pytest.raises(KeyError):
        runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert store.status == Status.PROVISIONING
    assert "reference" in store.sentence and "s3cret" not in store.sentence
    monkeypatch.undo()
    work(store)
    assert store.status == Status.READY


def test_a_store_whose_workers_die_again_and_again_fails_and_says_so(
    store, cluster, monkeypatch, settings
):
    settings.MAX_ATTEMPTS = 3
    monkeypatch.setattr(steps, "PROVISION", (killed,))
    monkeypatch.setattr(steps, "Work", lambda *args: None)
    for _ in range(4):
        expire_leases()
        Store.objects.update(lease_until=None)
        with pytest.raises(SystemExit):
            runner.converge(store.pk, cluster)
        if Store.objects.get(pk=store.pk).attempts >= 3:
            break
    runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert store.status == Status.FAILED
    assert "cut off 3 times" in store.sentence


def test_a_deletion_is_never_given_up(store, as_alice, cluster, clock, monkeypatch):
    deliver(cluster)
    delete_store(store, actor=as_alice)
    Store.objects.update(attempts=1000)

    def unreachable(*args, **kwargs):
        raise ClusterUnavailable("connection refused")

    monkeypatch.setattr(SimulatedCluster, "get", unreachable)
    for _ in range(5):
        runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert store.status == Status.DELETING


def test_a_step_that_ran_out_of_time_is_the_one_that_failed(alice, as_alice, work):
    store = create_store(actor=as_alice, owner=alice, name="broken-image", address="broken")
    work(store, 20)
    Store.objects.update(deadline_at=Now() - timedelta(seconds=1))
    work(store)
    row = OperationStep.objects.get(name="wait_until_running")
    assert row.outcome == "failed" and row.ended_at is not None
    assert "cannot be fetched" in row.sentence


def test_time_in_which_no_worker_looked_does_not_count(alice, as_alice, work):
    store = create_store(actor=as_alice, owner=alice, name="slow shop", address="slow-shop")
    work(store, 2)
    long_ago = Now() - timedelta(hours=2)
    Store.objects.update(due_at=long_ago, deadline_at=Now() - timedelta(hours=1, minutes=55))
    work(store)
    assert store.status == Status.READY


def test_a_platform_without_a_usable_cluster_fails_no_store(store, settings, monkeypatch):
    settings.MAX_ATTEMPTS = 2

    def misconfigured():
        raise ClusterMisconfigured("Helm was not found")

    monkeypatch.setattr(runner, "get_cluster", misconfigured)
    for _ in range(5):
        runner.converge(store.pk)
    store.refresh_from_db()
    assert (store.status, store.attempts) == (Status.PROVISIONING, 0)


def test_a_ready_store_keeps_no_message_of_a_pass_that_went_wrong(
    store, cluster, work, monkeypatch
):
    work(store)

    def bug(work):
        raise KeyError

    monkeypatch.setattr(steps, "PROVISION", (bug,))
    with pytest.raises(KeyError):
        runner.converge(store.pk, cluster)
    assert Store.objects.get(pk=store.pk).message == {}
    Store.objects.update(message={"code": "cluster-unavailable", "params": {}})
    monkeypatch.undo()
    runner.converge(store.pk, cluster)
    assert Store.objects.get(pk=store.pk).message == {}


def test_a_ready_store_without_access_does_not_keep_a_worker_busy(store, cluster, work):
    work(store)
    cluster.delete("RoleBinding", manifests.BINDING, store.namespace)
    apps.get_model("django_q", "OrmQ").objects.all().delete()
    queue.ring(store.pk)
    assert deliver(cluster, limit=30) <= 3


def test_a_store_that_never_had_a_namespace_is_deleted_beside_a_foreign_one(
    store, as_alice, cluster, work
):
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": store.namespace}})
    work(store)
    delete_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.DELETED
    assert cluster.get("Namespace", store.namespace) is not None


@pytest.mark.parametrize(
    "error",
    [
        ClusterUnavailable("helm: EOF"),
        NotYet(Message("access-pending")),
        StepFailed(Message("rejected", {"reason": "no"})),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_release_that_cannot_be_uninstalled_goes_with_its_namespace(
    store, as_alice, cluster, work, monkeypatch, error
):
    work(store)

    def cannot(*args, **kwargs):
        raise error

    monkeypatch.setattr(SimulatedCluster, "uninstall_release", cannot)
    delete_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.DELETED
    assert cluster.survey().namespaces == []


def test_the_salts_and_the_administrator_are_not_made_anew_either(store, as_alice, work, cluster):
    work(store)
    cluster.delete("Secret", "store-wordpress", store.namespace)
    refresh_store(store, actor=as_alice)
    work(store)
    assert "not made anew" in store.sentence


@pytest.mark.django_db(transaction=True)
def test_a_deletion_and_a_pass_that_settles_never_wait_for_each_other(
    store, as_alice, cluster, clock, monkeypatch
):
    for _ in range(20):
        runner.converge(store.pk, cluster)
        clock.passes(1)
        if OperationStep.objects.filter(name="wait_until_running").exists():
            break
    clock.passes(60)  # the next pass settles it
    finish, settling = Timeline.finish, threading.Event()

    def slowly(self, *args):
        finish(self, *args)
        settling.set()
        time.sleep(0.5)  # long enough for the deletion to come as far as it can

    def delete() -> None:
        settling.wait(10)
        delete_store(Store.objects.get(pk=store.pk), actor=as_alice)

    monkeypatch.setattr(Timeline, "finish", slowly)
    meet = (lambda: runner.converge(store.pk, cluster), delete)
    settled, deleted = in_parallel(2, lambda number: meet[number]())
    assert settling.is_set()
    assert settled is None
    # The deletion read the store before it was READY: it is told, and can be asked for again.
    assert deleted is None or isinstance(deleted, StaleStore)
    assert Store.objects.get(pk=store.pk).status in (Status.READY, Status.DELETING)


def test_disks_that_go_are_looked_for_again_soon(store, as_alice, cluster, clock, work):
    work(store)
    delete_store(store, actor=as_alice)
    deliver(cluster)
    clock.passes(3.1)  # the namespace is gone, its disks not yet
    runner.converge(store.pk, cluster)
    store.refresh_from_db()
    assert "is not released yet" in store.sentence
    soon = Now() + timedelta(seconds=3)
    assert Store.objects.filter(pk=store.pk, due_at__lt=soon).exists()


def test_the_clock_rings_what_is_due_and_nothing_else(store, cluster, work):
    rings = apps.get_model("django_q", "OrmQ").objects
    rings.all().delete()
    assert runner.reconcile() == [store.pk]
    Store.objects.update(due_at=Now() + timedelta(seconds=60))
    assert runner.reconcile() == []
    Store.objects.update(due_at=None)
    work(store)
    rings.all().delete()
    assert runner.reconcile() == []


def test_while_no_worker_runs_the_clock_does_not_fill_the_queue(store, monkeypatch):
    monkeypatch.setattr(runner, "ENOUGH_BELLS", 3)
    for _ in range(20):
        runner.reconcile()
    assert apps.get_model("django_q", "OrmQ").objects.count() <= 3 + 2 + 1
