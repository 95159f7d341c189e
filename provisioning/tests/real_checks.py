"""What tests look at in the cluster and in the rows, whoever did the work."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

from provisioning import invariants
from provisioning.cluster.api import path_of
from provisioning.cluster.base import STORE_LABEL
from provisioning.cluster.records import unpacked
from provisioning.cluster.watching import lines
from provisioning.engines import RELEASE_NAME
from stores.lifecycle import SETTLED
from stores.models import Store

if TYPE_CHECKING:
    from provisioning.cluster.kubernetes import KubernetesCluster
    from provisioning.tests.real_platform import Platform

SECRETS = ("store-db", "store-wordpress")
Object = dict[str, Any]


def check_invariants(platform: Platform, *, settled: bool = False) -> None:
    """What holds at any moment between two passes, however the last one ended."""
    said = [
        violation
        for violation in invariants.check(platform.admin, settled=settled)
        if not any(stranger in violation for stranger in platform.strangers)
    ]
    said += [
        f"Helm is at work in {store.namespace}, which is {store.status}."
        for store in Store.objects.filter(status__in=SETTLED)
        if helm_processes(store.namespace)
    ]
    assert not said, "\n".join(said)


def namespaces_of(admin: KubernetesCluster, store: Store) -> list[Object]:
    return admin.api.objects("Namespace", labelSelector=f"{STORE_LABEL}={store.pk}")


def namespace_uid(admin: KubernetesCluster, store: Store) -> str:
    """Empty for none."""
    found = namespaces_of(admin, store)
    return str(found[0]["metadata"]["uid"]) if found else ""


def passwords(admin: KubernetesCluster, store: Store) -> dict[str, dict[str, str]]:
    """Content of the store's Secrets, of those that are there."""
    found = {name: admin.get("Secret", name, store.namespace) for name in SECRETS}
    return {
        name: {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
        for name, secret in found.items()
        if secret
    }


def release_record(admin: KubernetesCluster, store: Store) -> Object:
    """What Helm has written down about the newest revision: chart, values, rendered manifest."""
    records = admin.api.objects(
        "Secret", store.namespace, labelSelector=f"owner=helm,name={RELEASE_NAME}"
    )
    newest = max(records, key=lambda record: int(record["metadata"]["labels"]["version"]))
    return unpacked(newest["data"]["release"])


def volumes_of(admin: KubernetesCluster, store: Store) -> list[Object]:
    return [
        volume
        for volume in admin.api.objects("PersistentVolume")
        if volume["spec"].get("claimRef", {}).get("namespace") == store.namespace
    ]


def version_now(admin: KubernetesCluster) -> int:
    """The cluster's resourceVersion: it counts up with every change of any object."""
    return int(admin.api.objects_with_version("Pod")[1])


def changes_since(
    admin: KubernetesCluster, kind: str, version: int, namespace: str = ""
) -> list[tuple[int, str, Object]]:
    """(resourceVersion, ADDED | MODIFIED | DELETED, object), in order, as a watch replays them."""
    response = admin.api.open(
        "GET",
        path_of(kind, namespace=namespace),
        query={"watch": "true", "resourceVersion": str(version), "timeoutSeconds": "1"},
    )
    return [
        (int(event["object"]["metadata"]["resourceVersion"]), event["type"], event["object"])
        for event in lines(response)
    ]


def helm_processes(namespace: str) -> list[str]:
    """Command lines of Helm processes at work in the namespace."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = file.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # ended meanwhile
            continue
        if "--namespace" in arguments and namespace in arguments:
            found.append(" ".join(arguments))
    return found
