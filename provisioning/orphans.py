"""What has lost its other half: namespaces without a row, rows without a namespace, disks without a
claim. Only told: what to do with each is for people, and said with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from uuid import UUID

from provisioning.cluster.base import Cluster, SeenNamespace, SeenVolume, Survey
from stores.lifecycle import Status
from stores.models import Store


@dataclass(frozen=True)
class Orphan:
    """``kind``: namespace, row or volume; ``why`` says what to do as well."""

    kind: str
    name: str
    store: str
    why: str

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def find(cluster: Cluster) -> list[Orphan]:
    """Those of a live system may be under way: what is still there a minute later is one."""
    survey = cluster.survey()
    rows = {str(store.pk): store for store in Store.objects.all()}
    return [
        *namespaces(survey.namespaces, rows),
        *lonely_rows(survey.namespaces, rows),
        *volumes(survey, rows),
    ]


def namespaces(seen_there: list[SeenNamespace], rows: dict[str, Store]) -> Iterator[Orphan]:
    for seen in seen_there:
        row = rows.get(canonical(seen.store_id))
        if seen.terminating or (row and row.namespace_uid == seen.uid):
            continue
        yield Orphan("namespace", seen.name, seen.store_id, why_alone(seen, row))


def canonical(store_id: str) -> str:
    try:
        return str(UUID(store_id))
    except ValueError:
        return store_id


def why_alone(seen: SeenNamespace, row: Store | None) -> str:
    if row is None:
        return "There is no row of its store. adopt_stores can make one."
    if row.status == Status.DELETED:
        return "Its store is deleted. The next sweep removes it."
    if not row.namespace_uid:
        return f"Its store is {row.status} and does not know it yet. The next pass looks at it."
    return (
        f"It is foreign: its store has the namespace with the uid {row.namespace_uid}, and this one "
        f"has {seen.uid}. Nothing here touches it. Look at who made it."
    )


def lonely_rows(seen_there: list[SeenNamespace], rows: dict[str, Store]) -> Iterator[Orphan]:
    uids = {seen.uid for seen in seen_there}
    for row in rows.values():
        on_its_way = row.status in (Status.DELETING, Status.DELETED)
        should_have_one = row.namespace_uid != "" or row.status == Status.READY
        if should_have_one and not on_its_way and row.namespace_uid not in uids:
            yield Orphan(
                "row", row.namespace, str(row.pk),
                f"The store is {row.status}, and its namespace is gone, with what was in it. "
                "Restore it from a backup of the cluster, or delete the store.",
            )  # fmt: skip


def volumes(survey: Survey, rows: dict[str, Store]) -> Iterator[Orphan]:
    """Of stores' namespaces only: what else there is in the cluster is not ours to judge."""
    by_namespace = {row.namespace: row for row in rows.values()}
    there = {seen.name for seen in survey.namespaces}
    for volume in survey.volumes:
        row = by_namespace.get(volume.namespace)
        ours = row is not None or volume.namespace in there
        if ours and (volume.phase != "Bound" or volume.namespace not in there):
            yield Orphan("volume", volume.name, str(row.pk) if row else "", why_left(volume))


def why_left(volume: SeenVolume) -> str:
    claim = f"{volume.namespace}/{volume.claim}"
    if volume.reclaim == "Retain":
        return f"Its claim {claim} is gone, and its storage class keeps it. Delete it with kubectl."
    return (
        f"It is {volume.phase}, and its claim {claim} is gone. The storage has not removed it yet."
    )
