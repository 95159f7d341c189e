"""The proof of a deletion: everything that was there, and that it is gone.

An item of an inventory is ``{kind, name, namespace, uid}``, a volume's with ``reclaim``; one of a
receipt says ``gone`` (when that was seen) or ``kept`` (why the cluster keeps it).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.utils import timezone

from provisioning.cluster import inventory
from provisioning.cluster.base import Cluster, Manifest
from provisioning.errors import NotYet
from stores.messages import Message

Item = dict[str, Any]


def of(there_was: list[Item], cluster: Cluster) -> dict[str, Any]:
    """Raises NotYet if something of it is still there."""
    items = [checked(item, cluster) for item in there_was]
    text = json.dumps(items, sort_keys=True, separators=(",", ":"))
    return {"items": items, "hash": hashlib.sha256(text.encode()).hexdigest()}


def checked(item: Item, cluster: Cluster) -> Item:
    if found := what_is_there(item, cluster):
        # As it is now: whoever wants the data of a store that goes may have said so since.
        if item["kind"] == "PersistentVolume" and inventory.is_retained(found):
            return {**item, "reclaim": "Retain", "kept": "its storage class keeps it"}
        raise NotYet(Message("item-remaining", {"kind": item["kind"], "name": item["name"]}))
    return {**item, "gone": timezone.now().isoformat(timespec="seconds")}


def what_is_there(item: Item, cluster: Cluster) -> Manifest | None:
    """That very object; another one of its name is none of ours."""
    try:
        found = cluster.get(item["kind"], item["name"], item["namespace"])
    except NotYet:
        if not item["namespace"]:
            raise
        # Our rights in the namespace went with it (and it is known to be gone): so did this.
        return None
    return found if found and found["metadata"]["uid"] == item["uid"] else None


def kept(receipt: dict[str, Any]) -> list[str]:
    """Names of the disks that the cluster keeps."""
    return [item["name"] for item in receipt.get("items", ()) if "kept" in item]
