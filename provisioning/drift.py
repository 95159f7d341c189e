"""What of a store differs from what is wanted: pure functions over what survey and watch have seen.

A finding is a message about one thing; what to do about it is always the same, a whole pass. Not
looked at here: Secrets, which a survey never reads (the pass does), Jobs and Pods, which come and go.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from provisioning import manifests
from provisioning.cluster import parts, seen
from provisioning.cluster.base import RELEASE_ANNOTATION, SeenNamespace, SeenObject
from provisioning.cluster.quantities import amount
from stores.messages import Message
from stores.models import Store

Things = dict[tuple[str, str], SeenObject]


def findings(
    store: Store, account: str, namespace: SeenNamespace, objects: Iterable[SeenObject]
) -> list[Message]:
    """``account``: the worker's ServiceAccount, which the guardrails name."""
    # What carries another store's label is not where ours is looked for: it is missing.
    ours = {(one.kind, one.name): one for one in objects if one.store_id == str(store.pk)}
    return [
        *namespace_findings(store, namespace),
        *guardrail_findings(store, account, ours),
        *release_findings(namespace, ours),
    ]


def namespace_findings(store: Store, namespace: SeenNamespace) -> list[Message]:
    wanted = manifests.namespace(store)["metadata"]
    same = (
        wanted["labels"].items() <= namespace.labels.items()
        and wanted["annotations"].items() <= namespace.annotations.items()
        and RELEASE_ANNOTATION in namespace.annotations
        and parts.remembered(namespace.annotations) is not None
    )
    return [] if same else [changed("Namespace", store.namespace)]


def guardrail_findings(store: Store, account: str, ours: Things) -> list[Message]:
    found = []
    for manifest in manifests.guardrails(store, account):
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        there = ours.get((kind, name))
        if there is None:
            found.append(missing(kind, name))
        elif not same_content(seen.guardrail(manifest), there.content):
            found.append(changed(kind, name))
    return found


def release_findings(namespace: SeenNamespace, ours: Things) -> list[Message]:
    """Against what the release consisted of when Helm had put it in."""
    found = []
    for part, generation in (parts.remembered(namespace.annotations) or {}).items():
        kind, _, name = part.partition("/")
        if kind not in seen.KINDS:
            continue
        there = ours.get((kind, name))
        if there is None:
            found.append(missing(kind, name))
        elif there.generation != generation:
            found.append(changed(kind, name))
    return found


def missing(kind: str, name: str) -> Message:
    return Message("drift-missing", {"kind": kind, "name": name})


def changed(kind: str, name: str) -> Message:
    return Message("drift-changed", {"kind": kind, "name": name})


# A thousand stores have the same few contents.
@lru_cache(1024)
def same_content(wanted: str, there: str) -> bool:
    return bool(there) and holds(json.loads(wanted), json.loads(there))


def holds(wanted: Any, there: Any) -> bool:
    """Whether ``there`` is as wanted; the cluster may have filled in what was left open.

    What is wanted empty must be empty: {} in a selector means everything, and a rule in a list that
    should have none opens what should be closed.
    """
    if isinstance(wanted, dict) and wanted:
        return isinstance(there, dict) and all(
            holds(value, there.get(key)) for key, value in wanted.items()
        )
    if isinstance(wanted, list) and wanted:
        return (
            isinstance(there, list)
            and len(wanted) == len(there)
            and all(holds(one, other) for one, other in zip(wanted, there, strict=True))
        )
    if isinstance(wanted, dict | list):
        return not there
    return bool(wanted == there) or same_amount(wanted, there)


def same_amount(wanted: Any, there: Any) -> bool:
    """ "1" and "1000m" are the same."""
    try:
        return amount(wanted) == amount(there)
    except (ValueError, ArithmeticError):
        return False
