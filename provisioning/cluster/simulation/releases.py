"""Helm's records of a release in the simulated cluster: a Secret for each revision, as Helm's."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.cluster import parts
from provisioning.cluster.base import Manifest, Release
from provisioning.cluster.simulation import charts
from provisioning.cluster.simulation.objects import Objects, Stored

HISTORY = 5
UNFINISHED = ("pending-install", "uninstalling")
PENDING = ("pending-upgrade", "pending-rollback")


@dataclass
class Revision:
    number: int
    status: str
    stored: Stored


class History:
    """The revisions of one release, the newest last."""

    def __init__(self, objects: Objects, name: str, namespace: str) -> None:
        self.objects, self.name, self.namespace = objects, name, namespace

    @property
    def revisions(self) -> list[Revision]:
        found = [
            Revision(int(stored.labels["version"]), stored.labels["status"], stored)
            for stored in self.objects.of_kind("Secret", namespace=self.namespace)
            if stored.labels.get("owner") == "helm" and stored.labels.get("name") == self.name
        ]
        return sorted(found, key=lambda revision: revision.number)

    @property
    def status(self) -> str:
        """Of the newest revision; empty where there is no release."""
        revisions = self.revisions
        return revisions[-1].status if revisions else ""

    @property
    def was_deployed(self) -> bool:
        return any(revision.status in ("deployed", "superseded") for revision in self.revisions)

    def begin(self, status: str) -> int:
        """A new revision in that status; its number."""
        revisions = self.revisions
        number = revisions[-1].number + 1 if revisions else 1
        self.objects.add(self._record(number, status), revision=number)
        for old in revisions[: -HISTORY + 1]:
            self.objects.remove(old.stored)
        return number

    def deploy(self, number: int) -> None:
        earlier = [revision for revision in self.revisions if revision.number < number]
        # Where none is deployed, Helm goes on from the newest one.
        replaced = [one for one in earlier if one.status == "deployed"] or earlier[-1:]
        for revision in replaced:
            self.mark(revision, "superseded")
        self.mark(next(one for one in self.revisions if one.number == number), "deployed")

    def close(self) -> None:
        """A revision that another one came after is not under way, and not in place if that one is."""
        for revision in self.revisions[:-1]:
            if revision.status in (*UNFINISHED, *PENDING):
                self.mark(revision, "failed")
            elif revision.status == self.status == "deployed":
                self.mark(revision, "superseded")

    def mark(self, revision: Revision, status: str) -> None:
        revision.stored.body["metadata"]["labels"]["status"] = status
        self.objects.save(revision.stored)

    def roll_back(self) -> None:
        """What was last deployed is so again, as a revision of its own."""
        for revision in self.revisions:
            if revision.status in PENDING:
                self.mark(revision, "failed")
        self.deploy(self.begin("pending-rollback"))

    def forget(self) -> None:
        for revision in self.revisions:
            self.objects.remove(revision.stored)

    def _record(self, number: int, status: str) -> Manifest:
        labels = {"owner": "helm", "name": self.name, "status": status, "version": str(number)}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "helm.sh/release.v1",
            "metadata": {
                "name": f"sh.helm.release.v1.{self.name}.v{number}",
                "namespace": self.namespace,
                "labels": labels,
            },
        }


def put(objects: Objects, release: Release, number: int) -> None:
    """The release's objects as this revision has them."""
    wanted = charts.objects_of(release, number)
    names = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
    for stored in made_by(objects, release.name, release.namespace):
        if (stored.kind, stored.name) not in names and charts.KEEP not in stored.annotations:
            objects.remove(stored)
    for manifest in wanted:
        put_one(objects, manifest, number)
    template = charts.database_claim(release)
    if not objects.find("PersistentVolumeClaim", template["metadata"]["name"], release.namespace):
        add_claim(objects, template, number)


def put_one(objects: Objects, manifest: Manifest, number: int) -> None:
    kind, metadata = manifest["kind"], manifest["metadata"]
    stored = objects.find(kind, metadata["name"], metadata["namespace"])
    if stored is None and kind == "PersistentVolumeClaim":
        add_claim(objects, manifest, number)
    elif stored is None:
        objects.add(manifest, revision=number)
    elif kind == "Deployment":
        # Every upgrade restarts the shop, as the charts' checksums of their configuration do.
        stored.revision = number
        stored.body["spec"] = manifest["spec"]
        objects.roll_out(stored, stored.body)
        objects.save(stored)
    elif kind != "PersistentVolumeClaim" and stored.body.get("spec") != manifest["spec"]:
        objects.change(stored, {**stored.body, "spec": manifest["spec"]})


def parts_of(objects: Objects, name: str, namespace: str) -> parts.Parts:
    found = made_by(objects, name, namespace)
    return parts.counted(
        {"kind": one.kind, "metadata": one.body["metadata"]}
        for one in found
        if one.kind in parts.KINDS
    )


def add_claim(objects: Objects, manifest: Manifest, number: int) -> None:
    """The claim, and the volume that is made for it."""
    claim = objects.add(manifest, revision=number)
    reference = {"namespace": claim.namespace, "name": claim.name, "uid": claim.uid}
    objects.add(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"pvc-{claim.uid}"},
            "spec": {"claimRef": reference, "persistentVolumeReclaimPolicy": "Delete"},
        }
    )


def made_by(objects: Objects, name: str, namespace: str) -> list[Stored]:
    return [
        stored
        for stored in objects.within(namespace)
        if stored.annotations.get(charts.RELEASE_NAME) == name
    ]
