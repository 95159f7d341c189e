"""When the cluster does not answer, or says no: what is waited for, and what is given up, and how."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from devcluster import DevCluster
from provisioning.cluster.api import path_of
from provisioning.errors import StepFailed
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform, until
from stores import queue, services
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]

OUTAGE_SECONDS = float(os.environ.get("OUTAGE_SECONDS", "20"))
# Not at once, and sooner than the runner would look again by itself.
SECONDS_LEFT = 6
RULE = "no-shop-for-you"


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    with open_platform() as opened:
        opened.start_worker()
        opened.start_watcher()
        yield opened


def set_deadline(store: Store, seconds: float) -> None:
    """As if the store had been starting for so long that this is all it has left."""
    starting = Store.objects.filter(pk=store.pk, status=Status.PROVISIONING)
    starting.update(deadline_at=Now() + timedelta(seconds=seconds))


def test_an_outage_of_the_cluster_fails_no_store(platform: Platform) -> None:
    ready = platform.create()
    platform.wait_for(ready, Status.READY)
    waiting = platform.create()
    platform.devcluster.situation("unready", namespace=waiting.namespace)
    platform.wait_for_step(waiting, "wait_until_running", "waiting")
    going = platform.create()
    platform.wait_for(going, Status.READY)

    with platform.helm_held():
        in_helm = platform.create()
        until(lambda: platform.helm_runs(in_helm.namespace), "Helm to run")
        platform.devcluster.stop_process("kube-apiserver", kill=True)
        began = time.monotonic()
    try:
        services.delete_store(going, actor=TEST)
        asked_meanwhile = platform.create()
        # It is over before the cluster is back: only a clock that stands still meanwhile lets these
        # become READY. Nobody would look for a while, so somebody rings.
        for store in (waiting, in_helm):
            set_deadline(store, OUTAGE_SECONDS * 0.75)
            queue.ring(store.pk)
        for store in (waiting, in_helm, asked_meanwhile, going):
            until(lambda store=store: told(store) == "cluster-unavailable", "the owner to be told")
        time.sleep(max(0.0, began + OUTAGE_SECONDS - time.monotonic()))
        statuses = set(Store.objects.values_list("status", flat=True))
        assert statuses == {Status.READY, Status.PROVISIONING, Status.DELETING}
    finally:
        bring_back(platform.devcluster)

    for store in (waiting, in_helm):
        until(lambda store=store: outage_is_over(store), "the clock to run again")
        assert Store.objects.get(pk=store.pk).status in (Status.PROVISIONING, Status.READY)
        # From here on it is not the outage that costs time, but the cluster that finds back.
        set_deadline(store, 600)
    for store in (waiting, in_helm, asked_meanwhile):
        platform.wait_for(store, Status.READY, Status.FAILED)
        assert store.status == Status.READY, store.sentence
        assert store.outage_since is None
    platform.wait_for(going, Status.DELETED)
    ready.refresh_from_db()
    assert ready.status == Status.READY


def bring_back(devcluster: DevCluster) -> None:
    """With controllers that start afresh: the old ones try again ever more seldom, up to half a
    minute, which is nothing that this test is about.
    """
    devcluster.start_process("kube-apiserver")
    for name in ("kube-controller-manager", "kube-scheduler"):
        devcluster.stop_process(name, kill=True)
        devcluster.start_process(name)
    devcluster.clear_situations()  # starts kwok afresh too


def outage_is_over(store: Store) -> bool:
    return Store.objects.get(pk=store.pk).outage_since is None


def told(store: Store) -> str:
    return str(Store.objects.get(pk=store.pk).message.get("code", ""))


def test_a_chart_that_cannot_work_fails_in_words_and_can_be_retried(platform: Platform) -> None:
    with ExitStack() as rule:
        # Helm waits until the rule is in force, or the pods could be there before it.
        with platform.helm_held():
            store = platform.create()
            until(lambda: platform.helm_runs(store.namespace), "Helm to run")
            rule.enter_context(refused_images(platform, store))
            until(lambda: rule_is_in_force(platform, store), "the rule to be in force")
        platform.wait_for_step(store, "wait_until_running", "waiting")
        until(
            lambda: refused(platform, store),
            lambda: f"pods refused; the store is {Store.objects.get(pk=store.pk).status}",
        )
        set_deadline(store, SECONDS_LEFT)
        deadline = Store.objects.get(pk=store.pk).deadline_at
        queue.ring(store.pk)
        platform.wait_for(store, Status.FAILED, Status.READY)
        assert store.status == Status.FAILED
        operation = store.operations.get()
        # At the clock's next tick after the deadline, not one wait later; a pass takes its moment.
        assert 0 <= (operation.finished_at - deadline).total_seconds() < 5

        said = store.sentence
        assert said == operation.sentence
        assert store.message["code"] == "pods-refused"
        # Which part, why in the cluster's words, and what to do.
        for words in ("store-web", "This registry is not allowed here", "Ask support", "retry"):
            assert words in said
        assert "Traceback" not in said and "provisioning." not in said
        step = operation.steps.get(name="wait_until_running")
        assert step.ended_at is None or step.outcome == "failed"

    services.retry_store(store, actor=TEST)
    platform.wait_for(store, Status.READY, Status.FAILED)
    assert store.status == Status.READY, store.sentence
    assert [operation.kind for operation in store.operations.all()] == ["retry", "create"]


def rule_is_in_force(platform: Platform, store: Store) -> bool:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": "docker.io/library/wordpress",
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }
    try:
        platform.admin.api.request(
            "POST", path_of("Pod", namespace=store.namespace), query={"dryRun": "All"}, body=pod
        )
    except StepFailed as refusal:
        return "This registry is not allowed here" in str(refusal)
    return False


def refused(platform: Platform, store: Store) -> bool:
    web = platform.admin.get("Deployment", "store-web", store.namespace)
    conditions = (web or {}).get("status", {}).get("conditions", [])
    return any(entry["type"] == "ReplicaFailure" for entry in conditions)


@contextmanager
def refused_images(platform: Platform, store: Store) -> Iterator[None]:
    """Meanwhile the cluster's operator allows no WordPress image in that store's namespace."""
    here = {"matchLabels": {"storeyard.dev/store": str(store.pk)}}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": RULE},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "namespaceSelector": here,
                "resourceRules": [{**pods, "resources": ["pods"]}],
            },
            "validations": [
                {
                    "expression": "object.spec.containers.all(c, !c.image.contains('wordpress'))",
                    "message": "This registry is not allowed here.",
                }
            ],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": RULE},
        "spec": {"policyName": RULE, "validationActions": ["Deny"]},
    }
    kubectl = platform.devcluster.kubectl
    for item in (policy, binding):
        kubectl("apply", "--filename", "-", input=json.dumps(item))
    try:
        yield
    finally:
        kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", RULE)
