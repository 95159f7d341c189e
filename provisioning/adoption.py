"""What namespaces say about stores of which there is no row: after the portal's database was lost.

Labels and annotations say whose a store is and what was wanted; Helm's records, whether it was ever
in place. Only read here: rows are written by ``stores.adoption``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from provisioning.cluster.base import CHART_ANNOTATION, Cluster, Manifest, SeenNamespace
from provisioning.engines import RELEASE_NAME
from provisioning.errors import NotYet
from provisioning.manifests import GENERATION
from stores.actor import Actor
from stores.adoption import Remains, adopt_store, refuse_beside
from stores.errors import Refused
from stores.lifecycle import Status
from stores.models import Store, User

NEEDED = ("owner", "name", "engine", "plan", "host")


@dataclass(frozen=True)
class Verdict:
    """What becomes of one namespace: adopted, or why not."""

    namespace: str
    store_id: str
    remains: Remains | None = None
    why_not: str = ""

    def as_json(self) -> dict[str, Any]:
        remains = self.remains
        return {
            "namespace": self.namespace,
            "store": self.store_id,
            "adopted": not self.why_not,
            "why_not": self.why_not,
            "owner": str(remains.owner) if remains else "",
            "owner_email": remains.owner_email if remains else "",
            "address": remains.address if remains else "",
            "status": remains.status if remains else "",
        }


def adopt(
    cluster: Cluster, *, actor: Actor, apply: bool, heirs: dict[UUID, User] | None = None
) -> list[Verdict]:
    """Look at every namespace that no row knows; without ``apply``, write nothing.

    Then everything is done as well, and undone: what would be refused is so for sure. One after the
    other, as in earnest: nobody else waits for all of them.
    """
    found = [candidate(cluster, seen, many) for seen, many in unknown(cluster)]
    if apply:
        return [adopted(verdict, actor, heirs) for verdict in found]
    verdicts: list[Verdict] = []
    for verdict in found:
        before = [one.remains for one in verdicts if one.remains and not one.why_not]
        verdicts.append(rehearsed(verdict, before, actor, heirs))
    return verdicts


def adopted(verdict: Verdict, actor: Actor, heirs: dict[UUID, User] | None) -> Verdict:
    if verdict.remains is None:
        return verdict
    try:
        adopt_store(verdict.remains, actor=actor, heirs=heirs)
    except Refused as refused:
        return Verdict(verdict.namespace, verdict.store_id, verdict.remains, str(refused))
    return verdict


def rehearsed(
    verdict: Verdict, before: list[Remains], actor: Actor, heirs: dict[UUID, User] | None
) -> Verdict:
    """``before``: what would have been adopted by then, and is in no row."""
    with transaction.atomic():
        said = adopted(verdict, actor, heirs)
        transaction.set_rollback(True)
    if said.remains is None or said.why_not:
        return said
    try:
        refuse_beside(said.remains, before, heirs or {})
    except Refused as refused:
        return Verdict(said.namespace, said.store_id, said.remains, str(refused))
    return said


def unknown(cluster: Cluster) -> list[tuple[SeenNamespace, bool]]:
    """Namespaces whose uid is in no row; with each, whether several say they are that store."""
    seen_there = cluster.survey().namespaces
    uids = set(Store.objects.exclude(namespace_uid="").values_list("namespace_uid", flat=True))
    claims = Counter(seen.store_id for seen in seen_there)
    return [(seen, claims[seen.store_id] > 1) for seen in seen_there if seen.uid not in uids]


def candidate(cluster: Cluster, seen: SeenNamespace, many: bool) -> Verdict:
    try:
        if many:
            raise Refused("Several namespaces say that they are this store. Find out which one is.")
        refuse_known(seen)
        return Verdict(seen.name, seen.store_id, remains_of(cluster, seen))
    except Refused as refused:
        return Verdict(seen.name, seen.store_id, why_not=str(refused))


def refuse_known(seen: SeenNamespace) -> None:
    """It is in no row by its uid, and may be in one by its id."""
    row = Store.objects.filter(pk=as_uuid(seen.store_id, "its label")).first()
    if row is None:
        return
    if row.status == Status.DELETED:
        raise Refused("Its store is deleted: the next sweep removes it.")
    if not row.namespace_uid:
        raise Refused(f"Its store has a row and is {row.status}: a worker looks after it.")
    raise Refused(
        f"It is foreign: its store lives in a namespace with the uid {row.namespace_uid}, and this "
        f"one has {seen.uid}. It is not touched. Look at who made it."
    )


def remains_of(cluster: Cluster, seen: SeenNamespace) -> Remains:
    namespace = cluster.get("Namespace", seen.name)
    if namespace is None or namespace["metadata"]["uid"] != seen.uid:
        raise Refused("It went away just now.")
    metadata = namespace["metadata"]
    notes = metadata.get("annotations", {})
    if missing := [note for note in NEEDED if f"storeyard.dev/{note}" not in notes]:
        raise Refused(f"It has no annotation storeyard.dev/{missing[0]}: nobody knows whose it is.")
    said = {name: notes[f"storeyard.dev/{name}"] for name in NEEDED}
    created = datetime.fromisoformat(metadata["creationTimestamp"])
    inside = Inside.of(cluster, seen.name)
    return Remains(
        id=as_uuid(seen.store_id, "its label"),
        owner=as_uuid(said["owner"], "the owner in its annotations"),
        owner_email=notes.get("storeyard.dev/owner-email", ""),
        name=said["name"],
        address=address_in(said["host"]),
        engine=said["engine"],
        plan=said["plan"],
        generation=as_number(notes.get(GENERATION, "1")),
        chart_version=notes.get(CHART_ANNOTATION, ""),
        namespace=seen.name,
        namespace_uid=seen.uid,
        created_at=created,
        ready_at=inside.in_place_since,
        status=status_of(cluster, seen, inside),
    )


def as_uuid(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Refused(f"“{text}” ({what}) is no id. Somebody changed it by hand.") from None


def as_number(text: str) -> int:
    return int(text) if text.isdecimal() else 1


def address_in(host: str) -> str:
    suffix = f".{settings.STORE_DOMAIN}"
    if not host.endswith(suffix):
        raise Refused(
            f"Its host is {host}, and stores live under {settings.STORE_DOMAIN} now. Set "
            "STORE_DOMAIN to what it was, or delete the namespace with kubectl."
        )
    return host.removesuffix(suffix)


@dataclass(frozen=True)
class Inside:
    """Of what is in the namespace: Helm's records of the release, and claims of volumes."""

    records: list[Manifest]
    claims: list[Manifest]

    @classmethod
    def of(cls, cluster: Cluster, namespace: str) -> Inside:
        try:
            found = cluster.contents(namespace, ("Secret", "PersistentVolumeClaim"))
        except NotYet:  # no rights in there: nothing was installed
            return cls([], [])
        records = [
            item for item in found if item["metadata"].get("labels", {}).get("owner") == "helm"
        ]
        return cls(records, [item for item in found if item["kind"] == "PersistentVolumeClaim"])

    @property
    def states(self) -> list[str]:
        """Of the release's revisions, the newest last."""
        labels = [record["metadata"]["labels"] for record in self.records]
        mine = [label for label in labels if label.get("name") == RELEASE_NAME]
        return [label["status"] for label in sorted(mine, key=lambda one: int(one["version"]))]

    @property
    def in_place_since(self) -> datetime | None:
        """Since when there may be a shop's data; None if the release was never in place.

        One that was counts, whether or not the shop ever answered: then nothing is installed anew
        and no password made again. So do volumes of a release whose records are gone.
        """
        if {"deployed", "superseded"}.intersection(self.states) or (
            self.claims and not self.states
        ):
            made = [item["metadata"]["creationTimestamp"] for item in (*self.records, *self.claims)]
            return datetime.fromisoformat(min(made))
        return None


def status_of(cluster: Cluster, seen: SeenNamespace, inside: Inside) -> Status:
    """READY only if it is so: else it is brought there, and says why if it cannot be."""
    if seen.terminating:
        return Status.DELETING
    in_place = inside.states[-1:] == ["deployed"]
    return Status.READY if in_place and not cluster.not_ready(seen.name) else Status.REQUESTED
