"""The proof of a deletion: everything that was there, and that it is gone.

An item of an inventory is ``{kind, name, namespace, uid}``, a volume's with ``reclaim``; one of a
receipt says ``gone`` (when that was seen) or ``kept`` (why the cluster keeps it).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from django.utils import timezone

from provisioning.cluster.base import Cluster
from provisioning.errors import NotYet
from stores.messages import Message

Item = dict[str, Any]


def of(inventory: list[Item], cluster: Cluster) -> dict[str, Any]:
    """Raises NotYet if something of it is still there."""
    items = [checked(item, cluster) for item in inventory]
    text = json.dumps(items, sort_keys=True, separators=(",", ":"))
    return {"items": items, "hash": hashlib.sha256(text.encode()).hexdigest()}


def checked(item: Item, cluster: Cluster) -> Item:
    if is_there(item, cluster):
        if item.get("reclaim") == "Retain":
            return {**item, "kept": "its storage class keeps it"}
        raise NotYet(Message("item-remaining", {"kind": item["kind"], "name": item["name"]}))
    return {**item, "gone": timezone.now().isoformat(timespec="seconds")}


def is_there(item: Item, cluster: Cluster) -> bool:
    """Whether that very object is; another one of its name is none of ours."""
    try:
        found = cluster.get(item["kind"], item["name"], item["namespace"])
    except NotYet:
        # Our rights in the namespace went with it (and it is known to be gone): so did this.
        return False
    return found is not None and found["metadata"]["uid"] == item["uid"]


def kept(receipt: dict[str, Any]) -> list[str]:
    """Names of the disks that the cluster keeps."""
    return [item["name"] for item in receipt.get("items", ()) if "kept" in item]
