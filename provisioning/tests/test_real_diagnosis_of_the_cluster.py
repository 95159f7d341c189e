"""Every rule about Helm, rights, the way out and the cluster itself, on one that is in that situation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from devcluster import binaries, faults
from provisioning import diagnosis, manifests, storefront
from provisioning.cluster.base import no_beat
from provisioning.cluster.kubernetes import KubernetesCluster
from provisioning.errors import ClusterUnavailable
from provisioning.tests.test_cluster_contract import Real
from provisioning.tests.trouble_kit import (
    Ground,
    chart,
    https_server,
    object_of,
    pod_spec,
    refusal,
    release,
    says,
    until,
    webhook,
    workload,
)
from stores.messages import Message

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.trouble_fixtures"]
LATER = 60.0
HOUR = 3600.0


# --- Helm ------------------------------------------------------------------------------------


def test_an_object_of_somebody_else_is_left_alone_and_named(ground: Ground, tmp_path: Path) -> None:
    service = object_of("v1", "Service", "store-web", spec={"ports": [{"port": 80}]})
    ground.make(service)
    wanted = release(ground, chart(tmp_path / "tiny", service))
    said = refusal(lambda: ground.cluster.ensure_release(wanted))
    found = ground.diagnosis("foreign-object", said=said)
    says(found, "chart", "support", "contact", "Service store-web", "belongs to somebody else")
    assert found.at_once
    # Cleared away, the same release goes in.
    ground.admin.delete("Service", "store-web", ground.namespace)
    assert ground.cluster.ensure_release(wanted)


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_what_cannot_be_changed_in_place_has_to_be_moved(
    ground: Ground, tmp_path: Path, kind: str
) -> None:
    template = workload(kind, "store-web")
    if kind == "Deployment":
        labels = {"app": "store-web", "word": "{{ .Values.word }}"}
        template["spec"]["selector"]["matchLabels"] = labels
        template["spec"]["template"]["metadata"]["labels"] = labels
    else:
        template["spec"]["podManagementPolicy"] = "{{ .Values.word }}"
    folder = chart(tmp_path / "tiny", template)
    assert ground.cluster.ensure_release(release(ground, folder, "Parallel"))
    changed = release(ground, folder, "OrderedReady")
    said = refusal(lambda: ground.cluster.ensure_release(changed))
    found = ground.diagnosis("needs-migration", said=said)
    says(found, "chart", "support", "contact", "store-web", "untouched", "retrying cannot help")
    assert found.at_once


def test_the_lock_of_a_helm_that_died_is_nobodys_to_remove(ground: Ground, tmp_path: Path) -> None:
    wanted = release(ground, chart(tmp_path / "tiny", workload("Deployment", "store-web")))
    ground.cluster.ensure_release(wanted)
    Real(ground.cluster, ground.devcluster).leave_release(ground.namespace, "pending-install")
    said = refusal(lambda: ground.cluster.helm.upgrade(wanted, no_beat))
    found = ground.diagnosis("release-locked", said=said)
    says(found, "portal", "nobody", "", "cut off", "by itself")
    assert found.never_fails


def test_a_lock_that_is_old_is_seen_without_asking_helm(ground: Ground, tmp_path: Path) -> None:
    wanted = release(ground, chart(tmp_path / "tiny", workload("Deployment", "store-web")))
    ground.cluster.ensure_release(wanted)
    until(lambda: not ground.cluster.not_ready(ground.namespace))
    Real(ground.cluster, ground.devcluster).leave_release(ground.namespace, "pending-upgrade")
    assert diagnosis.diagnose(ground.evidence()) is None
    found = ground.diagnosis("release-locked", later=HOUR)
    says(found, "portal", "nobody", "", "by itself")
    assert "revision 2: pending-upgrade" in found.lines[0]


def test_a_check_that_helm_waits_for_is_no_cluster_that_is_away(
    ground: Ground, tmp_path: Path
) -> None:
    service = object_of("v1", "Service", "store-web", spec={"ports": [{"port": 80}]})
    wanted = release(ground, chart(tmp_path / "tiny", service))
    with ground.made(webhook(ground, 1)):
        said = refusal(lambda: ground.cluster.ensure_release(wanted))
    found = ground.diagnosis("webhook-silent", said=said)
    says(found, "cluster", "platform", "", "check.example.com", "It is not your store")


# --- Rights ----------------------------------------------------------------------------------


def test_rights_that_were_taken_away_are_the_platforms_to_give_back(ground: Ground) -> None:
    ground.admin.delete("RoleBinding", "storeyard-operator", ground.namespace)
    secret = object_of("v1", "Secret", "store-db", ground.namespace)
    said = until(lambda: refused_now(ground, secret))
    # Of a namespace that was just made it is no news.
    assert diagnosis.diagnose(ground.evidence(said=said)) is None
    found = ground.diagnosis("rights-revoked", later=LATER, said=said)
    says(found, "portal", "platform", "", "lost its rights", "untouched")
    assert found.never_fails


def refused_now(ground: Ground, secret: dict[str, Any]) -> str:
    """Rights go as they come: after a moment. Empty while they are still there."""
    with suppress(pytest.fail.Exception):
        return refusal(lambda: ground.cluster.apply(secret))
    return ""


# --- The way out -----------------------------------------------------------------------------


def test_what_holds_a_namespace_is_named_with_its_kind_count_and_finalizer(ground: Ground) -> None:
    held = object_of("v1", "ConfigMap", "held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    ground.make(held)
    ground.cluster.delete("Namespace", ground.namespace)
    try:
        until(lambda: "example.com/hold" in json.dumps(ground.evidence()["namespace"]))
        # What ends in an orderly way is let end.
        assert diagnosis.diagnose(ground.evidence()) is None
        found = ground.diagnosis("namespace-held", later=LATER)
    finally:
        ground.patch("ConfigMap", "held", {"metadata": {"finalizers": None}})
    says(found, "cluster", "platform", "contact", "1 configmaps", "example.com/hold")
    assert found.never_fails


def test_an_add_on_that_is_down_is_named_and_not_the_store(ground: Ground) -> None:
    group = f"x{ground.store.pk.hex[:6]}.example.com"
    spec = {
        "group": group, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "insecureSkipTLSVerify": True, "service": {"name": "none-such", "namespace": "default"},
    }  # fmt: skip
    service = object_of("apiregistration.k8s.io/v1", "APIService", f"v1.{group}", spec=spec)
    with ground.made(service):
        ground.cluster.delete("Namespace", ground.namespace)
        found = ground.diagnosis("addon-down")
    says(found, "cluster", "platform", "", f"{group}/v1", "is down, not your store")
    until(lambda: ground.admin.get("Namespace", ground.namespace) is None)


def test_what_is_left_in_a_namespace_on_its_way_out_is_no_cause(ground: Ground) -> None:
    held = workload("Deployment", "store-web", situation="crash-loop")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    ground.make(held)
    ground.diagnosis("crash-loop")
    ground.cluster.delete("Namespace", ground.namespace)
    try:
        assert diagnosis.diagnose(ground.evidence()) is None
    finally:
        ground.patch("Deployment", "store-web", {"metadata": {"finalizers": None}})


# --- The cluster itself ----------------------------------------------------------------------


@contextmanager
def stopped(ground: Ground, name: str) -> Iterator[None]:
    ground.devcluster.stop_process(name, kill=True)
    try:
        yield
    finally:
        ground.devcluster.start_process(name)


def test_controllers_that_do_not_run_are_seen_by_what_they_left_undone(ground: Ground) -> None:
    with stopped(ground, "kube-controller-manager"):
        for kind in ("Deployment", "StatefulSet", "Job"):
            ground.make(workload(kind, f"store-{kind.lower()}"))
        ground.cluster.apply(manifests.quota(ground.store))
        assert diagnosis.diagnose(ground.evidence()) is None
        leases = [
            lease
            for lease in ground.evidence()["leases"]
            if lease["metadata"]["name"] == "kube-controller-manager"
        ]
        found = ground.diagnosis("controllers-silent", later=LATER)
        lines = "\n".join(found.lines)
        for what in ("Deployment store-deployment", "StatefulSet", "Job", "ResourceQuota"):
            assert what in lines
        # Or by the lease that nobody renews.
        nothing_else = {"workloads": [], "jobs": [], "quotas": []}
        found = ground.diagnosis("controllers-silent", later=LATER, leases=leases, **nothing_else)
        assert "Lease kube-controller-manager" in found.lines[0]
        ground.cluster.delete("Namespace", ground.namespace)
        gone = ground.diagnosis("controllers-silent", later=LATER)
    for each in (found, gone):
        says(each, "cluster", "platform", "", "does not react", "It is not your store")
    until(lambda: ground.admin.get("Namespace", ground.namespace) is None)


def test_a_namespace_without_its_account_is_not_prepared_yet(ground: Ground) -> None:
    """The API server's own words; the controller that would hand them on is the one that is away."""
    bare = f"bare-{ground.store.pk.hex[:6]}"
    with stopped(ground, "kube-controller-manager"):
        ground.admin.apply(object_of("v1", "Namespace", bare))
        pod = object_of("v1", "Pod", "store-web-1", bare, spec=pod_spec())
        said = refusal(lambda: ground.admin.apply(pod))
        ground.deployment()
        failure = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
        ground.write_status(
            "Deployment", "store-web", {"conditions": [{**failure, "message": said}]}
        )
        found = ground.diagnosis("namespace-not-prepared")
    ground.admin.delete("Namespace", bare)
    says(found, "cluster", "nobody", "", "still preparing", "by itself")
    until(lambda: not ground.cluster.not_ready(ground.namespace))
    assert diagnosis.diagnose(ground.evidence()) is None


def test_a_scheduler_that_does_not_run_is_seen_by_a_pod_that_nobody_places(ground: Ground) -> None:
    with stopped(ground, "kube-scheduler"):
        ground.deployment()
        ground.pod("store-web")
        assert diagnosis.diagnose(ground.evidence()) is None
        found = ground.diagnosis("scheduler-silent", later=LATER)
    says(found, "cluster", "platform", "", "does not react", "It is not your store")
    assert "no machine was looked for" in found.lines[0]


@pytest.mark.parametrize(
    ("fault", "code", "move"),
    [
        (faults.answered(429), "cluster-busy", "nobody"),
        (faults.answered(503), "cluster-unavailable", "platform"),
        (faults.answer_lost, "cluster-unavailable", "platform"),
    ],
)
def test_an_api_that_does_not_answer_or_not_now_is_said(
    ground: Ground, tmp_path: Path, fault: faults.Fault, code: str, move: str
) -> None:
    wanted = release(ground, chart(tmp_path / "tiny", workload("Deployment", "store-web")))
    with ground.devcluster.proxy() as proxy:
        away = KubernetesCluster.from_kubeconfig(
            str(proxy.kubeconfig), helm=str(binaries() / "helm")
        )
        with proxy.ruled(fault):
            ways = [lambda: away.not_ready(ground.namespace)]
            if fault is not faults.answer_lost:  # Helm asks again and again then, as it should
                ways.append(lambda: away.helm.upgrade(wanted, no_beat))
            for ask in ways:
                with pytest.raises(ClusterUnavailable) as error:
                    ask()
                # The evidence cannot be collected either.
                found = diagnosis.diagnose({"said": str(error.value)})
                assert found and found.cause.code == code, str(error.value)
                says(found, "cluster", move, "", "by itself")
                assert found.never_fails


# --- All runs; does its address answer? ------------------------------------------------------


def asked(ground: Ground, url: str) -> dict[str, Any]:
    """The evidence after the shop's address was asked, as a customer would."""
    reason = storefront.silent_because(url)
    waiting = Message("storefront-silent", {"url": url, "reason": reason})
    return ground.evidence(waiting=waiting.as_json())


def test_an_address_that_nobody_knows_is_not_the_shops_fault(ground: Ground) -> None:
    found = diagnosis.diagnose(asked(ground, "http://anna.shops.invalid/"))
    says(found, "cluster", "platform", "", "anna.shops.invalid", "The shop runs", "DNS")


def test_a_certificate_that_nobody_trusts_is_not_the_shops_fault(ground: Ground) -> None:
    with https_server(ground.devcluster) as port:
        found = diagnosis.diagnose(asked(ground, f"https://127.0.0.1:{port}/"))
    says(found, "cluster", "platform", "", "127.0.0.1", "no valid certificate")


def test_a_shop_that_answers_wrongly_is_not_blamed_on_its_address(ground: Ground) -> None:
    plain = ground.devcluster.server.replace("https", "http")  # the API server says 400 to that
    assert diagnosis.diagnose(asked(ground, f"{plain}/")) is None
