"""Every rule about what a store is made of, on a real control plane that is in that situation."""

from __future__ import annotations

import socket
from base64 import b64encode
from contextlib import ExitStack

import pytest

from provisioning import diagnosis, manifests
from provisioning.diagnosis import Diagnosis
from provisioning.tests.trouble_kit import (
    BY_HAND,
    Ground,
    claim,
    https_server,
    object_of,
    pod_spec,
    says,
    storage_class,
    until,
    webhook,
    workload,
)

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.trouble_fixtures"]
LATER = 60.0
HOUR = 3600.0


def in_lines(found: Diagnosis, *words: str) -> None:
    for word in words:
        assert any(word in line for line in found.lines), found.lines


# --- May its pods be made? -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job"])
def test_a_quota_that_is_used_up_is_named_with_its_resource(ground: Ground, kind: str) -> None:
    ground.guard(requests_cpu="1")
    asks = {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}}
    ground.make(workload(kind, "store-web", container=asks))
    found = ground.diagnosis("quota-exceeded")
    says(found, "user", "support", "contact", "store-web", "processor time")
    says(found, "user", "support", "contact", "quota requests.cpu: 0 of 1 used")
    assert not found.at_once
    in_lines(found, "quota requests.cpu: 0 of 1 used, 2 more asked for", "exceeded quota")


def test_a_limit_without_a_default_is_the_platforms_own_fault(ground: Ground) -> None:
    ground.cluster.apply(manifests.quota(ground.store))
    until(lambda: (ground.quota() or {}).get("status", {}).get("used"))
    ground.deployment()
    found = ground.diagnosis("limit-unnamed")
    says(found, "portal", "platform", "repair", "limits.cpu", "Nothing is wrong with the shop")
    in_lines(found, "no LimitRange")


def test_a_container_larger_than_the_plan_allows_is_named(ground: Ground) -> None:
    ground.guard()
    asks = {"resources": {"requests": {"memory": "3Gi"}, "limits": {"memory": "64Gi"}}}
    ground.deployment(container=asks)
    found = ground.diagnosis("limit-exceeded")
    says(found, "user", "support", "contact", "store-web", "memory", "64Gi", "adjust the plan")


def test_a_pod_that_is_not_safe_is_the_charts_fault_at_once(ground: Ground) -> None:
    ground.deployment(safe=False)
    found = ground.diagnosis("pod-security-refuses")
    says(found, "chart", "support", "contact", "store-web", "allowPrivilegeEscalation")
    assert found.at_once


def test_an_account_that_the_chart_forgot_is_named(ground: Ground) -> None:
    ground.deployment(serviceAccountName="nobody")
    found = ground.diagnosis("account-missing")
    says(found, "chart", "support", "repair", "store-web", "nobody")


def test_a_check_that_does_not_answer_is_the_clusters_fault(ground: Ground) -> None:
    """Something listens and never says a word: the API server gives up after a second."""
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, ground.made(webhook(ground, silent.getsockname()[1])):
        ground.deployment()
        found = ground.diagnosis("webhook-silent")
    says(found, "cluster", "platform", "", "check.example.com", "It is not your store")
    assert found.never_fails


def test_a_check_that_says_no_is_quoted(ground: Ground) -> None:
    authority = (ground.devcluster.root / "identities" / "ca.crt").read_bytes()
    with https_server(ground.devcluster) as port, ExitStack() as check:
        check.enter_context(ground.made(webhook(ground, port, b64encode(authority).decode())))
        ground.deployment()
        found = ground.diagnosis("webhook-denies")
    says(found, "chart", "platform", "contact", "check.example.com", "closed on Sundays")
    assert not found.at_once


def test_any_other_rule_that_refuses_pods_is_quoted(ground: Ground) -> None:
    name = f"no-{ground.store.pk.hex[:6]}"
    here = {"matchLabels": {"storeyard.dev/store": str(ground.store.pk)}}
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    spec = {
        "matchConstraints": {
            "namespaceSelector": here,
            "resourceRules": [{**rule, "resources": ["pods"]}],
        },
        "validations": [{"expression": "false", "message": "This registry is not allowed here."}],
    }
    version = "admissionregistration.k8s.io/v1"
    policy = object_of(version, "ValidatingAdmissionPolicy", name, spec=spec)
    binding = object_of(
        version, "ValidatingAdmissionPolicyBinding", name,
        spec={"policyName": name, "validationActions": ["Deny"]},
    )  # fmt: skip
    with ground.made(policy, binding):
        numbers = iter(range(1000))

        def refused() -> Diagnosis | None:
            # In force after a moment only: a shop that was made before tells nothing.
            ground.deployment(f"store-web-{next(numbers)}")
            found = diagnosis.diagnose(ground.evidence())
            return found if found and found.cause.code == "pods-refused" else None

        found = until(refused)
    says(found, "chart", "support", "contact", "store-web", "This registry is not allowed here")


# --- Have they a disk, and a machine? --------------------------------------------------------


def test_a_cluster_without_a_default_storage_class_is_not_the_stores_fault(ground: Ground) -> None:
    default = "storageclass.kubernetes.io/is-default-class"
    (name,) = (
        each["metadata"]["name"]
        for each in ground.admin.api.objects("StorageClass")
        if each["metadata"].get("annotations", {}).get(default) == "true"
    )
    kubectl = ground.devcluster.kubectl
    kubectl("annotate", "storageclass", name, f"{default}-")
    try:
        ground.make(claim())
        found = ground.diagnosis("storage-class-missing")
        until(lambda: "FailedBinding" in str(ground.evidence()["events"]))
        found = ground.diagnosis("storage-class-missing")
    finally:
        kubectl("annotate", "storageclass", name, f"{default}=true")
    says(found, "cluster", "platform", "", "data", "It is not your store")
    in_lines(found, "no storage class is set", name)


def test_a_storage_class_that_is_not_there_is_named(ground: Ground) -> None:
    ground.make(claim(storageClassName="none-such"))
    found = ground.diagnosis("storage-class-missing")
    says(found, "cluster", "platform", "", "data")
    in_lines(found, "none-such")


def test_a_disk_that_is_refused_is_said_in_the_clusters_words(ground: Ground) -> None:
    name = f"refuses-{ground.store.pk.hex[:6]}"
    with ground.made(storage_class(name, "kubernetes.io/no-provisioner")):
        ground.make(claim(storageClassName=name))
        found = ground.diagnosis("volume-refused")
    says(found, "workload", "platform", "retry", "data", "no volume plugin matched")
    assert not found.at_once


def test_a_disk_that_nobody_makes_is_the_clusters_fault_after_a_while(ground: Ground) -> None:
    name = f"nobody-{ground.store.pk.hex[:6]}"
    with ground.made(storage_class(name, "example.com/nobody")):
        ground.make(claim(storageClassName=name))
        assert diagnosis.diagnose(ground.evidence()) is None
        found = ground.diagnosis("volume-slow", later=120)
    says(found, "cluster", "platform", "", "data", "It is not your store")
    in_lines(found, "example.com/nobody")


def test_a_disk_that_waits_for_its_first_pod_is_no_fault(ground: Ground) -> None:
    name = f"waits-{ground.store.pk.hex[:6]}"
    with ground.made(storage_class(name, "example.com/nobody", "WaitForFirstConsumer")):
        ground.make(claim(storageClassName=name))
        until(lambda: "WaitForFirstConsumer" in str(ground.evidence()["events"]))
        assert diagnosis.diagnose(ground.evidence(HOUR)) is None
        # As soon as a pod is to use it, somebody has to make it.
        mount = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
        ground.deployment(volumes=[mount])
        found = ground.diagnosis("volume-slow", later=120)
    says(found, "cluster", "platform", "", "data")


def test_a_cluster_without_room_is_not_the_stores_fault(ground: Ground) -> None:
    ground.deployment(container={"resources": {"requests": {"cpu": "9999"}}})
    found = ground.diagnosis("unschedulable")
    says(found, "cluster", "platform", "contact", "no room", "store-web")
    in_lines(found, "not scheduled", "Insufficient cpu")


def test_a_machine_that_is_not_there_is_asked_for_by_name(ground: Ground) -> None:
    ground.deployment(nodeSelector={"disk": "none-such"})
    found = ground.diagnosis("no-matching-node")
    says(found, "cluster", "platform", "contact", "store-web")
    in_lines(found, "node affinity/selector")


def test_a_machine_that_falls_silent_is_named(ground: Ground) -> None:
    node = f"node-{ground.store.pk.hex[:6]}"
    ground.devcluster.add_node(node)
    try:
        ground.deployment(nodeSelector={"kubernetes.io/hostname": node}, situation=BY_HAND)
        until(lambda: ground.pod("store-web")["spec"].get("nodeName") == node)
        # Otherwise kwok, which is this machine's kubelet, says at once that all is well.
        ground.devcluster.pause("kwok")
        silent = {
            "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.",
        }  # fmt: skip
        ground.write_status("Node", node, {"conditions": [silent]})
        found = ground.diagnosis("node-lost")
        says(found, "cluster", "platform", "", "store-web", node, "by itself")
        in_lines(found, "stopped posting")
    finally:
        ground.devcluster.resume("kwok")
        ground.remove("Node", node)


# --- Do they run? ----------------------------------------------------------------------------


def test_an_image_that_does_not_exist_is_named_at_once(ground: Ground) -> None:
    ground.deployment(situation="image-pull")
    found = ground.diagnosis("image-missing")
    says(found, "workload", "support", "retry", "registry.example.com/shop:1", "ImagePullBackOff")
    assert found.at_once
    in_lines(found, "not found", "Event Failed")


def test_an_image_that_cannot_be_fetched_now_may_be_later(ground: Ground) -> None:
    ground.deployment(situation=BY_HAND)
    text = 'failed to pull image "shop:1": dial tcp: i/o timeout'
    ground.container_says({"waiting": {"reason": "ErrImagePull", "message": text}})
    found = ground.diagnosis("image-unavailable")
    says(found, "workload", "nobody", "retry", "shop:1", "ErrImagePull")
    assert not found.at_once


def test_a_malformed_image_is_named_at_once(ground: Ground) -> None:
    ground.deployment(situation=BY_HAND, container={"image": "Not An Image"})
    ground.container_says({"waiting": {"reason": "InvalidImageName"}}, image="")
    found = ground.diagnosis("image-missing")
    says(found, "workload", "support", "retry", "Not An Image", "InvalidImageName")
    assert found.at_once


def test_a_secret_that_a_container_is_made_from_and_that_is_gone_is_named(ground: Ground) -> None:
    ground.deployment(situation=BY_HAND)
    reason = {"reason": "CreateContainerConfigError", "message": 'secret "store-db" not found'}
    ground.container_says({"waiting": reason})
    found = ground.diagnosis("container-refused")
    says(found, "chart", "support", "repair", "store-web", 'secret "store-db" not found')


def test_a_container_that_needs_too_much_memory_is_named_with_its_limit(ground: Ground) -> None:
    limit = {"resources": {"limits": {"memory": "64Mi"}}}
    ground.deployment(situation="out-of-memory", container=limit)
    found = ground.diagnosis("out-of-memory")
    says(found, "workload", "support", "contact", "store-web", "64Mi", "larger plan")
    assert found.at_once
    in_lines(found, "OOMKilled, exit code 137", "Back-off restarting")


def test_a_crash_loop_is_told_with_its_exit_code(ground: Ground) -> None:
    ground.deployment(situation="crash-loop")
    found = ground.diagnosis("crash-loop")
    says(found, "workload", "owner", "retry", "store-web", "exit code 1")
    assert found.at_once
    in_lines(found, "ended with exit code 1 (Error), restarted 5 times", "Event BackOff")


def test_a_container_that_ended_once_may_still_come_up(ground: Ground) -> None:
    ground.deployment(situation=BY_HAND)
    ended = {"exitCode": 3, "reason": "Error", "message": "cannot read DB_PASSWORD=hunter2"}
    ground.container_says({"terminated": ended}, restartCount=1)
    found = ground.diagnosis("crash-loop")
    says(found, "workload", "owner", "retry", "exit code 3")
    assert not found.at_once
    in_lines(found, "cannot read DB_PASSWORD=[redacted]")


def test_a_preparation_that_fails_is_named(ground: Ground) -> None:
    first = pod_spec(container={"name": "wait-for-database"})["containers"]
    ground.deployment(situation="init-fail", initContainers=first)
    found = ground.diagnosis("init-failed")
    says(found, "workload", "owner", "retry", "wait-for-database", "store-web", "exit code 1")
    assert not found.at_once


def test_a_database_that_crashes_is_the_cause_and_not_who_waits_for_it(ground: Ground) -> None:
    first = pod_spec(container={"name": "wait-for-database"})["containers"]
    ground.deployment(situation="init-fail", initContainers=first)
    ground.make(workload("StatefulSet", "store-db", situation="crash-loop"))
    found = ground.diagnosis("crash-loop")
    assert found.cause.params["name"] == "store-db-0"


def test_a_setup_that_failed_has_failed_for_good(ground: Ground) -> None:
    ground.make(workload("Job", "store-setup-1", situation="fail"))
    found = ground.diagnosis("setup-failed")
    says(found, "workload", "owner", "retry", "store-setup-1", "backoff limit")
    assert found.at_once
    in_lines(found, "ended with exit code 1", "BackoffLimitExceeded")


def test_a_setup_that_took_too_long_is_told_apart(ground: Ground) -> None:
    short = {"activeDeadlineSeconds": 1}
    ground.make(workload("Job", "store-setup-1", situation=BY_HAND, above=short))
    found = ground.diagnosis("setup-late")
    says(found, "workload", "owner", "retry", "took longer", "store-setup-1")
    assert found.at_once


def test_a_shop_that_does_not_answer_its_probe_is_given_a_while(ground: Ground) -> None:
    ground.deployment(situation="unready")
    until(lambda: "Unhealthy" in str(ground.evidence()["events"]))
    assert diagnosis.diagnose(ground.evidence()) is None
    found = ground.diagnosis("probe-fails", later=LATER)
    says(found, "workload", "nobody", "retry", "store-web", "statuscode: 503", "by itself")
    assert not found.at_once


# --- What is no cause ------------------------------------------------------------------------


def test_pods_of_a_cron_job_are_nobodys_fault(ground: Ground) -> None:
    job = workload("Job", "ignored", situation="crash-loop")["spec"]
    cron = {"schedule": "0 3 * * *", "jobTemplate": {"spec": job}}
    ground.make(object_of("batch/v1", "CronJob", "store-cron", spec=cron))
    ground.devcluster.kubectl(
        "create", "job", "store-cron-1", "--from=cronjob/store-cron", "-n", ground.namespace
    )
    until(lambda: "CrashLoopBackOff" in str(ground.evidence()["pods"]))
    assert diagnosis.diagnose(ground.evidence()) is None


def test_a_pod_that_a_newer_rollout_replaces_is_no_cause(ground: Ground) -> None:
    ground.deployment(situation="crash-loop")
    ground.diagnosis("crash-loop")
    # The new one only starts, so that the old one stays.
    template = workload("Deployment", "store-web", situation="starting")["spec"]["template"]
    ground.patch("Deployment", "store-web", {"spec": {"template": template}})
    until(lambda: len(ground.evidence()["pods"]) == 2)
    assert "CrashLoopBackOff" in str(ground.evidence()["pods"])
    assert diagnosis.diagnose(ground.evidence()) is None


def test_a_shop_that_is_all_up_has_no_cause_whatever_was_before(ground: Ground) -> None:
    ground.guard(pods="1")
    ground.deployment()
    ground.make(workload("StatefulSet", "store-db"))
    ground.diagnosis("quota-exceeded")
    ground.guard(pods="5")
    until(lambda: not ground.cluster.not_ready(ground.namespace), seconds=60)
    evidence = ground.evidence()
    assert "exceeded quota" in str(evidence["events"])
    assert diagnosis.diagnose(evidence) is None


def test_where_no_rule_finds_a_cause_the_raw_facts_are_shown(ground: Ground) -> None:
    ground.deployment(situation="starting")
    until(lambda: "ContainerCreating" in str(ground.evidence()["pods"]))
    evidence = ground.evidence(
        waiting={
            "code": "workload-starting",
            "params": {"name": "store-web", "ready": 0, "wanted": 1},
        }
    )
    assert diagnosis.diagnose(evidence) is None
    found = diagnosis.unknown(evidence)
    says(found, "unknown", "support", "contact", "does not say why", "store-web is starting")
    in_lines(found, "ContainerCreating")
