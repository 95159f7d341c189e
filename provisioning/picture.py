"""All stores as the cluster last showed them, by namespace: reduced, in memory, kept by one process."""

from __future__ import annotations

from collections.abc import Iterable

from provisioning.cluster import seen
from provisioning.cluster.base import (
    Change,
    Seen,
    SeenNamespace,
    SeenObject,
    SeenVolume,
    Survey,
)

KINDS = frozenset(("Namespace", *seen.KINDS))


class Picture:
    """``disks``: by namespace, None before anybody has looked for them. The watch does not: they
    carry no label to select them by."""

    def __init__(self) -> None:
        self.namespaces: dict[str, SeenNamespace] = {}
        self.things: dict[str, dict[str, SeenObject]] = {}
        self.disks: dict[str, list[SeenVolume]] | None = None
        self.current: set[str] = set()

    @classmethod
    def of(cls, survey: Survey) -> Picture:
        picture = cls()
        picture.namespaces = {one.name: one for one in survey.namespaces}
        for namespace, objects in survey.objects.items():
            picture.things[namespace] = {one.uid: one for one in objects}
        picture.disks = {}
        for volume in survey.volumes:
            picture.disks.setdefault(volume.namespace, []).append(volume)
        picture.current = set(KINDS)
        return picture

    @property
    def is_current(self) -> bool:
        """Every kind has been listed, and no watch is cut off."""
        return self.current == KINDS

    def take(self, change: Change) -> set[str] | None:
        """Note a change; the namespaces it concerns, None for all."""
        if change.store_id:
            self.note(change)
            return {change.namespace}
        if change.picture is None:  # cut off
            self.current -= {change.kind} if change.kind else KINDS
            return set()
        self.replace(change.kind, change.picture)
        self.current.add(change.kind)
        return None

    def note(self, change: Change) -> None:
        if change.kind == "Namespace":
            if isinstance(change.seen, SeenNamespace):
                self.namespaces[change.namespace] = change.seen
            else:
                self.namespaces.pop(change.namespace, None)
            return
        there = self.things.setdefault(change.namespace, {})
        if isinstance(change.seen, SeenObject):
            there[change.seen.uid] = change.seen
            return
        there.pop(change.uid, None)
        if not there:
            del self.things[change.namespace]

    def replace(self, kind: str, everything: Iterable[Seen]) -> None:
        if kind == "Namespace":
            self.namespaces = {
                one.name: one for one in everything if isinstance(one, SeenNamespace)
            }
            return
        for there in self.things.values():
            for uid in [one.uid for one in there.values() if one.kind == kind]:
                del there[uid]
        for one in everything:
            if isinstance(one, SeenObject):
                self.things.setdefault(one.namespace, {})[one.uid] = one

    def objects(self, namespace: str) -> list[SeenObject]:
        return list(self.things.get(namespace, {}).values())

    def disks_of(self, namespace: str) -> list[SeenVolume] | None:
        return None if self.disks is None else self.disks.get(namespace, [])
