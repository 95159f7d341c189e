"""The objects that the portal makes itself, as pure functions of a store.

Everything here exists before the store's first pod, and is put back on every pass.
"""

from __future__ import annotations

from typing import Any

from provisioning.cluster.base import MANAGED_BY, STORE_LABEL
from stores.models import Store
from stores.plans import PLANS

Manifest = dict[str, Any]

# What Pod Security checks means what it meant in this version; raised deliberately.
POD_SECURITY_VERSION = "v1.34"
OPERATOR_ROLE = "storeyard-store-operator"
BINDING = "storeyard-operator"
QUOTA = "store-quota"
LIMITS = "store-limits"
DENY = "store-default-deny"
# What is there before the first pod, and stays.
GUARDRAILS = (
    ("RoleBinding", BINDING),
    ("ResourceQuota", QUOTA),
    ("LimitRange", LIMITS),
    ("NetworkPolicy", DENY),
)
GENERATION = "storeyard.dev/generation"
# On a Secret that somebody put back from a backup: it may be younger than the data.
RESTORED = "storeyard.dev/restored"
# Helm keeps five revisions of the release, each a Secret, and one more while it upgrades.
SECRETS = 20


def labels(store: Store) -> dict[str, str]:
    """On everything of a store. (Helm puts its own managed-by on what it makes.)"""
    return {MANAGED_BY: "storeyard", STORE_LABEL: str(store.pk)}


def meta(store: Store, name: str) -> dict[str, Any]:
    return {"name": name, "namespace": store.namespace, "labels": labels(store)}


def namespace(store: Store) -> Manifest:
    """With the uid, once the row has one: then nothing is created in place of a vanished one."""
    levels = ("enforce", "audit", "warn")
    metadata: dict[str, Any] = {
        "name": store.namespace,
        "labels": {
            **labels(store),
            **{f"pod-security.kubernetes.io/{level}": "restricted" for level in levels},
            **{
                f"pod-security.kubernetes.io/{level}-version": POD_SECURITY_VERSION
                for level in levels
            },
        },
        "annotations": {
            "storeyard.dev/owner": str(store.owner.uuid),
            "storeyard.dev/owner-email": store.owner.email,
            "storeyard.dev/name": store.name,
            "storeyard.dev/engine": store.engine,
            "storeyard.dev/plan": store.plan,
            "storeyard.dev/host": store.host,
            GENERATION: str(store.generation),
        },
    }
    if store.namespace_uid:
        metadata["uid"] = store.namespace_uid
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def access(store: Store, service_account: str) -> Manifest:
    """The worker's rights inside the namespace. ``service_account``: "namespace/name"."""
    account_namespace, account = service_account.split("/")
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta(store, BINDING),
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": OPERATOR_ROLE,
        },
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
    }


def quota(store: Store) -> Manifest:
    plan = PLANS[store.plan]
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": meta(store, QUOTA),
        "spec": {
            "hard": {
                "requests.cpu": plan.requests_cpu,
                "requests.memory": plan.requests_memory,
                "limits.cpu": plan.limits_cpu,
                "limits.memory": plan.limits_memory,
                "requests.storage": plan.storage,
                "persistentvolumeclaims": str(plan.volumes),
                "pods": str(plan.pods),
                "services.loadbalancers": "0",
                "services.nodeports": "0",
                "count/secrets": str(SECRETS),
            }
        },
    }


def limits(store: Store) -> Manifest:
    """Defaults for every key the quota counts, or pods that name none would be refused."""
    plan = PLANS[store.plan]
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": meta(store, LIMITS),
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "default": {"cpu": "1", "memory": "1Gi"},
                    "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
                    "max": {"cpu": plan.container_max_cpu, "memory": plan.container_max_memory},
                },
                {"type": "PersistentVolumeClaim", "max": {"storage": plan.volume_max}},
            ]
        },
    }


def default_deny(store: Store) -> Manifest:
    """Nothing in, nothing out but names: policies add up, so the charts open what they need."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": meta(store, DENY),
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            # Said although it is empty: an apply leaves alone what it does not name, also a rule
            # that somebody has added.
            "ingress": [],
            "egress": [
                {
                    "to": [
                        {
                            "namespaceSelector": {
                                "matchLabels": {"kubernetes.io/metadata.name": "kube-system"}
                            }
                        }
                    ],
                    "ports": [
                        {"protocol": "UDP", "port": 53},
                        {"protocol": "TCP", "port": 53},
                    ],
                }
            ],
        },
    }


def guardrails(store: Store, service_account: str) -> tuple[Manifest, ...]:
    """In the order they are applied: rights first, or the rest is refused."""
    return (
        access(store, service_account),
        quota(store),
        limits(store),
        default_deny(store),
    )


def secret(store: Store, name: str, values: dict[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta(store, name),
        "type": "Opaque",
        "stringData": values,
    }
