"""Who waits for what and how long: retries, the clock that stands still, a pause, repairs."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from provisioning import diagnosis, patience, runner, storefront
from provisioning.diagnosis import Diagnosis
from provisioning.errors import ClusterUnavailable, StepFailed
from provisioning.sweep import sweep, verify_some
from provisioning.tests.conftest import deliver
from stores import queue
from stores.errors import IllegalTransition, Refused
from stores.lifecycle import Health, Status
from stores.messages import Message
from stores.models import AuditEvent, Operation, OperationStep, Pause, Store
from stores.services import (
    delete_store,
    pause_provisioning,
    refresh_store,
    repair_store,
    resume_provisioning,
)

REFUSED = StepFailed(Message("chart-refused", {"reason": "no such field"}))


def refuse(*args, **kwargs):
    raise REFUSED


def due_now(store: Store) -> None:
    Store.objects.filter(pk=store.pk).update(due_at=Now() - timedelta(seconds=1))


def one_pass(store: Store, cluster) -> Store:
    due_now(store)
    runner.converge(store.pk, cluster)
    store.refresh_from_db()
    return store


def started(store: Store, cluster, clock) -> Store:
    """A store whose release is in and whose workloads are not up."""
    deliver(cluster)
    clock.passes(1)
    return one_pass(store, cluster)


def long_ago() -> None:
    OperationStep.objects.update(started_at=Now() - timedelta(seconds=60))


# --- Retries -----------------------------------------------------------------------------


def test_a_refused_step_is_tried_three_times_more_with_ever_longer_pauses(
    store, cluster, clock, monkeypatch
):
    monkeypatch.setattr(cluster, "ensure_release", refuse)
    deliver(cluster)
    clock.passes(1)
    pauses = []
    for _ in range(3):
        one_pass(store, cluster)
        assert store.status == Status.PROVISIONING
        pauses.append(round((store.due_at - timezone.now()).total_seconds()))
    assert pauses == [2, 4, 8]
    one_pass(store, cluster)
    assert store.status == Status.FAILED
    assert "no such field" in store.sentence
    assert store.operations.get().failures == 3


def test_a_bell_is_no_reason_not_to_wait_before_the_next_try(store, cluster, clock, monkeypatch):
    def refuse_while_somebody_rings(*args, **kwargs):
        queue.ring(store.pk)
        raise REFUSED

    monkeypatch.setattr(cluster, "ensure_release", refuse_while_somebody_rings)
    deliver(cluster)
    clock.passes(1)
    one_pass(store, cluster)
    deliver(cluster)
    assert store.operations.get().failures == 1


def test_a_step_that_works_after_all_leaves_no_trace(store, cluster, clock, work, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(cluster, "ensure_release", refuse)
        deliver(cluster)
        clock.passes(1)
        one_pass(store, cluster)
    work(store)
    assert store.status == Status.READY
    assert (store.message, store.attempts) == ({}, 1)


def test_what_cannot_get_better_is_not_tried_again(store, cluster, clock, work, as_alice):
    work(store)
    cluster.delete("Secret", "store-db", store.namespace)
    refresh_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.FAILED
    operation = store.operations.first()
    assert operation.failures == 0
    assert operation.diagnosis["move"] == "support"


# --- Whose fault it is -------------------------------------------------------------------


@pytest.fixture
def blamed(monkeypatch):
    """Makes the diagnosis say so."""

    def blame(kind: str, **fields) -> None:
        found = Diagnosis(
            Message("gave-up", {"error": "X", "reference": "y"}), kind, "platform", **fields
        )
        monkeypatch.setattr(diagnosis, "diagnose", lambda evidence: found)

    return blame


@pytest.mark.parametrize("kind", ["cluster", "portal"], ids=lambda kind: f"class-{kind}")
def test_for_what_is_not_the_stores_fault_the_clock_stands_still(
    store, cluster, clock, blamed, kind
):
    started(store, cluster, clock)
    long_ago()
    blamed(kind)
    Store.objects.update(deadline_at=Now() + timedelta(seconds=1))
    one_pass(store, cluster)
    assert store.outage_since is not None
    Store.objects.update(
        deadline_at=Now() - timedelta(seconds=100), outage_since=Now() - timedelta(seconds=200)
    )
    one_pass(store, cluster)
    assert store.status == Status.PROVISIONING
    assert "Something unexpected" in store.sentence


def test_when_the_cause_is_gone_the_time_that_was_lost_is_given_back(
    store, cluster, clock, blamed, monkeypatch
):
    started(store, cluster, clock)
    long_ago()
    Store.objects.update(
        deadline_at=Now() - timedelta(seconds=100), outage_since=Now() - timedelta(seconds=200)
    )
    monkeypatch.setattr(diagnosis, "diagnose", lambda evidence: None)
    one_pass(store, cluster)
    assert store.status == Status.PROVISIONING
    assert store.outage_since is None
    assert 80 < (store.deadline_at - timezone.now()).total_seconds() < 110


@pytest.mark.parametrize("kind", ["workload", "chart"])
def test_where_waiting_cannot_help_the_store_fails_before_its_deadline(
    store, cluster, clock, blamed, kind
):
    started(store, cluster, clock)
    long_ago()
    blamed(kind, at_once=True)
    one_pass(store, cluster)
    assert store.status == Status.FAILED


@pytest.mark.parametrize("kind", ["user", "unknown", "workload"])
def test_otherwise_it_is_given_its_time(store, cluster, clock, blamed, kind):
    started(store, cluster, clock)
    long_ago()
    blamed(kind)
    one_pass(store, cluster)
    assert store.status == Status.PROVISIONING
    Store.objects.update(deadline_at=Now() - timedelta(seconds=1))
    one_pass(store, cluster)
    assert store.status == Status.FAILED


def test_a_cause_that_is_not_known_is_said_to_be_waiting_too_long(
    store, cluster, clock, monkeypatch
):
    started(store, cluster, clock)
    monkeypatch.setattr(diagnosis, "diagnose", lambda evidence: None)
    Store.objects.update(deadline_at=Now() - timedelta(seconds=1))
    one_pass(store, cluster)
    assert "The last thing it waited for" in store.sentence


def test_the_diagnosis_stays_with_the_operation(store, cluster, clock, blamed):
    started(store, cluster, clock)
    long_ago()
    blamed("workload", lines=("Pod x: no",))
    one_pass(store, cluster)
    assert store.operations.get().diagnosis["lines"] == ["Pod x: no"]
    assert store.status == Status.PROVISIONING


def test_the_cluster_is_not_asked_why_before_something_takes_long(
    store, cluster, clock, monkeypatch
):
    asked = []
    monkeypatch.setattr(cluster, "evidence", lambda namespace: asked.append(namespace) or {})
    started(store, cluster, clock)
    assert asked == []


def test_an_outage_is_asked_about_ever_more_rarely(monkeypatch):
    monkeypatch.setattr(patience.random, "uniform", lambda low, high: 1.0)
    now = timezone.now()
    ages = [0, 3, 20, 300]
    waits = [patience.backoff(now - timedelta(seconds=age)) for age in ages]
    assert [round(wait) for wait in waits] == [5, 5, 20, 60]


def test_a_cluster_that_asks_for_a_pause_is_left_alone_so_long(store, cluster, monkeypatch):
    def overloaded(*args, **kwargs):
        raise ClusterUnavailable("429", retry_after=40)

    monkeypatch.setattr(cluster, "apply", overloaded)
    one_pass(store, cluster)
    assert "too much to do" in store.sentence
    assert 35 < (store.due_at - timezone.now()).total_seconds() <= 41


def test_not_all_stores_ask_at_the_same_moment():
    assert len({patience.backoff(None) for _ in range(20)}) > 10


# --- A pause -----------------------------------------------------------------------------


def test_while_provisioning_is_paused_nothing_begins_and_nothing_fails(
    store, cluster, clock, work, as_carol
):
    started(store, cluster, clock)
    pause_provisioning("The storage is being replaced.", actor=as_carol)
    clock.passes(100)
    Store.objects.update(deadline_at=Now() + timedelta(seconds=1))
    one_pass(store, cluster)
    assert store.status == Status.PROVISIONING
    assert "The storage is being replaced." in store.sentence
    Store.objects.update(
        deadline_at=Now() - timedelta(seconds=100), outage_since=Now() - timedelta(seconds=200)
    )
    one_pass(store, cluster)
    assert store.status == Status.PROVISIONING
    resume_provisioning(actor=as_carol)
    work(store)
    assert store.status == Status.READY


def test_a_store_that_is_asked_for_during_a_pause_waits_in_line(store, cluster, work, as_carol):
    pause_provisioning("Maintenance", actor=as_carol)
    deliver(cluster)
    store.refresh_from_db()
    assert store.status == Status.REQUESTED
    assert "Maintenance" in store.sentence
    assert cluster.get("Namespace", store.namespace) is None


def test_a_deletion_goes_on_during_a_pause(store, cluster, work, as_carol, as_alice):
    work(store)
    pause_provisioning("Maintenance", actor=as_carol)
    delete_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.DELETED


def test_a_pause_has_a_reason_and_is_audited_and_ends_once(db, as_carol):
    with pytest.raises(Refused, match="Give a reason"):
        pause_provisioning(" ", actor=as_carol)
    assert Pause.current() is None
    pause_provisioning("one", actor=as_carol)
    pause_provisioning("two", actor=as_carol)
    assert Pause.current().reason == "two"
    resume_provisioning(actor=as_carol)
    with pytest.raises(IllegalTransition, match="not paused"):
        resume_provisioning(actor=as_carol)
    actions = list(AuditEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["platform.pause", "platform.pause", "platform.resume"]


def test_the_end_of_a_pause_takes_rows_before_the_audit_head_as_everybody_does(store, as_carol):
    pause_provisioning("Maintenance", actor=as_carol)
    with CaptureQueriesContext(connection) as queries:
        resume_provisioning(actor=as_carol)
    asked = [query["sql"] for query in queries]
    rows = [n for n, sql in enumerate(asked) if sql.startswith('UPDATE "stores_store"')]
    head = [n for n, sql in enumerate(asked) if "stores_audithead" in sql]
    assert rows and head and max(rows) < min(head)


def test_a_repair_keeps_its_time_and_its_store_its_health_during_a_pause(
    store, cluster, work, as_carol
):
    work(store)
    repair_store(store, FOUND)
    pause_provisioning("Maintenance", actor=as_carol)
    one_pass(store, cluster)
    assert "Maintenance" in store.sentence
    assert store.outage_since is not None
    sweep(cluster)
    store.refresh_from_db()
    assert store.health == Health.HEALTHY


# --- Repairs -----------------------------------------------------------------------------

FOUND = [Message("object-gone", {"kind": "NetworkPolicy", "name": "store-default-deny"})]


def test_a_repair_is_an_operation_with_steps_done_by_the_system(store, cluster, work):
    work(store)
    cluster.delete("NetworkPolicy", "store-default-deny", store.namespace)
    assert repair_store(store, FOUND) is True
    store.refresh_from_db()
    assert store.status == Status.READY
    deliver(cluster)
    assert cluster.get("NetworkPolicy", "store-default-deny", store.namespace) is not None
    operation = store.operations.first()
    assert (operation.kind, operation.outcome) == ("repair", "succeeded")
    assert operation.steps.count() == 6
    assert operation.findings == [FOUND[0].as_json()]
    event = AuditEvent.objects.get(action="store.ask_repair")
    assert (event.actor_name, event.details["findings"]) == ("system", operation.findings)


def test_a_repair_that_found_nothing_to_wait_for_is_seen_to_have_ended(
    store, cluster, work, monkeypatch
):
    work(store)
    repair_store(store, FOUND)
    revisions = []
    finish = runner.Timeline.finish

    def note(*args, **kwargs):
        revisions.append(Store.objects.get(pk=store.pk).revision)
        finish(*args, **kwargs)

    monkeypatch.setattr(
        runner.Timeline,
        "ends",
        lambda *args: revisions.append(Store.objects.get(pk=store.pk).revision),
    )
    monkeypatch.setattr(runner.Timeline, "finish", note)
    deliver(cluster)
    # A page that shows the last step asks for what is newer than that.
    assert revisions[-1] > revisions[-2]


def test_a_repair_begins_with_time_of_its_own(store, work):
    work(store)
    Store.objects.update(deadline_at=Now() - timedelta(hours=1))
    repair_store(store, FOUND)
    store.refresh_from_db()
    assert store.deadline_at is None


def test_a_second_finding_does_not_begin_a_second_repair(store, work):
    work(store)
    assert repair_store(store, FOUND) is True
    assert repair_store(store, FOUND) is False
    assert store.operations.filter(kind="repair").count() == 1


def test_only_a_ready_store_is_repaired(store):
    assert repair_store(store, FOUND) is False


def test_a_repair_that_nobody_rang_for_is_found_by_the_clock(store, cluster, work):
    work(store)
    repair_store(store, FOUND)
    Store.objects.update(rings=0)
    assert runner.reconcile() == [store.pk]


def test_a_repair_that_does_not_work_ends_and_the_store_stays_ready(
    store, cluster, work, monkeypatch
):
    work(store)
    repair_store(store, FOUND)
    monkeypatch.setattr(cluster, "ensure_release", refuse)
    for _ in range(4):
        one_pass(store, cluster)
    assert store.status == Status.READY
    operation = store.operations.first()
    assert (operation.kind, operation.outcome) == ("repair", "failed")
    assert "no such field" in store.sentence
    assert (store.health, store.health_message) == (Health.DEGRADED, store.message)
    monkeypatch.undo()
    one_pass(store, cluster)
    assert store.message == {}


def test_what_a_pass_could_not_put_right_keeps_the_store_degraded_whatever_else_is_up(
    store, cluster, work
):
    work(store)
    cluster.delete("Secret", "store-wordpress", store.namespace)
    one_pass(store, cluster)
    sweep(cluster)
    store.refresh_from_db()
    assert store.health == Health.DEGRADED
    assert "not made anew" in store.health_sentence
    # Also while somebody tries again and waits for something else.
    repair_store(store, FOUND)
    Store.objects.update(message=Message("cluster-unavailable").as_json())
    sweep(cluster)
    store.refresh_from_db()
    assert store.health == Health.DEGRADED
    assert "not made anew" in store.health_sentence
    store.operations.open().update(finished_at=Now())
    Store.objects.update(message={})
    sweep(cluster)
    store.refresh_from_db()
    assert store.health == Health.HEALTHY


def test_what_an_ordinary_pass_has_put_right_is_a_repair_too(store, cluster, clock, work, settings):
    work(store)
    settings.STORE_MAIL_USER = "relay"
    settings.STORE_MAIL_PASSWORD = "secret"
    one_pass(store, cluster)
    clock.passes(10)
    one_pass(store, cluster)
    operation = store.operations.first()
    assert (operation.kind, operation.outcome) == ("repair", "succeeded")
    assert operation.findings[0]["params"] == {"kind": "Secret", "name": "store-smtp"}
    assert "create_secrets" in [step.name for step in operation.steps.all()]
    assert AuditEvent.objects.get(action="store.ask_repair").actor_name == "system"
    one_pass(store, cluster)
    assert store.operations.count() == 2


def test_a_release_that_helm_had_to_mend_is_a_repair_too(store, cluster, clock, work):
    work(store)
    cluster.leave_release(store.namespace, "store", "pending-upgrade")
    one_pass(store, cluster)
    clock.passes(10)
    one_pass(store, cluster)
    operation = store.operations.first()
    assert (operation.kind, operation.outcome) == ("repair", "succeeded")
    assert "install_release" in [step.name for step in operation.steps.all()]


def test_a_ready_shop_whose_address_falls_silent_says_so_until_it_answers(
    store, cluster, work, monkeypatch
):
    work(store)
    monkeypatch.setattr(type(cluster), "routes_traffic", True)
    monkeypatch.setattr(storefront, "silent_because", lambda url: "connection refused")
    one_pass(store, cluster)
    assert (store.status, store.health) == (Status.READY, Health.DEGRADED)
    assert "does not answer" in store.health_sentence
    assert store.pk in verify_some()
    monkeypatch.setattr(storefront, "silent_because", lambda url: "")
    one_pass(store, cluster)
    sweep(cluster)
    store.refresh_from_db()
    assert (store.message, store.health) == ({}, Health.HEALTHY)


def test_a_repair_that_never_lasts_is_not_repeated_for_ever_and_said(store, cluster, work):
    work(store)
    for _ in range(8):
        cluster.delete("NetworkPolicy", "store-default-deny", store.namespace)
        sweep(cluster)
        deliver(cluster)
    store.refresh_from_db()
    assert store.operations.filter(kind="repair").count() == 5
    assert "changed again every time" in store.sentence


def test_a_lost_namespace_is_said_so_and_the_store_keeps_its_status(store, cluster, work):
    work(store)
    cluster.delete("Namespace", store.namespace)
    with cluster.file.writing() as objects:
        objects.expire_namespace(store.namespace, 0)
    one_pass(store, cluster)
    assert (store.status, store.health) == (Status.READY, Health.LOST)
    assert "has been removed" in store.health_sentence
    assert cluster.get("Namespace", store.namespace) is None


def test_asking_for_a_refresh_takes_a_repair_over(store, cluster, work, as_alice):
    work(store)
    repair_store(store, FOUND)
    refresh_store(store, actor=as_alice)
    work(store)
    kinds = list(store.operations.values_list("kind", "outcome"))
    assert kinds[:2] == [("refresh", "succeeded"), ("repair", "superseded")]


def test_an_update_that_the_cluster_refuses_leaves_the_shop_ready_and_its_operation_failed(
    store, cluster, work, as_alice, monkeypatch
):
    work(store)
    refresh_store(store, actor=as_alice)
    monkeypatch.setattr(cluster, "ensure_release", refuse)
    for _ in range(4):
        one_pass(store, cluster)
    assert store.status == Status.READY
    operation = store.operations.first()
    assert (operation.kind, operation.outcome) == ("refresh", Operation.Outcome.FAILED)


def test_no_transaction_is_open_while_the_cluster_is_asked_whether_the_shop_still_runs(
    store, cluster, work, as_alice, monkeypatch
):
    work(store)
    refresh_store(store, actor=as_alice)
    monkeypatch.setattr(cluster, "ensure_release", refuse)
    depths, before = [], len(connection.savepoint_ids)
    monkeypatch.setattr(
        cluster, "not_ready", lambda namespace: depths.append(len(connection.savepoint_ids)) or []
    )
    for _ in range(4):
        one_pass(store, cluster)
    assert store.status == Status.READY
    assert depths == [before]


def test_a_pass_that_finds_everything_right_says_when(store, cluster, work):
    work(store)
    assert store.verified_at is not None
    assert store.health == Health.HEALTHY
    before = store.verified_at
    one_pass(store, cluster)
    assert store.verified_at > before
