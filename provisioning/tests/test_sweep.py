"""The clock's look at everything, and what it does about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db.models.functions import Now
from django.utils import timezone

from provisioning import manifests, observing, runner, sweep, tasks
from provisioning.cluster import get_cluster
from provisioning.cluster.base import PARTS_ANNOTATION, STORE_LABEL
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.errors import ClusterUnavailable, StepFailed
from provisioning.tests.conftest import Clock, deliver
from stores import services
from stores.actor import Actor
from stores.audit import AuditEvent
from stores.lifecycle import Health, Status
from stores.messages import Message
from stores.models import Heartbeat, Operation, Snapshot, Store

Work = Callable[[Store], None]


@pytest.fixture
def ready(store: Store, work: Work, cluster: SimulatedCluster) -> Store:
    """A store that is ready, and of which the watcher has nothing new to say."""
    work(store)
    assert store.status == Status.READY
    sweep.sweep(cluster)
    deliver(cluster)
    store.refresh_from_db()
    return store


def queued() -> int:
    return apps.get_model("django_q", "OrmQ").objects.count()


def history(store: Store) -> list[str]:
    events = AuditEvent.objects.filter(store=store, action__startswith="store.health")
    return list(events.order_by("pk").values_list("action", flat=True))


# --- Health ----------------------------------------------------------------------------------


def test_a_sweep_writes_down_how_stores_are_and_when_it_looked(
    ready: Store, cluster: SimulatedCluster
) -> None:
    assert ready.health == Health.HEALTHY
    assert Heartbeat.seen(Heartbeat.SWEEP) is not None
    cluster.disturb("Deployment", "store-web", ready.namespace, "unready")
    report = sweep.sweep(cluster)
    assert [store.pk for store in report.changed] == [ready.pk]
    ready.refresh_from_db()
    assert ready.health == Health.DEGRADED
    assert "The shop does not serve since" in ready.health_sentence
    assert "does not answer the question whether it is ready" in ready.health_sentence
    assert ready.status == Status.READY

    cluster.disturb("Deployment", "store-web", ready.namespace)
    sweep.sweep(cluster)
    ready.refresh_from_db()
    assert (ready.health, ready.health_message) == (Health.HEALTHY, {})


def test_a_sweep_in_which_nothing_is_new_writes_no_store(
    ready: Store, cluster: SimulatedCluster
) -> None:
    report = sweep.sweep(cluster)
    revision = ready.revision
    ready.refresh_from_db()
    assert ready.revision == revision
    assert (report.changed, report.findings, report.repairs, report.orphans) == ([], [], [], [])


def test_the_version_of_a_page_moves_with_the_health(
    ready: Store, cluster: SimulatedCluster
) -> None:
    before = ready.revision
    cluster.disturb("StatefulSet", "store-db", ready.namespace, "crash")
    sweep.sweep(cluster)
    ready.refresh_from_db()
    assert ready.revision == before + 1


def test_a_store_that_is_not_ready_yet_or_going_has_no_health(
    store: Store, cluster: SimulatedCluster, work: Work
) -> None:
    sweep.sweep(cluster)
    store.refresh_from_db()
    assert store.health == ""


def test_a_sweep_keeps_what_it_found_out_about_the_cluster(
    ready: Store, cluster: SimulatedCluster
) -> None:
    facts = Snapshot.latest()
    assert facts is not None
    assert facts.facts["storage_classes"][0]["default"] is True
    assert Snapshot.objects.count() == 1


# --- History ---------------------------------------------------------------------------------


def backdate_health(store: Store, seconds: float) -> None:
    Store.objects.filter(pk=store.pk).update(health_since=Now() - timedelta(seconds=seconds))


def test_the_history_is_told_once_a_change_has_held(
    ready: Store, cluster: SimulatedCluster, settings: Any
) -> None:
    settings.HEALTH_HOLD_SECONDS = 10
    cluster.disturb("Deployment", "store-web", ready.namespace, "unready")
    sweep.sweep(cluster)
    assert observing.tell() == 0
    assert history(ready) == []
    backdate_health(ready, 11)
    assert observing.tell() == 1
    assert observing.tell() == 0
    assert history(ready) == ["store.health_degraded"]
    event = AuditEvent.objects.get(action="store.health_degraded")
    assert event.actor_id is None
    assert event.details["message"]["code"] == "part-unready"


def test_where_no_watcher_runs_the_sweep_tells_the_history(
    ready: Store, cluster: SimulatedCluster
) -> None:
    cluster.disturb("Deployment", "store-web", ready.namespace, "unready")
    sweep.sweep(cluster)
    backdate_health(ready, 60)
    sweep.sweep(cluster)
    assert history(ready) == ["store.health_degraded"]


def test_flapping_makes_one_entry(ready: Store, cluster: SimulatedCluster, settings: Any) -> None:
    settings.HEALTH_HOLD_SECONDS = 10
    for _ in range(4):
        cluster.disturb("Deployment", "store-web", ready.namespace, "unready")
        sweep.sweep(cluster)
        observing.tell()
        cluster.disturb("Deployment", "store-web", ready.namespace)
        sweep.sweep(cluster)
        observing.tell()
    assert history(ready) == []
    cluster.disturb("Deployment", "store-web", ready.namespace, "unready")
    sweep.sweep(cluster)
    backdate_health(ready, 11)
    observing.tell()
    for _ in range(3):
        cluster.disturb("Deployment", "store-web", ready.namespace)
        sweep.sweep(cluster)
        observing.tell()
        cluster.disturb("Deployment", "store-web", ready.namespace, "unready")
        sweep.sweep(cluster)
        observing.tell()
    assert history(ready) == ["store.health_degraded"]


def test_two_who_tell_at_the_same_time_tell_once(ready: Store, cluster: SimulatedCluster) -> None:
    cluster.disturb("Deployment", "store-web", ready.namespace, "unready")
    sweep.sweep(cluster)
    backdate_health(ready, 60)
    first, second = observing.untold().get(), observing.untold().get()
    assert observing.tell_of(first) is True
    assert observing.tell_of(second) is False
    assert history(ready) == ["store.health_degraded"]


# --- Lost ------------------------------------------------------------------------------------


def test_a_ready_store_whose_namespace_is_gone_is_lost_and_never_rebuilt(
    ready: Store, cluster: SimulatedCluster, clock: Clock, work: Work
) -> None:
    cluster.delete("Namespace", ready.namespace)
    clock.passes(60)
    report = sweep.sweep(cluster)
    ready.refresh_from_db()
    assert (ready.status, ready.health) == (Status.READY, Health.LOST)
    assert ready.namespace in ready.health_sentence
    assert "No disk of it is left" in ready.health_sentence
    assert report.repairs == []
    sweep.sweep(cluster)
    deliver(cluster)
    assert cluster.survey().namespaces == []
    assert [one.kind for one in ready.operations.all()] == ["create"]


def test_a_store_whose_disk_is_gone_is_lost_and_gets_no_empty_one(
    ready: Store, cluster: SimulatedCluster, as_alice: Actor
) -> None:
    assert set(ready.volumes) == {"store-content", "data-store-db-0"}
    cluster.delete("PersistentVolumeClaim", "data-store-db-0", ready.namespace)
    sweep.sweep(cluster)
    ready.refresh_from_db()
    assert ready.health == Health.LOST
    assert "data-store-db-0" in ready.health_sentence
    # Whoever asks: a pass does not put an empty disk in its place either.
    services.refresh_store(ready, actor=as_alice)
    deliver(cluster)
    assert cluster.get("PersistentVolumeClaim", "data-store-db-0", ready.namespace) is None
    ready.refresh_from_db()
    assert ready.status == Status.FAILED
    assert ready.message["code"] == "volume-lost"


def test_a_namespace_that_only_lost_its_label_is_no_loss_and_gets_it_back(
    ready: Store, cluster: SimulatedCluster
) -> None:
    stomp_labels(cluster, ready)
    assert cluster.survey().namespaces == []
    report = sweep.sweep(cluster)
    ready.refresh_from_db()
    assert ready.health == Health.HEALTHY
    assert [store.pk for store in report.repairs] == [ready.pk]
    deliver(cluster)
    assert [one.store_id for one in cluster.survey().namespaces] == [str(ready.pk)]


def stomp_labels(cluster: SimulatedCluster, store: Store) -> None:
    with cluster.file.writing() as objects:
        namespace = objects.namespace(store.namespace)
        assert namespace is not None
        del namespace.body["metadata"]["labels"][STORE_LABEL]
        objects.save(namespace)


# --- Drift -----------------------------------------------------------------------------------


def test_what_was_taken_away_is_put_back_by_a_repair_that_people_can_read(
    ready: Store, cluster: SimulatedCluster, clock: Clock
) -> None:
    cluster.delete("NetworkPolicy", "store-default-deny", ready.namespace)
    cluster.delete("Service", "store-web", ready.namespace)
    report = sweep.sweep(cluster)
    assert [store.pk for store in report.repairs] == [ready.pk]
    ready.refresh_from_db()
    assert ready.status == Status.READY
    deliver(cluster)
    assert cluster.get("NetworkPolicy", "store-default-deny", ready.namespace)
    assert cluster.get("Service", "store-web", ready.namespace)
    clock.passes(10)  # Helm has restarted the shop
    Store.objects.update(due_at=None)
    runner.reconcile()
    deliver(cluster)

    operation = ready.operations.first()
    assert operation is not None
    assert (operation.kind, operation.outcome) == ("repair", "succeeded")
    assert {(one["code"], one["params"]["kind"]) for one in operation.findings} == {
        ("drift-missing", "NetworkPolicy"),
        ("drift-missing", "Service"),
    }
    assert operation.steps.count() == 6
    event = AuditEvent.objects.get(action="store.ask_repair")
    assert event.actor_id is None
    assert len(event.details["findings"]) == 2


def test_a_second_sweep_during_a_repair_opens_no_second_one(
    ready: Store, cluster: SimulatedCluster
) -> None:
    cluster.delete("LimitRange", "store-limits", ready.namespace)
    assert sweep.sweep(cluster).repairs
    assert sweep.sweep(cluster).repairs == []
    assert ready.operations.filter(kind="repair").count() == 1


def test_an_edited_workload_is_made_as_it_was(ready: Store, cluster: SimulatedCluster) -> None:
    with cluster.file.writing() as objects:
        web = objects.find("Deployment", "store-web", ready.namespace)
        assert web is not None
        objects.change(web, {**web.body, "spec": {**web.body["spec"], "replicas": 0}})
    assert sweep.sweep(cluster).repairs
    deliver(cluster)
    web_now = cluster.get("Deployment", "store-web", ready.namespace)
    assert web_now is not None
    assert web_now["spec"]["replicas"] == 1


def test_a_secret_that_protects_the_data_is_never_made_anew(
    ready: Store, cluster: SimulatedCluster
) -> None:
    cluster.delete("Secret", "store-db", ready.namespace)
    Store.objects.update(verified_at=Now() - timedelta(days=1))
    assert sweep.sweep(cluster).verified == [ready.pk]
    deliver(cluster)
    ready.refresh_from_db()
    assert cluster.get("Secret", "store-db", ready.namespace) is None
    assert ready.status == Status.READY
    assert ready.message["code"] == "secret-lost"
    assert "store-db" in ready.sentence


@pytest.mark.parametrize(
    "text", ["", "no json", "3", "[[1, 2]]", "[" * 100_000],
    ids=["empty", "no-json", "number", "list", "deep"],
)  # fmt: skip
def test_what_somebody_wrote_into_the_annotations_of_one_store_blinds_nobody_and_is_put_right(
    ready: Store, cluster: SimulatedCluster, text: str
) -> None:
    with cluster.file.writing() as objects:
        namespace = objects.namespace(ready.namespace)
        assert namespace is not None
        namespace.body["metadata"]["annotations"][PARTS_ANNOTATION] = text
        objects.save(namespace)
    assert [store.pk for store in sweep.sweep(cluster).repairs] == [ready.pk]
    deliver(cluster)
    assert sweep.sweep(cluster).findings == []


def test_a_repair_that_did_not_help_is_not_tried_again_at_once(
    ready: Store, cluster: SimulatedCluster
) -> None:
    cluster.delete("LimitRange", "store-limits", ready.namespace)
    (store, findings), *_ = sweep.sweep(cluster).findings
    end = {"outcome": Operation.Outcome.FAILED, "finished_at": timezone.now()}
    store.operations.filter(kind="repair").update(**end)
    assert sweep.sweep(cluster).repairs == []
    # Something else is wrong by now: that is worth another try.
    cluster.delete("NetworkPolicy", "store-default-deny", ready.namespace)
    assert sweep.sweep(cluster).repairs
    store.operations.filter(kind="repair").update(
        outcome=end["outcome"], finished_at=timezone.now() - timedelta(minutes=11)
    )
    assert sweep.sweep(cluster).repairs


def test_a_store_that_somebody_works_on_is_left_to_them(
    ready: Store, cluster: SimulatedCluster
) -> None:
    cluster.delete("LimitRange", "store-limits", ready.namespace)
    Store.objects.update(lease_until=Now() + timedelta(seconds=60))
    assert sweep.sweep(cluster).findings == []


def test_a_dry_run_says_what_it_would_repair_and_repairs_nothing(
    ready: Store, cluster: SimulatedCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.delete("LimitRange", "store-limits", ready.namespace)
    call_command("reconcile_stores", "--dry-run", "--json")
    (found,) = json.loads(capsys.readouterr().out)
    assert found["id"] == str(ready.pk)
    assert found["findings"] == ["LimitRange store-limits was missing."]
    call_command("reconcile_stores", "--dry-run")
    said = capsys.readouterr().out
    assert "LimitRange store-limits was missing." in said
    assert said.endswith("0 stores due, 1 to repair.\n")
    assert cluster.get("LimitRange", "store-limits", ready.namespace) is None
    assert ready.operations.count() == 1


# --- Verification ----------------------------------------------------------------------------


def test_every_ready_store_gets_a_whole_pass_now_and_then(
    ready: Store, cluster: SimulatedCluster
) -> None:
    assert sweep.sweep(cluster).verified == []
    Store.objects.update(verified_at=Now() - timedelta(hours=2))
    before = Store.objects.get(pk=ready.pk).verified_at
    assert sweep.sweep(cluster).verified == [ready.pk]
    deliver(cluster)
    ready.refresh_from_db()
    assert before is not None and ready.verified_at is not None
    assert ready.verified_at > before
    assert [one.kind for one in ready.operations.all()] == ["create"]


def test_passes_are_spread_over_the_time_there_is(
    ready: Store, cluster: SimulatedCluster, settings: Any
) -> None:
    settings.SWEEP_SECONDS, settings.VERIFY_SECONDS = 60, 600
    Store.objects.bulk_create(
        Store(
            owner=ready.owner, slot=number, name="x", address=f"x-{number}",
            namespace=f"store-x-{number}", status=Status.READY,
        )
        for number in range(1, 20)
    )  # fmt: skip
    assert len(sweep.verify_some()) == 2


def test_stores_that_are_not_well_do_not_keep_the_others_from_being_looked_at(
    ready: Store, settings: Any
) -> None:
    settings.SWEEP_SECONDS, settings.VERIFY_SECONDS = 60, 600
    Store.objects.update(verified_at=Now() - timedelta(hours=2))
    Store.objects.bulk_create(
        Store(
            owner=ready.owner, slot=number, name="x", address=f"x-{number}",
            namespace=f"store-x-{number}", status=Status.READY, health=Health.DEGRADED,
        )
        for number in range(1, 6)
    )  # fmt: skip
    assert ready.pk in sweep.verify_some()


# --- The clock -------------------------------------------------------------------------------


def test_however_many_clocks_ask_there_is_one_sweep_in_its_time(
    ready: Store, cluster: SimulatedCluster, settings: Any
) -> None:
    settings.SWEEP_SECONDS = 60
    assert sweep.sweep_when_due(cluster) is not None
    assert sweep.sweep_when_due(cluster) is None
    Heartbeat.objects.filter(pk=sweep.CLAIM).update(at=Now() - timedelta(seconds=59))
    assert sweep.sweep_when_due(cluster) is not None


def test_a_sweep_that_does_not_get_to_the_cluster_is_no_look(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise ClusterUnavailable("away")

    monkeypatch.setattr(get_cluster(), "survey", away)
    assert tasks.reconcile() == [store.pk]
    assert Heartbeat.seen(Heartbeat.SWEEP) is None


# --- Orphans ---------------------------------------------------------------------------------


def test_a_namespace_with_our_label_and_a_foreign_uid_is_never_touched(
    ready: Store, cluster: SimulatedCluster
) -> None:
    Store.objects.update(status=Status.DELETED, slot=None, namespace_uid="another")
    assert sweep.sweep(cluster).orphans == []
    stranger = manifests.namespace(Store(owner=ready.owner, name="x", namespace="store-x"))
    cluster.apply(stranger)
    assert sweep.sweep(cluster).orphans == []
    assert cluster.get("Namespace", "store-x")


def test_a_namespace_that_cannot_be_removed_keeps_nobody_from_the_rest(
    ready: Store, cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise StepFailed(Message("rejected", {"reason": "a policy forbids it"}))

    Store.objects.update(status=Status.DELETED, slot=None)
    Heartbeat.objects.all().delete()
    monkeypatch.setattr(cluster, "delete", refuse)
    assert sweep.sweep(cluster).orphans == []
    assert Heartbeat.seen(Heartbeat.SWEEP) is not None


def test_a_store_that_cannot_be_judged_does_not_end_the_sweep(
    ready: Store, cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stumble(*_: Any) -> None:
        raise RuntimeError("not thought of")

    monkeypatch.setattr(observing, "look_at", stumble)
    cluster.delete("NetworkPolicy", "store-default-deny", ready.namespace)
    before = Heartbeat.seen(Heartbeat.SWEEP)
    with pytest.raises(RuntimeError, match="not thought of"):
        sweep.sweep(cluster)
    assert ready.operations.first().kind == "repair"
    assert Heartbeat.seen(Heartbeat.SWEEP) > before
