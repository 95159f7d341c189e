"""kill -9 of the busy worker, at every step: another one finishes, and nothing is there twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from provisioning.steps import PROVISION, TEAR_DOWN
from provisioning.tests.real_checks import (
    check_invariants,
    helm_processes,
    namespace_uid,
    namespaces_of,
    passwords,
)
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform
from stores import services
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]

KILLED = -9
DEATHS = (
    *(("after_step", step.__name__) for step in PROVISION),
    ("before_the_uid_is_known", "create_namespace"),
    ("while_helm_runs", "install_release"),
    ("together_with_helm", "install_release"),
    ("before_the_release_is_known", "install_release"),
)
NAMES = [f"{moment}-{step}" for moment, step in DEATHS]


@dataclass
class Patient:
    """A store whose worker was killed: what was there right after, and in the end."""

    store: Store
    exit_code: int = 0
    status: str = ""
    lease_owner: str = ""
    uid: str = ""
    release: str = ""
    passwords: dict[str, Any] = field(default_factory=dict)
    helm: list[str] = field(default_factory=list)

    def look(self, platform: Platform) -> None:
        self.store.refresh_from_db()
        self.status, self.lease_owner = self.store.status, self.store.lease_owner
        self.uid = namespace_uid(platform.admin, self.store)
        self.passwords = passwords(platform.admin, self.store)
        self.release = platform.admin.release_state("store", self.store.namespace)


def kill_workers(platform: Platform, patients: dict[str, Patient], tasks: list[tuple]) -> None:
    """One worker for each (patient, moment, step), all at once; returns when all are dead."""
    what = [
        {"store": str(patients[name].store.pk), "moment": moment, "step": step}
        for name, moment, step in tasks
    ]
    process = platform.start(
        "-m", "provisioning.tests.real_killed_worker", json.dumps(what), log="killed"
    )
    assert process.wait() == 0, process.said
    ends = json.loads(process.said.splitlines()[-1])
    for name, _, _ in tasks:
        patients[name].exit_code = ends[str(patients[name].store.pk)]
        patients[name].look(platform)


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    with open_platform(LEASE_SECONDS=8, MAX_STORES_STARTING=len(DEATHS)) as opened:
        yield opened


@pytest.fixture(scope="module")
def patients(platform: Platform) -> dict[str, Patient]:
    """A READY store for each way to die in a provision: all at once, as starting takes its time."""
    patients = {name: Patient(platform.create()) for name in NAMES}
    kill_workers(
        platform, patients, [(name, *death) for name, death in zip(NAMES, DEATHS, strict=True)]
    )
    platform.start_worker()
    platform.start_watcher()
    for patient in patients.values():
        platform.wait_for(patient.store, Status.READY, Status.FAILED)
    check_invariants(platform)
    return patients


@pytest.mark.parametrize("name", NAMES)
def test_another_worker_finishes_what_a_killed_one_began(
    platform: Platform, patients: dict[str, Patient], name: str
) -> None:
    patient = patients[name]
    assert (patient.exit_code, patient.status) == (KILLED, Status.PROVISIONING)
    assert patient.lease_owner, "it was killed while it held the lease"

    store = patient.store
    assert store.status == Status.READY, store.sentence
    assert store.attempts == 1, "a death is counted, and passes that end well are not"
    [namespace] = namespaces_of(platform.admin, store)
    assert namespace["metadata"]["uid"] == store.namespace_uid
    assert patient.uid == store.namespace_uid
    revisions = list(platform.admin.revisions("store", store.namespace).values())
    assert revisions.count("deployed") == 1
    assert set(revisions) <= {"deployed", "superseded"}
    after = passwords(platform.admin, store)
    assert len(after) == 2
    assert {key: after[key] for key in patient.passwords} == patient.passwords
    assert helm_processes(store.namespace) == []


def test_the_deaths_were_where_they_should_be(patients: dict[str, Patient]) -> None:
    """Or the test above would prove less than it says."""
    made = {name: (len(patient.passwords), patient.release) for name, patient in patients.items()}
    assert made["before_the_uid_is_known-create_namespace"] == (0, "")
    assert made["after_step-create_namespace"] == (0, "")
    assert made["after_step-apply_guardrails"] == (0, "")
    assert made["after_step-create_secrets"] == (2, "")
    assert made["together_with_helm-install_release"] == (2, "pending-install")
    assert made["before_the_release_is_known-install_release"] == (2, "deployed")
    assert made["after_step-install_release"] == (2, "deployed")
    assert made["after_step-check_storefront"] == (2, "deployed")


@pytest.mark.parametrize("step", [step.__name__ for step in TEAR_DOWN])
def test_another_worker_finishes_a_deletion(
    platform: Platform, patients: dict[str, Patient], step: str, gone: dict[str, Patient]
) -> None:
    patient = gone[step]
    assert (patient.exit_code, patient.status) == (KILLED, Status.DELETING)
    store = patient.store
    assert store.status == Status.DELETED
    assert store.attempts == 1
    assert namespaces_of(platform.admin, store) == []
    assert platform.admin.leftovers(store.namespace, store.namespace_uid) == []


@pytest.fixture(scope="module")
def gone(platform: Platform, patients: dict[str, Patient]) -> dict[str, Patient]:
    """A deleted store for each step of a tear-down, its worker killed after that step."""
    names = [step.__name__ for step in TEAR_DOWN]
    ready = [patients[name].store for name in NAMES[: len(names)]]
    gone = {
        name: Patient(Store.objects.get(pk=store.pk))
        for name, store in zip(names, ready, strict=True)
    }
    platform.kill_all()
    for patient in gone.values():
        services.delete_store(patient.store, actor=TEST, now=True)
    kill_workers(platform, gone, [(name, "after_step", name) for name in names])
    platform.start_worker()
    platform.start_watcher()
    for patient in gone.values():
        platform.wait_for(patient.store, Status.DELETED)
    return gone
