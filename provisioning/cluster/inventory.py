"""Everything of a store by name and uid: what a deletion has to prove gone."""

from __future__ import annotations

from provisioning.cluster.base import Item, Manifest

# In the order people read them.
KINDS = (
    "Deployment", "StatefulSet", "CronJob", "Job", "Service", "Ingress", "HTTPRoute",
    "PersistentVolumeClaim", "Secret", "ConfigMap", "ServiceAccount",
    "NetworkPolicy", "ResourceQuota", "LimitRange", "RoleBinding",
)  # fmt: skip
ROUTES = ("Ingress", "HTTPRoute")
# Kubernetes puts these into every namespace.
KUBERNETES_OWN = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


def item(kind: str, found: Manifest) -> Item:
    metadata = found["metadata"]
    return {
        "kind": kind,
        "name": metadata["name"],
        "namespace": metadata.get("namespace", ""),
        "uid": metadata["uid"],
    }


def volume_item(volume: Manifest) -> Item:
    spec = volume["spec"]
    return {
        **item("PersistentVolume", volume),
        "reclaim": spec.get("persistentVolumeReclaimPolicy", "Retain"),
        "claim": spec["claimRef"]["name"],
    }


def is_ours(found: Item) -> bool:
    return (found["kind"], found["name"]) not in KUBERNETES_OWN


def is_retained(volume: Manifest) -> bool:
    return bool(volume["spec"].get("persistentVolumeReclaimPolicy") == "Retain")
