"""What happens to single requests: refused, throttled, slow, swallowed, done without an answer, stale.

A worker and a watcher meet the cluster by the fault proxy. Whatever becomes of a request, the store gets
there, and no fault of the cluster's is told as a failure of the store.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from queue import Queue
from typing import Any

import pytest
from django.db.models.functions import Now

from devcluster import Proxy
from devcluster.faults import (
    WATCH,
    Fault,
    answer_lost,
    answered,
    slowed,
    stale,
    swallowed,
    watch_expired,
    watch_stalled,
)
from provisioning.cluster import watching
from provisioning.cluster.api import Api
from provisioning.cluster.base import Change
from provisioning.cluster.helm import HISTORY
from provisioning.manifests import QUOTA
from provisioning.tests.real_checks import namespaces_of, passwords
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform, until
from stores import queue, services
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]

HELM_SECONDS = 6
# A Lease of ten seconds that is twice as old is of somebody who is gone.
SILENT_SECONDS = 22
TAKEN = 'secrets "sh.helm.release.v1.store.v1" already exists'
# Name: (fault, verb, path after the namespace's, the how manieth of those).
Momentary = list[tuple[Fault, str, str, int]]
MOMENTARY: dict[str, Momentary] = {
    "conflicts": [
        (answered(409), "PATCH", r"\?fieldManager=storeyard&", 1),
        (answered(409), "PATCH", r"/rolebindings/", 1),
        (answered(409), "POST", r"/secrets\?", 1),
    ],
    # The namespace is ours by its uid then, and that is not what these conflicts are about.
    "conflicts-about-what-is-ours": [
        (answered(409), "PATCH", r"\?fieldManager=storeyard&", 2),
        (answered(409), "PATCH", r"\?fieldManager=storeyard&", 3),
        (answered(409), "PATCH", r"\?fieldManager=storeyard-release&", 1),
    ],
    "lost-answers": [
        (answer_lost, "PATCH", r"\?fieldManager=storeyard&", 1),
        (answer_lost, "PATCH", r"/rolebindings/", 1),
        (answer_lost, "PATCH", r"/resourcequotas/", 1),
        (answer_lost, "POST", r"/secrets\?", 1),
    ],
    "lost-answers-of-helm": [
        (answer_lost, "POST", r"/secrets$", 1),
        (answer_lost, "PATCH", r"/deployments/", 1),
        (answer_lost, "PUT", r"/secrets/sh", 1),
    ],
    "throttling": [
        (answered(429, retry_after=1), "PATCH", r"\?fieldManager=storeyard&", 1),
        (answered(429, retry_after=1), "GET", r"/secrets/", 1),
        (answered(429, retry_after=1), "PATCH", r"/statefulsets/", 1),
    ],
    "unavailable": [
        (answered(503), "GET", "", 1),
        (answered(503), "PATCH", r"/limitranges/", 1),
        (answered(500), "POST", r"/secrets$", 1),
        (answered(503), "GET", r"/deployments\?", 1),
    ],
    "another-helm": [(answered(409, message=TAKEN), "POST", r"/secrets$", 1)],
    "slow": [(slowed(3), "PATCH", r"/networkpolicies/", 1), (slowed(2), "GET", "", 1)],
    "black-hole": [(swallowed, "GET", r"/resourcequotas/", 1)],
    "black-hole-for-helm": [(swallowed, "PATCH", r"/configmaps/", 1)],
}


@pytest.fixture(scope="module")
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    with request.getfixturevalue("devcluster").proxy() as opened:
        yield opened


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform, proxy: Proxy) -> Iterator[Platform]:
    with open_platform(
        STOREYARD_KUBECONFIG=proxy.kubeconfig, STOREYARD_HELM_SECONDS=HELM_SECONDS, WORKERS=3,
        MAX_STORES_STARTING=20, LEASE_SECONDS=5, RETRY_SECONDS="0.5,1,2",
        # Nobody can write there, nor look for a cache.
        HOME="/proc/nowhere",
    ) as opened:  # fmt: skip
        opened.start_worker()
        opened.start_watcher()
        yield opened


@pytest.fixture(scope="module")
def disturbed(platform: Platform, proxy: Proxy) -> dict[str, tuple[Store, list[Any]]]:
    """A store for each disturbance, all at once."""
    found = {}
    for name, faults in MOMENTARY.items():
        store = platform.create()
        where = f"/namespaces/{store.namespace}"
        rules = [
            proxy.rule(fault, verb=verb, path=where + path, nth=nth)
            for fault, verb, path, nth in faults
        ]
        found[name] = store, rules
    for store, _ in found.values():
        platform.wait_for(store, Status.READY, Status.FAILED, seconds=120)
    return found


@pytest.mark.parametrize("name", MOMENTARY)
def test_a_store_gets_ready_in_spite_of(
    platform: Platform, disturbed: dict[str, tuple[Store, list[Any]]], name: str
) -> None:
    store, rules = disturbed[name]
    assert all(rule.seen for rule in rules), "not everything was disturbed"
    assert store.status == Status.READY, store.sentence
    [namespace] = namespaces_of(platform.admin, store)
    assert namespace["metadata"]["uid"] == store.namespace_uid
    states = list(platform.admin.revisions("store", store.namespace).values())
    assert states.count("deployed") == 1, states
    assert len(passwords(platform.admin, store)) == 2
    # What the cluster did is told as such: no step of the store's has failed.
    [operation] = store.operations.all()
    assert operation.outcome == "succeeded"
    assert store.outage_since is None


def test_every_read_is_of_the_present(disturbed: dict[str, Any], proxy: Proxy) -> None:
    """With a resourceVersion an API server may answer from its cache, which may be behind."""
    reads = proxy.seen(verb="GET")
    assert reads
    assert [read.path for read in reads if "resourceVersion" in read.path] == []


def test_a_deletion_is_not_over_while_the_cluster_answers_with_the_past(
    platform: Platform, proxy: Proxy
) -> None:
    store = platform.create()
    platform.wait_for(store, Status.READY)
    with proxy.ruled(stale(), verb="GET", path=rf"/namespaces/{store.namespace}$"):
        # Somebody looks, so that this is the past that will be told.
        Api.connect(str(proxy.kubeconfig)).request("GET", f"/api/v1/namespaces/{store.namespace}")
        services.delete_store(store, actor=TEST, now=True)
        until(lambda: not namespaces_of(platform.admin, store), "the namespace to go")
        platform.wait_for_step(store, "wait_until_gone", "waiting")
        assert Store.objects.get(pk=store.pk).status == Status.DELETING
    queue.ring(store.pk)
    platform.wait_for(store, Status.DELETED)


def test_nothing_fails_while_the_controllers_and_the_scheduler_are_away(platform: Platform) -> None:
    """No quota is counted, no pod gets a machine: the deadlines pass, and it is not the stores' fault."""
    devcluster = platform.devcluster
    devcluster.stop_process("kube-scheduler", kill=True)
    stores = [platform.create()]
    platform.wait_for_step(stores[0], "wait_until_running", "waiting")
    devcluster.stop_process("kube-controller-manager", kill=True)
    try:
        stores.append(platform.create())
        platform.wait_for_step(stores[1], "apply_guardrails", "waiting")
        time.sleep(SILENT_SECONDS)
        for _ in range(3):
            for store in stores:
                starting = Store.objects.filter(pk=store.pk, status=Status.PROVISIONING)
                assert starting.update(deadline_at=Now() - timedelta(seconds=1)), store.sentence
                queue.ring(store.pk)
            time.sleep(1.5)
        for store in stores:
            store.refresh_from_db()
            assert store.status == Status.PROVISIONING, store.sentence
    finally:
        devcluster.start_process("kube-controller-manager")
        devcluster.start_process("kube-scheduler")
    for store in stores:
        # From here on it is about coming back, and not about how soon.
        Store.objects.filter(pk=store.pk).update(deadline_at=Now() + timedelta(seconds=600))
        platform.wait_for(store, Status.READY, Status.FAILED)
        assert store.status == Status.READY, store.sentence


@contextmanager
def webhook(platform: Platform, store: Store) -> Iterator[None]:
    """Every Deployment and StatefulSet of the store needs the word of somebody who is not there."""
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": store.namespace},
        "webhooks": [
            {
                "name": "nobody.example.com",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [
                    {
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["deployments", "statefulsets"],
                    }
                ],
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": store.namespace}
                },
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 2,
            }
        ],
    }
    configurations = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    platform.devcluster.api.create(configurations, hook)
    try:
        yield
    finally:
        platform.devcluster.api.delete(f"{configurations}/{store.namespace}")


def test_a_webhook_that_does_not_answer_is_waited_for(platform: Platform) -> None:
    with ExitStack() as hooked:
        with platform.helm_held():
            store = platform.create()
            until(lambda: platform.helm_runs(store.namespace), "Helm to run")
            hooked.enter_context(webhook(platform, store))
            time.sleep(1)  # until it is in force
        platform.wait_for_step(store, "install_release", "waiting")
        assert Store.objects.get(pk=store.pk).status == Status.PROVISIONING
    platform.wait_for(store, Status.READY, Status.FAILED)
    assert store.status == Status.READY, store.sentence


def test_a_record_of_helm_is_far_from_the_limit_of_a_secret(
    platform: Platform, disturbed: dict[str, Any]
) -> None:
    """A Secret holds a mebibyte; half of that is plenty."""
    store, _ = disturbed["slow"]
    records = platform.admin.api.objects("Secret", store.namespace, labelSelector="owner=helm")
    assert max(len(record["data"]["release"]) for record in records) < 512 * 1024


def test_the_quota_has_room_for_helms_whole_history(
    platform: Platform, disturbed: dict[str, Any]
) -> None:
    """And for the revision that is written before the oldest one goes."""
    store, _ = disturbed["slow"]
    quota = platform.admin.get("ResourceQuota", QUOTA, store.namespace)
    hard = int(quota["status"]["hard"]["count/secrets"])
    records = len(platform.admin.revisions("store", store.namespace))
    own = int(quota["status"]["used"]["count/secrets"]) - records
    assert hard >= own + int(HISTORY) + 2


# --- The watch -------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [watch_expired, watch_stalled, answered(410), answered(500)])
def test_a_watch_that_ends_badly_or_falls_silent_looks_at_everything_again(
    platform: Platform, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """Its first stream comes to nothing, and what happens meanwhile is in none."""
    monkeypatch.setattr(watching, "SILENCE_SECONDS", 2.0)
    changes: Queue[Change] = Queue()
    over = threading.Event()
    watch = watching.KindWatch(Api.connect(str(proxy.kubeconfig)), "Namespace", changes, over)
    thread = threading.Thread(target=watch.run, daemon=True)
    with proxy.ruled(fault, verb=WATCH, path=r"/api/v1/namespaces\?", nth=1) as rule:
        thread.start()
        try:
            assert changes.get(timeout=10).picture is not None
            until(lambda: rule.seen, "the watch to begin")
            pictures = until(
                lambda: changes.get(timeout=10).picture is not None, "it to look again"
            )
            assert pictures
        finally:
            over.set()
            thread.join(10)
    assert not thread.is_alive()
