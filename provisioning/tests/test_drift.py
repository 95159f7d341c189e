"""What is found different from what is wanted, and what is not."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from provisioning import drift, manifests
from provisioning.cluster import seen
from provisioning.cluster.base import (
    PARTS_ANNOTATION,
    RELEASE_ANNOTATION,
    SeenNamespace,
    SeenObject,
)
from stores.messages import Message
from stores.models import Store, User

ACCOUNT = "portal-system/portal-worker"
Manifest = dict[str, Any]


@pytest.fixture
def store() -> Store:
    store = Store(owner=User(email="alice@example.com"), name="Anna", address="anna")
    store.namespace = f"store-anna-{store.pk.hex[:6]}"
    return store


def seen_namespace(store: Store) -> SeenNamespace:
    wanted = manifests.namespace(store)["metadata"]
    parts = {"Deployment/store-web": 2, "Service/store-web": 0, "ConfigMap/store-site": 0}
    release = {RELEASE_ANNOTATION: "hash", PARTS_ANNOTATION: json.dumps(parts)}
    return SeenNamespace(
        name=store.namespace,
        uid="uid",
        store_id=str(store.pk),
        terminating=False,
        labels={**wanted["labels"], "kubernetes.io/metadata.name": store.namespace},
        annotations={**wanted["annotations"], **release},
    )


def guardrails(store: Store) -> list[Manifest]:
    """As an API server shows them: with what it fills in."""
    found = [copy.deepcopy(one) for one in manifests.guardrails(store, ACCOUNT)]
    by_kind = {one["kind"]: one for one in found}
    by_kind["NetworkPolicy"]["spec"].pop("ingress")
    by_kind["ResourceQuota"]["status"] = {"hard": {}, "used": {}}
    by_kind["ResourceQuota"]["spec"]["hard"]["limits.cpu"] = "8000m"
    by_kind["RoleBinding"]["subjects"][0]["apiGroup"] = ""
    return found


def release(store: Store) -> list[Manifest]:
    def made(kind: str, **metadata: Any) -> Manifest:
        return {"kind": kind, "metadata": {**manifests.meta(store, "store-web"), **metadata}}

    return [
        {**made("Deployment", generation=2), "spec": {"replicas": 1}},
        made("Service"),
        {**made("Job", generation=1), "spec": {}},
    ]


def everything(store: Store) -> list[SeenObject]:
    return [seen.thing(one) for one in [*guardrails(store), *release(store)]]


def findings(store: Store, objects: list[SeenObject]) -> list[Message]:
    return drift.findings(store, ACCOUNT, seen_namespace(store), objects)


def test_what_is_as_wanted_gives_no_finding(store: Store) -> None:
    assert findings(store, everything(store)) == []


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("RoleBinding", "storeyard-operator"),
        ("ResourceQuota", "store-quota"),
        ("LimitRange", "store-limits"),
        ("NetworkPolicy", "store-default-deny"),
        ("Deployment", "store-web"),
        ("Service", "store-web"),
    ],
)
def test_what_is_missing_is_found(store: Store, kind: str, name: str) -> None:
    rest = [one for one in everything(store) if (one.kind, one.name) != (kind, name)]
    assert findings(store, rest) == [Message("drift-missing", {"kind": kind, "name": name})]


def test_what_carries_another_stores_label_is_missing(store: Store) -> None:
    stomped = [
        replace(one, store_id="other") if one.kind == "LimitRange" else one
        for one in everything(store)
    ]
    assert [one.params["kind"] for one in findings(store, stomped)] == ["LimitRange"]


def opened(policy: Manifest) -> None:
    policy["spec"]["ingress"] = [{}]


def narrowed(policy: Manifest) -> None:
    policy["spec"]["podSelector"] = {"matchLabels": {"app": "none"}}


def one_more_way_out(policy: Manifest) -> None:
    policy["spec"]["egress"].append({})


def raised(quota: Manifest) -> None:
    quota["spec"]["hard"]["limits.cpu"] = "64"


def no_maximum(limits: Manifest) -> None:
    del limits["spec"]["limits"][0]["max"]


def one_more_account(binding: Manifest) -> None:
    binding["subjects"].append(
        {"kind": "ServiceAccount", "name": "stranger", "namespace": "default"}
    )


def unlabelled(binding: Manifest) -> None:
    del binding["metadata"]["labels"]["app.kubernetes.io/managed-by"]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("NetworkPolicy", opened),
        ("NetworkPolicy", narrowed),
        ("NetworkPolicy", one_more_way_out),
        ("ResourceQuota", raised),
        ("LimitRange", no_maximum),
        ("RoleBinding", one_more_account),
        ("RoleBinding", unlabelled),
    ],
)
def test_a_guardrail_that_was_changed_is_found(
    store: Store, kind: str, change: Callable[[Manifest], None]
) -> None:
    found = guardrails(store)
    change(next(one for one in found if one["kind"] == kind))
    objects = [seen.thing(one) for one in [*found, *release(store)]]
    assert [(one.code, one.params["kind"]) for one in findings(store, objects)] == [
        ("drift-changed", kind)
    ]


def test_a_workload_that_was_edited_is_found(store: Store) -> None:
    edited = [
        replace(one, generation=3) if one.kind == "Deployment" else one for one in everything(store)
    ]
    assert findings(store, edited) == [
        Message("drift-changed", {"kind": "Deployment", "name": "store-web"})
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.labels.pop("pod-security.kubernetes.io/enforce"),
        lambda found: found.labels.update({"pod-security.kubernetes.io/enforce": "privileged"}),
        lambda found: found.annotations.pop("storeyard.dev/owner"),
        lambda found: found.annotations.pop(RELEASE_ANNOTATION),
    ],
)
def test_labels_and_annotations_of_the_namespace_are_compared(
    store: Store, change: Callable[[Any], Any]
) -> None:
    namespace = seen_namespace(store)
    change(namespace)
    assert drift.findings(store, ACCOUNT, namespace, everything(store)) == [
        Message("drift-changed", {"kind": "Namespace", "name": store.namespace})
    ]


def test_jobs_and_pods_come_and_go_without_a_finding(store: Store) -> None:
    rest = [one for one in everything(store) if one.kind != "Job"]
    assert findings(store, rest) == []
