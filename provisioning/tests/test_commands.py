"""The commands, as an operator types them: an exit code, one clear line, JSON for scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.core.management import ManagementUtility, call_command
from django.db import connection

from provisioning import manifests
from provisioning.checks import check_queue
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.cluster.simulation.looking import FACTS
from provisioning.diagnosis import Diagnosis
from stores.actor import SYSTEM, Actor
from stores.audit import AuditEvent
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Heartbeat, Snapshot, Store, User
from stores.services import create_store

# A command closes its connections at the end, as it may.
pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def manage(capsys):
    """Run a command line in this process, down to its exit code."""

    def run(*words: str) -> Done:
        code = 0
        try:
            ManagementUtility(["manage.py", *words]).execute()
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def anna(alice: User, as_alice: Actor) -> Store:
    return create_store(actor=as_alice, owner=alice, name="Anna’s 🛍", address="anna")


def failed(store: Store) -> Store:
    store.operations.open().update(finished_at=store.created_at)
    Store.objects.filter(pk=store.pk).update(status=Status.FAILED)
    return store


# --- Invariants --------------------------------------------------------------------------


def test_check_invariants_ends_well_where_all_is_well(manage, anna):
    assert manage("check_invariants") == Done(0, "All invariants hold: 1 stores.\n", "")
    assert manage("check_invariants", "--json").json == []


def test_check_invariants_names_what_does_not_hold(manage, anna):
    Store.objects.update(lease_owner="nobody")
    done = manage("check_invariants")
    assert done.code == 1 and "1 violations." in done.err
    assert done.out.startswith(f"I2: {anna.namespace}: half a lease")
    assert manage("check_invariants", "--json").json == [done.out.strip()]


def test_check_invariants_settled_counts_work_under_way(manage, anna):
    assert "I7: " in manage("check_invariants", "--settled").out


# --- Adoption ----------------------------------------------------------------------------


def test_adopt_stores_asks_before_it_does(manage, settings, anna, alice):
    cluster = SimulatedCluster(settings.SIMULATED_CLUSTER_FILE)
    cluster.apply(manifests.namespace(anna))
    call_command("flush", interactive=False, verbosity=0)
    alice.save(force_insert=True)
    done = manage("adopt_stores")
    assert done.code == 0 and not Store.objects.exists()
    assert f"{anna.namespace}  {anna.pk}  requested  of alice@example.com  “Anna’s 🛍”" in done.out
    assert "1 stores would be adopted; --apply does it. 0 not" in done.out
    [said] = manage("adopt_stores", "--apply", "--json").json
    assert said["adopted"] and said["store"] == str(anna.pk)
    assert Store.objects.get() == anna
    assert "0 stores adopted." in manage("adopt_stores", "--apply").out


@pytest.mark.parametrize("owner", ["alice", "not-an-id=alice"])
def test_an_heir_needs_an_id_and_a_user(manage, alice, owner):
    done = manage("adopt_stores", "--owner", owner)
    assert done.code == 1 and "is not ID=USER" in done.err


def test_find_orphans_lists_and_says_what_to_do(manage, settings, anna):
    assert manage("find_orphans") == Done(0, "0 orphans.\n", "")
    cluster = SimulatedCluster(settings.SIMULATED_CLUSTER_FILE)
    cluster.apply(manifests.namespace(Store(owner=anna.owner, namespace="store-x-000000")))
    done = manage("find_orphans")
    assert done.code == 0 and "namespace  store-x-000000  There is no row" in done.out
    [orphan] = manage("find_orphans", "--json").json
    assert (orphan["kind"], orphan["name"]) == ("namespace", "store-x-000000")


# --- Pauses ------------------------------------------------------------------------------


def test_pausing_and_resuming(manage, anna):
    done = manage("pause_provisioning", "--reason", "We move the cluster.")
    assert done == Done(0, "Paused: We move the cluster.\n", "")
    assert AuditEvent.objects.get(action="platform.pause").via == "command"
    assert manage("resume_provisioning") == Done(0, "Resumed.\n", "")


def test_a_pause_needs_a_reason_and_a_resumption_a_pause(manage, db):
    assert "--reason" in manage("pause_provisioning").err
    assert "Give a reason" in manage("pause_provisioning", "--reason", " ").err
    done = manage("resume_provisioning")
    assert done.code == 1 and "not paused" in done.err


# --- Stores ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("create_store", "--owner", "alice"), "--name"),
        (("delete_store",), "store"),
        (("list_stores", "--sort", "name"), "--sort"),
        (("create_store", "--owner", "alice", "--name", "A shop", "--timeout", "soon"), "soon"),
    ],
)
def test_words_the_command_line_does_not_know_get_one_clear_line(manage, alice, words, says):
    done = manage(*words)
    assert done.code != 0 and done.out == ""
    [line] = done.err.splitlines()
    assert says in line
    assert not Store.objects.exists()


def test_create_store_prints_id_status_and_address(manage, alice):
    done = manage("create_store", "--owner", "alice", "--name", "Bread & Roses")
    store = Store.objects.get()
    assert done == Done(0, f"{store.pk} requested https://bread-roses.stores.localhost\n", "")
    assert (store.owner, store.plan) == (alice, "standard")


def test_create_store_as_json(manage, alice):
    done = manage(
        *("create_store", "--owner", "alice", "--name", "Żółć", "--address", "zolc"),
        *("--plan", "small", "--json"),
    )
    assert done.code == 0
    assert {name: done.json[name] for name in ("name", "owner", "status", "plan", "url")} == {
        "name": "Żółć", "owner": "alice", "status": "requested", "plan": "small",
        "url": "https://zolc.stores.localhost",
    }  # fmt: skip


def test_the_command_is_named_in_the_audit_trail(manage, alice):
    manage("create_store", "--owner", "alice", "--name", "Anna")
    assert AuditEvent.objects.get(action="store.ask_create").via == "command"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--owner", "nobody", "--name", "Anna"), "There is no user “nobody”."),
        (("--owner", "alice", "--name", " "), "The store needs a name."),
        (("--owner", "alice", "--name", "a\nb"), "The name may not contain line breaks"),
        (("--owner", "alice", "--name", "x" * 61), "at most 60 are possible"),
        (("--owner", "alice", "--name", "商店"), "No address can be made from this name."),
        (("--owner", "alice", "--name", "Anna", "--address", "xn--anna"), "two hyphens in a row"),
        (("--owner", "alice", "--name", "Anna", "--address", "Anna B"), "For example: “anna-b”"),
        (("--owner", "alice", "--name", "Anna", "--address", "admin"), "“admin” is reserved."),
        (("--owner", "alice", "--name", "Anna", "--plan", "huge"), "“huge”"),
    ],
)
def test_a_wrong_argument_gets_one_clear_line(manage, alice, words, said):
    done = manage("create_store", *words)
    assert done.code == 1
    assert done.out == ""
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not Store.objects.exists()


def test_a_missing_argument_is_named(manage):
    done = manage("create_store", "--owner", "alice")
    assert done.code != 0
    assert done.err.splitlines()[-1].endswith("the following arguments are required: --name")


def test_create_store_check_creates_nothing_and_says_whether_it_would_fit(manage, alice):
    Heartbeat.beat(Heartbeat.WORKER)
    Snapshot.objects.create(pk=1, facts=FACTS)
    words = ("create_store", "--check", "--owner", "alice", "--name", "Anna", "--plan")
    done = manage(*words, "large")
    assert done.code == 0 and "ok        There is room in the cluster." in done.out
    Snapshot.objects.update(facts={**FACTS, "nodes": []})
    done = manage(*words, "large")
    assert done.code == 1 and "It does not fit now: There is no room" in done.err
    kinds = {answer["topic"]: answer["kind"] for answer in manage(*words, "large", "--json").json}
    assert kinds == {"quota": "ok", "storage": "ok", "room": "blocker"}
    assert "There is no plan" in manage(*words, "huge").err
    assert not Store.objects.exists()


def test_the_quota_holds_for_commands_too(manage, alice):
    User.objects.update(max_stores=0)
    done = manage("create_store", "--owner", "alice", "--name", "Anna")
    assert done.code == 1
    assert "may not create stores" in done.err


def test_waiting_in_vain_is_no_success(manage, alice):
    done = manage(
        *("create_store", "--owner", "alice", "--name", "Anna"), *("--wait", "--timeout", "0.1")
    )
    assert done.code == 1
    assert "Still requested after 0.1 seconds" in done.err


def test_list_stores(manage, anna, bob):
    gone = create_store(actor=SYSTEM, owner=bob, name="Gone")
    Store.objects.filter(pk=gone.pk).update(status=Status.DELETED, slot=None)
    assert [line.split()[0] for line in manage("list_stores").out.splitlines()] == [str(anna.pk)]
    assert [store["name"] for store in manage("list_stores", "--json").json] == ["Anna’s 🛍"]
    assert len(manage("list_stores", "--all", "--json").json) == 2
    assert manage("list_stores", "--status", "deleted", "--json").json[0]["name"] == "Gone"
    assert manage("list_stores", "--owner", "bob", "--json").json == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("list_stores", "--status", "fine"), "There is no status “fine”; one of: requested, "),
        (("list_stores", "--owner", "nobody"), "There is no user “nobody”."),
        (("retry_store", "nothing"), "There is no store with the id or address “nothing”."),
        (("delete_store", "nothing"), "There is no store with the id or address “nothing”."),
        (("retry_store", "anna"), "Only a failed store can be retried; this one is requested."),
    ],
)
def test_what_cannot_be_is_said_in_one_line(manage, anna, words, said):
    done = manage(*words)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_retry_store_by_address_or_id(manage, anna):
    for reference in ("anna", str(anna.pk)):
        failed(anna)
        done = manage("retry_store", reference)
        assert done == Done(0, f"{anna.pk} requested\n", "")


def test_delete_store_twice_is_once(manage, anna):
    for _ in range(2):
        assert manage("delete_store", "anna") == Done(0, f"{anna.pk} deleting\n", "")
    assert anna.operations.filter(kind="delete").count() == 1


def test_delete_store_closes_first_and_can_be_undone_or_hurried(manage, anna, settings):
    settings.GRACE_SECONDS = 600
    assert manage("delete_store", "anna") == Done(0, f"{anna.pk} closing\n", "")
    assert manage("list_stores", "--json").json[0]["closes_at"] is not None
    assert manage("undo_delete", "anna") == Done(0, f"{anna.pk} requested\n", "")
    refused = manage("undo_delete", "anna")
    assert refused.code == 1 and "Only a store that is being closed" in refused.err
    assert manage("delete_store", "anna") == Done(0, f"{anna.pk} closing\n", "")
    assert manage("delete_store", "anna", "--now") == Done(0, f"{anna.pk} deleting\n", "")


def test_release_slot_takes_a_reason_and_says_what_the_owner_has_now(manage, anna):
    assert manage("release_slot", "anna").code != 0
    refused = manage("release_slot", "anna", "--reason", "It hangs.")
    assert refused.code == 1 and "that is being deleted" in refused.err
    manage("delete_store", "anna")
    done = manage("release_slot", "anna", "--reason", "It hangs.")
    assert done == Done(0, f"{anna.pk} deleting; alice has 0 of 3 stores\n", "")
    event = AuditEvent.objects.get(action="store.release_slot")
    assert (event.details, event.via) == ({"reason": "It hangs."}, "command")


def test_json_tells_health_and_diagnosis_in_words(
    manage, anna, as_alice, django_assert_num_queries
):
    failed(anna)
    cause = Message("crash-loop", {"name": "db", "reason": "Error", "exit_code": 1})
    found = Diagnosis(cause, "workload", "owner", "retry", ("Pod db-0: Error",))
    anna.operations.update(diagnosis=found.as_json())
    looked = anna.created_at
    Store.objects.update(
        health="degraded", health_since=looked, observed_at=looked, ready_at=looked
    )
    told = manage("list_stores", "--json").json[0]
    assert (told["health"], told["health_since"]) == ("degraded", looked.isoformat())
    assert told["observed_at"] == looked.isoformat() and told["closes_at"] is None
    assert told["diagnosis"]["cause"] == str(cause)
    assert (told["diagnosis"]["move"], told["diagnosis"]["action"]) == ("owner", "retry")
    for number in range(2):
        create_store(actor=as_alice, owner=anna.owner, name="More", address=f"more-{number}")
    with django_assert_num_queries(3):
        told = manage("list_stores", "--json").json
    assert [store["diagnosis"] is None for store in told] == [True, True, False]


def test_reconcile_rings_what_is_due(manage, anna):
    rings = Store.objects.get().rings
    dry = manage("reconcile_stores", "--dry-run")
    assert dry.code == 0
    assert dry.out.endswith("1 stores due, 0 to repair.\n")
    assert Store.objects.get().rings == rings
    assert manage("reconcile_stores").out.endswith("1 stores rung.\n")
    assert Store.objects.get().rings == rings + 1
    assert manage("reconcile_stores", "--json").json[0]["id"] == str(anna.pk)


def test_what_is_settled_is_not_due(manage, anna):
    failed(anna)
    assert manage("reconcile_stores", "--dry-run", "--json").json == []


# --- The platform ------------------------------------------------------------------------


def test_the_schedules_are_set_up_once(manage):
    schedules = apps.get_model("django_q", "Schedule").objects
    for _ in range(2):
        assert manage("setup_schedules").code == 0
    assert [schedule.func for schedule in schedules.all()] == ["provisioning.tasks.reconcile"]


def test_a_whole_audit_chain_is_a_success(manage, anna):
    done = manage("verify_audit")
    assert (done.code, done.out) == (0, "The audit chain is whole: 1 events.\n")


def test_verify_audit_names_the_first_broken_row(manage):
    ids = [AuditEvent.record(f"test.{n}", actor=SYSTEM).pk for n in range(3)]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # as an attacker with all rights would
            cursor.execute("ALTER TABLE stores_auditevent DISABLE TRIGGER audit_is_append_only")
        cursor.execute("UPDATE stores_auditevent SET via = 'x' WHERE id >= %s", [ids[1]])
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE stores_auditevent ENABLE TRIGGER audit_is_append_only")
    done = manage("verify_audit")
    assert done.code == 1
    assert done.err.strip().endswith(
        f"Audit event {ids[1]} (test.1) was changed after it was written."
    )


def test_the_worker_says_that_helm_is_missing(manage, settings):
    settings.CLUSTER, settings.HELM = "kubernetes", "no-such-helm"
    done = manage("run_worker")
    assert done.code == 1
    assert "Helm was not found as “no-such-helm”. Install Helm 4.2.4 or newer" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_the_worker_says_that_helm_is_too_old(manage, settings, tmp_path):
    helm = tmp_path / "helm"
    helm.write_text("#!/bin/sh\necho v4.2.3\n")
    helm.chmod(0o755)
    settings.CLUSTER, settings.HELM = "kubernetes", str(helm)
    done = manage("run_worker")
    assert done.code == 1
    assert "is Helm v4.2.3; 4.2.4 or newer is needed." in done.err


# --- Settings ----------------------------------------------------------------------------

PRODUCTION = {
    "PRODUCTION": "true",
    "SECRET_KEY": "a long random text that nobody else knows, 50 and more",
    "ALLOWED_HOSTS": "portal.example.com",
    "STOREYARD_CLUSTER": "simulated",
}


def check(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"], cwd=django_settings.BASE_DIR, text=True,
        capture_output=True, check=False,
        env={**kept, "STOREYARD_RUN_DIR": str(folder), **environment},
    )  # fmt: skip


def test_development_needs_no_environment(tmp_path):
    assert check(tmp_path, {}).returncode == 0


def test_production_starts_with_all_that_it_needs(tmp_path):
    done = check(tmp_path, PRODUCTION)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", ["SECRET_KEY", "ALLOWED_HOSTS", "STOREYARD_CLUSTER"])
def test_production_refuses_to_start_without(missing, tmp_path):
    done = check(tmp_path, {**PRODUCTION, missing: ""})
    assert done.returncode != 0
    assert f"{missing} is not set." in done.stderr.splitlines()[-1]


def test_an_unknown_cluster_is_refused(tmp_path):
    done = check(tmp_path, {"STOREYARD_CLUSTER": "moon"})
    assert done.returncode != 0
    assert "STOREYARD_CLUSTER" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("helm", "timeout", "retry"), [(140, 300, 600), (90, 600, 600)])
def test_the_queue_may_not_be_faster_than_helm(settings, helm, timeout, retry):
    settings.HELM_SECONDS = helm
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "timeout": timeout, "retry": retry}
    [error] = check_queue(None)
    assert error.id == "provisioning.E001"
    # Two runs, each with twice ten seconds to be stopped in.
    assert f"({2 * (helm + 20)}, {timeout}, {retry})" in error.msg


def test_the_queue_lives_in_the_same_database(settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "orm": "other"}
    assert [error.id for error in check_queue(None)] == ["provisioning.E002"]


def test_the_settings_as_shipped_are_sound():
    assert check_queue(None) == []
