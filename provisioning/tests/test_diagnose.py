"""manage.py diagnose, and what is kept of a diagnosis when the cluster has forgotten everything."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from provisioning import runner
from provisioning.cluster import get_cluster
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.tests.conftest import Clock, deliver
from stores.actor import Actor
from stores.lifecycle import Status
from stores.models import Operation, Store, User
from stores.services import create_store, delete_store

Work = Callable[[Store], None]


@pytest.fixture(autouse=True)
def clock(clock: Clock) -> Clock:
    """The command asks the same cluster by the clock on the wall."""
    clock.now = time.time() - 3600
    return clock


@pytest.fixture
def open_shop(alice: User, as_alice: Actor, work: Work, settings) -> Callable[[str], Store]:
    settings.RETRY_SECONDS, settings.DIAGNOSE_SECONDS = [], 0

    def opened(name: str) -> Store:
        store = create_store(actor=as_alice, owner=alice, name=name, address="anna")
        work(store)
        return store

    return opened


def diagnose(*words: str) -> str:
    out = StringIO()
    call_command("diagnose", *words, stdout=out)
    return out.getvalue()


def look_again_and_again(cluster: SimulatedCluster, clock: Clock, seconds: int) -> None:
    for _ in range(seconds):
        clock.passes(1)
        Store.objects.update(due_at=None)
        runner.reconcile()
        deliver(cluster)


def take_the_cluster_away(settings) -> None:
    settings.CLUSTER, settings.HELM = "kubernetes", "no-such-helm"
    get_cluster.cache_clear()


def test_it_prints_cause_class_move_action_and_evidence(open_shop) -> None:
    store = open_shop("Crash")
    assert store.status == Status.FAILED
    said = diagnose("anna")
    assert f"{store.url} is failed, since {store.status_since:%Y-%m-%d %H:%M:%S} UTC." in said
    assert "Cause:    store-db-0 starts and stops again (Error, exit code 1)." in said
    assert "Class:    workload" in said
    assert "Move:     the owner's" in said
    assert "Action:   retry" in said
    assert "  Pod store-db-0, container" in said
    assert "  Log: The fault that this store's name asks for" in said


def test_it_prints_the_same_as_json(open_shop) -> None:
    store = open_shop("Broken-image")
    said = json.loads(diagnose(str(store.pk), "--json"))
    assert said["asked_now"] is True
    assert said["diagnosis"]["kind"] == "workload"
    assert said["diagnosis"]["cause"]["code"] == "image-missing"
    assert said["diagnosis"]["sentence"] == store.sentence
    assert said["since"] == store.status_since.isoformat()


def test_of_a_store_that_is_fine_it_says_so(open_shop) -> None:
    open_shop("Anna")
    said = diagnose("anna")
    assert "is ready" in said
    assert "Nothing is in its way" in said
    assert json.loads(diagnose("anna", "--json"))["diagnosis"] is None


def test_of_a_store_that_waits_without_a_reason_it_shows_the_facts(
    alice: User, as_alice: Actor, cluster: SimulatedCluster, clock: Clock
) -> None:
    clock.now = time.time() + 3600  # made in an hour: nothing of it is up yet
    create_store(actor=as_alice, owner=alice, name="Anna", address="anna")
    look_again_and_again(cluster, clock, seconds=3)
    said = diagnose("anna")
    assert "Class:    unknown" in said
    assert "Deployment store-web: 0 of 1 ready" in said


def test_a_namespace_that_is_gone_is_lost(open_shop, cluster: SimulatedCluster) -> None:
    store = open_shop("Anna")
    cluster.delete("Namespace", store.namespace)
    said = diagnose("anna")
    assert "Move:     support's" in said


def test_without_a_cluster_it_says_what_was_found_last(open_shop, settings) -> None:
    store = open_shop("Crash")
    take_the_cluster_away(settings)
    said = diagnose("anna")
    assert "The cluster cannot be asked (Helm was not found" in said
    assert "This was found last:" in said
    assert store.sentence in said
    assert json.loads(diagnose("anna", "--json"))["asked_now"] is False


def test_without_a_cluster_and_without_a_diagnosis_it_is_an_error(open_shop, settings) -> None:
    open_shop("Anna")
    take_the_cluster_away(settings)
    with pytest.raises(CommandError, match="cannot be asked, and nothing was found before"):
        diagnose("anna")


def test_a_deleted_store_has_nothing_to_diagnose(open_shop, as_alice: Actor, work: Work) -> None:
    store = open_shop("Anna")
    delete_store(store, actor=as_alice)
    work(store)
    with pytest.raises(CommandError, match="deleted"):
        diagnose(str(store.pk))


def test_a_setup_that_ran_out_of_time_is_told_apart_from_one_that_failed(
    alice: User, as_alice: Actor, tmp_path: Path, clock: Clock
) -> None:
    class OutOfTime(SimulatedCluster):
        """Its Jobs fail because they took too long."""

        def evidence(self, namespace: str) -> dict[str, Any]:
            found = super().evidence(namespace)
            for job in found["jobs"]:
                for condition in job["status"].get("conditions", []):
                    condition["reason"] = "DeadlineExceeded"
            return found

    cluster = OutOfTime(tmp_path / "cluster.sqlite3", clock=clock)
    store = create_store(actor=as_alice, owner=alice, name="Setup-fails", address="anna")
    look_again_and_again(cluster, clock, seconds=12)
    store.refresh_from_db()
    assert store.status == Status.FAILED
    assert store.message["code"] == "setup-late"
    assert "took longer than it may" in store.sentence


# --- What is kept ----------------------------------------------------------------------------


def test_the_cause_and_the_last_words_stay_when_the_cluster_has_forgotten_them(
    open_shop, cluster: SimulatedCluster
) -> None:
    store = open_shop("Crash")
    cluster.delete("Namespace", store.namespace)
    operation = Operation.objects.get(store=store)
    assert operation.diagnosis["cause"] == store.message
    assert operation.evidence["events"]
    assert "CrashLoopBackOff" in " ".join(operation.evidence["pods"])
    (log,) = (text for name, text in operation.evidence["logs"].items() if "store-db-0" in name)
    assert "The fault that this store's name asks for" in log
    assert len(json.dumps(operation.evidence)) < 32_000


def test_at_the_deadline_an_unknown_cause_is_kept_with_the_raw_facts(
    alice: User, as_alice: Actor, cluster: SimulatedCluster, clock: Clock
) -> None:
    store = create_store(actor=as_alice, owner=alice, name="Slow", address="anna")
    look_again_and_again(cluster, clock, seconds=8)
    Store.objects.update(deadline_at=Now() - timedelta(seconds=1))
    look_again_and_again(cluster, clock, seconds=1)
    store.refresh_from_db()
    assert store.status == Status.FAILED
    assert store.message["code"] == "too-slow"
    found = Operation.objects.get(store=store).diagnosis
    assert (found["kind"], found["move"]) == ("unknown", "support")
    assert any("store-web" in line for line in found["lines"])
