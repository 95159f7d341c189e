"""Everything in a store's namespace, with what is different for every store and every run left out."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from provisioning.cluster.api import KINDS, NotFound
from provisioning.cluster.readiness import made_by_cron
from stores.models import Store

if TYPE_CHECKING:
    from provisioning.cluster.kubernetes import KubernetesCluster

Object = dict[str, Any]
# Made by controllers from the others, with random names; and what happened, not what is.
DERIVED = {"Pod", "ReplicaSet", "Event"}
OF_THE_MOMENT = (
    "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "selfLink",
)  # fmt: skip
# Hashes of content with the store's own names in it, and counters of controllers.
MARKS = (
    "checksum/",
    "storeyard.dev/release",
    "controller-uid",
    "deployment.kubernetes.io/revision",
)


def dump(admin: KubernetesCluster, store: Store) -> dict[str, Object]:
    """{kind/name: object}: two stores of the same plan and engine look the same."""
    objects = {}
    for kind, (_, _, namespaced) in KINDS.items():
        if namespaced and kind not in DERIVED:
            for item in items(admin, kind, store.namespace):
                if not is_record(item) and not made_by_cron(item):
                    add(objects, kind, normal(item, store))
    namespace = admin.get("Namespace", store.namespace)
    return {**objects, "Namespace": normal(namespace or {}, store)}


def items(admin: KubernetesCluster, kind: str, namespace: str) -> list[Object]:
    try:
        return admin.api.objects(kind, namespace)
    except NotFound:  # a kind that this cluster does not have
        return []


def add(objects: dict[str, Object], kind: str, item: Object) -> None:
    """Two that look the same are two."""
    name = f"{kind}/{item['metadata']['name']}"
    while name in objects:
        name += " again"
    objects[name] = item


def is_record(item: Object) -> bool:
    """Helm's history is looked at by itself: how many revisions it took may differ."""
    return bool(item.get("type") == "helm.sh/release.v1")


def normal(item: Object, store: Store) -> Object:
    item = json.loads(anonymous(json.dumps(item), store))
    metadata = item.get("metadata", {})
    for name in OF_THE_MOMENT:
        metadata.pop(name, None)
    item.pop("status", None)
    if "data" in item and "type" in item:  # a Secret: passwords are looked at by themselves
        item["data"] = sorted(item["data"])
    spec = item.get("spec", {})
    # The last one: each store has a minute of its own.
    for name in ("volumeName", "clusterIP", "clusterIPs", "schedule"):
        spec.pop(name, None)
    return dict(without_marks(item))


def anonymous(text: str, store: Store) -> str:
    for value, name in (
        (store.namespace, "NAMESPACE"),
        (str(store.pk), "STORE"),
        (store.address, "ADDRESS"),
        (str(store.namespace_uid) or "no uid", "UID"),
    ):
        text = text.replace(value, name)
    # It carries the number of the revision that made it.
    return re.sub(r"store-setup-\d+", "store-setup-N", text)


def without_marks(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "…" if any(mark in key for mark in MARKS) else without_marks(inner)
            for key, inner in value.items()
        }
    return [without_marks(inner) for inner in value] if isinstance(value, list) else value


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """In words: what is missing, too many or different, by its path."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        told = [f"{path}/{key} is missing" for key in wanted.keys() - found.keys()]
        told += [f"{path}/{key} is too many" for key in found.keys() - wanted.keys()]
        for key in wanted.keys() & found.keys():
            told += differences(wanted[key], found[key], f"{path}/{key}")
        return sorted(told)
    return [] if wanted == found else [f"{path}: {found!r} instead of {wanted!r}"]
