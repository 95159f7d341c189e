"""What an API server does with something new: refuses it, or keeps it with what it adds itself."""

from __future__ import annotations

from provisioning.cluster.base import Manifest
from provisioning.cluster.simulation.objects import Objects, Stored
from provisioning.errors import NotYet, StepFailed
from stores.messages import Message


def admit(objects: Objects, namespace: str) -> None:
    """Nothing comes to be in a namespace that is not there, or on its way out."""
    if not namespace:
        return
    found = objects.namespace(namespace)
    if found is None:
        raise rejected(f'namespaces "{namespace}" not found')
    if found.expires is not None:
        raise NotYet(Message("namespace-terminating", {"remaining": "it is being emptied"}))


def add(objects: Objects, manifest: Manifest, *, applied: bool = False) -> Stored:
    if manifest["kind"] == "Namespace":
        # The cluster's own label, which network policies select by.
        stored = objects.add(manifest, applied=applied)
        name_label = {"kubernetes.io/metadata.name": stored.name}
        stored.body["metadata"]["labels"] = {**stored.labels, **name_label}
        objects.save(stored)
        return stored
    return objects.add(manifest, applied=applied)


def rejected(reason: str) -> StepFailed:
    return StepFailed(Message("rejected", {"reason": reason}))
