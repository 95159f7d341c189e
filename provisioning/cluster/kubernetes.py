"""A real cluster: the Kubernetes API for objects, Helm for releases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from provisioning.cluster import (
    api,
    evidence,
    inventory,
    parts,
    readiness,
    records,
    surveying,
    telling,
    watching,
)
from provisioning.cluster.api import Api, Conflict, NotFound, path_of
from provisioning.cluster.base import (
    CHART_ANNOTATION,
    PARTS_ANNOTATION,
    RELEASE_ANNOTATION,
    Beat,
    Change,
    Cluster,
    Item,
    Manifest,
    Release,
    Survey,
    no_beat,
)
from provisioning.cluster.helm import Helm
from provisioning.errors import NotYet, StepFailed
from provisioning.redaction import one_line
from stores.messages import Message

log = logging.getLogger(__name__)
# An apply drops what the same manager does not repeat, so the annotation has one of its own.
RELEASE_MANAGER = "storeyard-release"
# How the API server refuses to turn one object into another of the same name.
UID_DIFFERS = "metadata.uid: Invalid value"
PENDING = ("pending-upgrade", "pending-rollback")
UNFINISHED = ("pending-install", "uninstalling")


class KubernetesCluster(Cluster):
    """One API server with the Helm that works on it; ``name`` is what people see of it."""

    def __init__(self, connection: Api, helm: Helm, *, name: str, routes_traffic: bool) -> None:
        self.api, self.helm = connection, helm
        self.name, self.routes_traffic = name, routes_traffic

    @classmethod
    def from_settings(cls) -> KubernetesCluster:
        return cls.from_kubeconfig(
            settings.KUBECONFIG, helm=settings.HELM, routes_traffic=settings.CLUSTER_ROUTES_TRAFFIC
        )

    @classmethod
    def from_kubeconfig(
        cls, path: str, *, helm: str, routes_traffic: bool = True
    ) -> KubernetesCluster:
        """Raises ClusterMisconfigured; asks nothing of the cluster yet."""
        program = Helm(helm, path, settings.HELM_SECONDS)
        program.check_version()
        connection = Api.connect(path)
        host = connection.client.configuration.host
        return cls(connection, program, name=host, routes_traffic=routes_traffic)

    # --- Objects -------------------------------------------------------------------------

    def apply(self, manifest: Manifest) -> Manifest:
        return self.apply_as(api.FIELD_MANAGER, manifest)

    def apply_as(self, manager: str, manifest: Manifest) -> Manifest:
        kind, metadata = manifest["kind"], manifest["metadata"]
        try:
            return self.api.request(
                "PATCH",
                path_of(kind, metadata["name"], metadata.get("namespace", "")),
                query={"fieldManager": manager, "force": "true"},
                body=manifest,
                content_type=api.APPLY,
            )
        except Conflict as error:
            # Not by the word alone: it also says that somebody else writes the object right now.
            if "uid" in metadata and self.is_gone(manifest):
                raise object_gone(kind, metadata["name"]) from error
            raise NotYet(Message("busy")) from error
        except NotFound as error:
            raise rejected(str(error)) from error
        except StepFailed as error:
            if "uid" in metadata and UID_DIFFERS in str(error):
                raise object_gone(kind, metadata["name"]) from error
            raise

    def is_gone(self, manifest: Manifest) -> bool:
        """That very object: there is none of the name, or another one."""
        metadata = manifest["metadata"]
        found = self.get(manifest["kind"], metadata["name"], metadata.get("namespace", ""))
        return found is None or bool(found["metadata"]["uid"] != metadata["uid"])

    def create(self, manifest: Manifest) -> Manifest:
        kind, metadata = manifest["kind"], manifest["metadata"]
        namespace = metadata.get("namespace", "")
        try:
            return self.api.request(
                "POST",
                path_of(kind, namespace=namespace),
                query={"fieldManager": api.FIELD_MANAGER},
                body=manifest,
            )
        except Conflict:
            found = self.get(kind, metadata["name"], namespace)
            if found is None:  # there a moment ago, gone now
                raise NotYet(Message("busy")) from None
            return found
        except NotFound as error:
            raise rejected(str(error)) from error

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        try:
            return self.api.request("GET", path_of(kind, name, namespace))
        except NotFound:
            return None

    def delete(self, kind: str, name: str, namespace: str = "", *, uid: str = "") -> None:
        body: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self.api.request("DELETE", path_of(kind, name, namespace), body=body)
        except (NotFound, Conflict):
            # Conflict: another object of that name, which nobody asked to delete, or one that is
            # on its way out already.
            return

    # --- Releases ------------------------------------------------------------------------

    def ensure_release(self, release: Release, beat: Beat = no_beat) -> bool:
        namespace = self.get("Namespace", release.namespace)
        if namespace is None:
            raise rejected(f"namespace {release.namespace} not found")
        annotations = namespace["metadata"].get("annotations", {})
        found = self.revisions(release.name, release.namespace)
        self.close_records(release, found)
        state = found[max(found)] if found else ""
        if state == "deployed" and annotations.get(RELEASE_ANNOTATION) == release.hash:
            there = parts.of_release(self.api, release.name, release.namespace)
            if parts.remembered(annotations) == there:
                return False
        if self.helm.end_orphans(release.namespace):
            state = self.release_state(release.name, release.namespace)
        self.mend(release, state, beat)
        self.helm.upgrade(release, beat)
        # Helm's word is no proof: it also ends well when it could not write its record.
        found = self.revisions(release.name, release.namespace)
        if not found or found[max(found)] != "deployed":
            log.warning("%s: Helm ended, but the release is %s", release.namespace, found)
            raise NotYet(Message("busy"))
        self.close_records(release, found)
        self.remember_release(release, namespace["metadata"]["uid"])
        return True

    def mend(self, release: Release, state: str, beat: Beat) -> None:
        """Bring a release that a killed Helm left behind to where an upgrade is possible."""
        if state not in (*UNFINISHED, *PENDING):
            return
        last = self.last_deployed(release.name, release.namespace)
        if state in PENDING and last:
            self.helm.rollback(release.name, release.namespace, last, beat)
        elif release.may_start_over:
            self.helm.uninstall(release.name, release.namespace, beat)
        else:  # What is there holds a shop: it stays, and the upgrade takes it over.
            newest = max(self.revisions(release.name, release.namespace))
            self.close_record(release, newest, "failed")

    def close_records(self, release: Release, found: dict[int, str]) -> None:
        """A revision that another one came after is not under way, and not in place if that one is.

        Helms that were killed leave the first behind; two that worked at once, the second.
        """
        newest = max(found, default=0)
        for number, state in found.items():
            if number < newest and state in (*UNFINISHED, *PENDING):
                self.close_record(release, number, "failed")
            elif number < newest and state == found[newest] == "deployed":
                self.close_record(release, number, "superseded")

    def close_record(self, release: Release, revision: int, status: str) -> None:
        name = records.name_of(release.name, revision)
        record = self.get("Secret", name, release.namespace)
        if record is None:
            return
        path = path_of("Secret", name, release.namespace)
        try:
            self.api.request("PUT", path, body=records.closed(record, status))
        except (Conflict, NotFound) as error:
            raise NotYet(Message("busy")) from error  # somebody is alive, and writes it

    def remember_release(self, release: Release, uid: str) -> None:
        there = parts.of_release(self.api, release.name, release.namespace)
        annotations = {
            RELEASE_ANNOTATION: release.hash,
            CHART_ANNOTATION: release.chart_version,
            PARTS_ANNOTATION: parts.as_annotation(there),
        }
        metadata = {"name": release.namespace, "uid": uid, "annotations": annotations}
        self.apply_as(
            RELEASE_MANAGER, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        )

    def revisions(self, name: str, namespace: str) -> dict[int, str]:
        """Revision number to status, from the labels of Helm's Secrets: their content is not read."""
        answer = self.api.request(
            "GET",
            path_of("Secret", namespace=namespace),
            query={"labelSelector": f"owner=helm,name={name}"},
            accept=api.METADATA_ONLY,
        )
        labels = [item["metadata"]["labels"] for item in answer.get("items") or []]
        return {int(label["version"]): label["status"] for label in labels}

    def release_state(self, name: str, namespace: str) -> str:
        """Status of the newest revision; empty where there is no release."""
        found = self.revisions(name, namespace)
        return found[max(found)] if found else ""

    def last_deployed(self, name: str, namespace: str) -> int:
        """The newest revision that was ever in place; 0 for none."""
        found = self.revisions(name, namespace)
        return max(
            (n for n, state in found.items() if state in ("deployed", "superseded")), default=0
        )

    def uninstall_release(self, name: str, namespace: str, beat: Beat = no_beat) -> None:
        # In a namespace that is gone we have no rights either, and would wait for them for ever.
        if self.get("Namespace", namespace) and self.revisions(name, namespace):
            try:
                self.helm.uninstall(name, namespace, beat, hooks=True)
            except (NotYet, StepFailed) as error:
                log.warning("%s: uninstalled without the chart's hooks: %s", namespace, error)
                self.helm.uninstall(name, namespace, beat)

    # --- Looking -------------------------------------------------------------------------

    def workloads(self, namespace: str) -> list[Manifest]:
        kinds = ("StatefulSet", "Deployment", "Job", "PersistentVolumeClaim")
        return [item for kind in kinds for item in self.all_of(kind, namespace)]

    def all_of(self, kind: str, namespace: str) -> list[Manifest]:
        return self.api.objects(kind, namespace)

    def not_ready(self, namespace: str) -> list[Message]:
        return readiness.waiting_for(self.workloads(namespace))

    def evidence(self, namespace: str) -> dict[str, Any]:
        return evidence.collect(self.api, namespace)

    def logs(self, namespace: str, component: str, lines: int) -> dict[str, str]:
        return telling.logs(self.api, namespace, component, lines)

    def events(self, namespace: str) -> list[Item]:
        return telling.events(self.api.objects("Event", namespace))

    def routes(self, namespace: str) -> list[str]:
        return [
            found["metadata"]["name"]
            for kind in inventory.ROUTES
            for found in self.named(kind, namespace)
        ]

    def named(self, kind: str, namespace: str) -> list[Manifest]:
        """Metadata only; none of a kind that this cluster does not know. Raises NotYet if it is not
        ours to see: then there may be some.
        """
        try:
            return self.api.objects(kind, namespace, accept=api.METADATA_ONLY)
        except NotFound:
            return []

    def inventory(self, namespace: str, uid: str) -> list[Item]:
        found = self.get("Namespace", namespace)
        if found is None or found["metadata"]["uid"] != uid:
            return []
        within: list[Item] = []
        unseen: list[str] = []
        for kind in inventory.KINDS:
            try:
                within += [inventory.item(kind, each) for each in self.named(kind, namespace)]
            except NotYet:
                unseen.append(kind)
        if unseen:
            log.warning(
                "%s: the inventory says nothing of what we may not see: %s",
                namespace, ", ".join(unseen),
            )  # fmt: skip
        volumes = [inventory.volume_item(volume) for volume in self.volumes_of(namespace)]
        return [inventory.item("Namespace", found), *filter(inventory.is_ours, within), *volumes]

    def volumes_of(self, namespace: str) -> list[Manifest]:
        return [
            volume
            for volume in self.api.objects("PersistentVolume")
            if volume["spec"].get("claimRef", {}).get("namespace") == namespace
        ]

    def contents(self, namespace: str, kinds: tuple[str, ...]) -> list[Manifest]:
        return [
            {"kind": kind, "metadata": item["metadata"]}
            for kind in kinds
            for item in self.api.objects(kind, namespace, accept=api.METADATA_ONLY)
        ]

    def now(self) -> datetime:
        return datetime.now(UTC)

    def leftovers(self, namespace: str, uid: str) -> list[Message]:
        found = self.get("Namespace", namespace)
        if found and uid in ("", found["metadata"]["uid"]):
            return [Message("namespace-terminating", {"remaining": remaining(found)})]
        return [
            Message("volume-remaining", {"name": volume["metadata"]["name"]})
            for volume in self.volumes_of(namespace)
            if not inventory.is_retained(volume)
        ]

    def survey(self) -> Survey:
        return surveying.survey(self.api)

    def watch(self, stopped: Callable[[], bool]) -> Iterator[Change]:
        return watching.watch(self.api, stopped)


def object_gone(kind: str, name: str) -> StepFailed:
    return StepFailed(Message("object-gone", {"kind": kind, "name": name}))


def rejected(reason: str) -> StepFailed:
    return StepFailed(Message("rejected", {"reason": one_line(reason, 500)}))


def remaining(namespace: Manifest) -> str:
    """What keeps a namespace from going, in the cluster's words."""
    conditions = namespace.get("status", {}).get("conditions") or []
    said = [
        entry["message"]
        for entry in conditions
        if entry.get("status") == "True" and entry.get("message")
    ]
    return one_line("; ".join(said), 500) or "its contents are being deleted"
