"""A cluster in a SQLite file: for development without Kubernetes, and for fast tests.

Honest about time: workloads need some seconds, a namespace is Terminating before it is gone, and
a quota is confirmed a moment after it was made. Nothing is random and nothing sleeps: what has
become of an object is computed from the clock when somebody looks. Stores of some names go wrong
(``simulation.course.FAULTS``). Several processes may share the file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from provisioning.cluster import inventory, parts, readiness, telling
from provisioning.cluster import seen as reduced
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
    SeenNamespace,
    SeenObject,
    Survey,
    no_beat,
)
from provisioning.cluster.simulation import (
    charts,
    counting,
    course,
    evidence,
    looking,
    releases,
)
from provisioning.cluster.simulation import telling as spoken
from provisioning.cluster.simulation.admission import add, admit, rejected
from provisioning.cluster.simulation.course import Course
from provisioning.cluster.simulation.looking import Look
from provisioning.cluster.simulation.objects import (
    ObjectFile,
    Objects,
    Stored,
    as_kept,
    merge,
    timestamp,
)
from provisioning.cluster.simulation.releases import History
from provisioning.errors import ClusterUnavailable, NotYet, StepFailed
from stores.messages import Message

POLL_SECONDS = 0.2
# How long a disk outlives its claim, as a share of the time a namespace is Terminating.
VOLUME_SHARE = 1 / 6
# charts/portal: reading these needs no rights inside the namespace, and everything else does.
ACCESS = "storeyard-operator"
OBSERVED = frozenset((
    "Event", "LimitRange", "PersistentVolumeClaim", "Pod", "ResourceQuota", "Service",
    "Deployment", "ReplicaSet", "StatefulSet", "CronJob", "Job", "Ingress", "NetworkPolicy",
    "RoleBinding",
))  # fmt: skip
HIDDEN = frozenset(inventory.KINDS) - OBSERVED
WAITED_FOR = ("StatefulSet", "Deployment", "Job", "PersistentVolumeClaim")


class SimulatedCluster(Cluster):
    """``starting_seconds``: from a release to a store that is all up."""

    name = "simulated"
    routes_traffic = False
    simulated = True

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Callable[[], float] = time.time,
        starting_seconds: float = 5.0,
        terminating_seconds: float = 3.0,
    ) -> None:
        self.file = ObjectFile(Path(path), clock)
        self.starting_seconds, self.terminating_seconds = starting_seconds, terminating_seconds

    # --- Objects -------------------------------------------------------------------------

    def apply(self, manifest: Manifest) -> Manifest:
        kind, metadata = manifest["kind"], manifest["metadata"]
        namespace, uid = metadata.get("namespace", ""), metadata.get("uid", "")
        with self.file.writing() as objects:
            self.authorize(objects, kind, namespace, write=True)
            found = objects.find(kind, metadata["name"], namespace)
            if uid and (found is None or found.uid != uid):
                raise StepFailed(Message("object-gone", {"kind": kind, "name": metadata["name"]}))
            if found is None:
                admit(objects, namespace)
                return self.seen(objects, add(objects, manifest, applied=True))
            self.change(objects, found, as_kept(manifest))
            return self.seen(objects, found)

    def change(self, objects: Objects, found: Stored, wanted: Manifest) -> None:
        body = merge(found.body, found.applied, wanted)
        if body == found.body and wanted == found.applied:
            return
        found.applied = wanted
        if found.kind == "ResourceQuota":
            # What the cluster has confirmed so far stays until it confirms the change.
            body["status"] = self.seen(objects, found)["status"]
        objects.change(found, body)

    def create(self, manifest: Manifest) -> Manifest:
        kind, metadata = manifest["kind"], manifest["metadata"]
        namespace = metadata.get("namespace", "")
        with self.file.writing() as objects:
            self.authorize(objects, kind, namespace, write=True)
            found = objects.find(kind, metadata["name"], namespace)
            if found is None:
                admit(objects, namespace)
                found = add(objects, manifest)
            return self.seen(objects, found)

    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        with self.file.reading() as objects:
            self.authorize(objects, kind, namespace)
            found = objects.find(kind, name, namespace)
            return self.seen(objects, found) if found else None

    def delete(self, kind: str, name: str, namespace: str = "", *, uid: str = "") -> None:
        with self.file.writing() as objects:
            self.authorize(objects, kind, namespace, write=True)
            found = objects.find(kind, name, namespace)
            if found is None or uid not in ("", found.uid):
                return
            if kind == "Namespace":
                self.terminate(objects, found)
            else:
                self.remove(objects, found)

    def terminate(self, objects: Objects, namespace: Stored) -> None:
        if namespace.expires is not None:
            return
        seconds = self.course(objects, namespace.name).terminating(self.terminating_seconds)
        gone_at = objects.now + seconds
        for claim in objects.of_kind("PersistentVolumeClaim", namespace=namespace.name):
            self.release_volume(objects, claim, gone_at)
        namespace.body["metadata"]["deletionTimestamp"] = timestamp(objects.now)
        objects.save(namespace)
        objects.expire_namespace(namespace.name, gone_at)

    def remove(self, objects: Objects, stored: Stored) -> None:
        if stored.kind == "PersistentVolumeClaim":
            self.release_volume(objects, stored, objects.now)
        objects.remove(stored)

    def release_volume(self, objects: Objects, claim: Stored, claim_gone_at: float) -> None:
        volume = objects.find("PersistentVolume", course.volume_name(claim))
        if volume and not inventory.is_retained(volume.body):
            volume.expires = claim_gone_at + self.terminating_seconds * VOLUME_SHARE
            objects.save(volume)

    def authorize(
        self, objects: Objects, kind: str, namespace: str, *, write: bool = False
    ) -> None:
        """The rights of the portal's account: until the binding is made, few inside a namespace."""
        if not namespace or kind == "RoleBinding" or (kind in OBSERVED and not write):
            return
        if not objects.find("RoleBinding", ACCESS, namespace):
            raise NotYet(Message("access-pending"))

    # --- Releases ------------------------------------------------------------------------

    def ensure_release(self, release: Release, beat: Beat = no_beat) -> bool:
        with self.file.writing() as objects:
            if not self.needs_helm(objects, release):
                return False
            admit(objects, release.namespace)
            self.mend(objects, release)
            history = History(objects, release.name, release.namespace)
            status = "pending-upgrade" if history.was_deployed else "pending-install"
            number = history.begin(status)
        # Whoever is stopped here leaves the release pending, as a stopped Helm does.
        beat()
        with self.file.writing() as objects:
            admit(objects, release.namespace)
            releases.put(objects, release, number)
            History(objects, release.name, release.namespace).deploy(number)
            self.remember_release(objects, release)
        return True

    def needs_helm(self, objects: Objects, release: Release) -> bool:
        """Raises StepFailed where there is no namespace to put it in."""
        namespace = objects.namespace(release.namespace)
        if namespace is None:
            raise rejected(f"namespace {release.namespace} not found")
        self.authorize(objects, "Secret", release.namespace)
        history = History(objects, release.name, release.namespace)
        history.close()
        if history.status != "deployed":
            return True
        if namespace.annotations.get(RELEASE_ANNOTATION) != release.hash:
            return True
        there = releases.parts_of(objects, release.name, release.namespace)
        return parts.remembered(namespace.annotations) != there

    def mend(self, objects: Objects, release: Release) -> None:
        """Bring a release that was cut off to where an upgrade is possible."""
        history = History(objects, release.name, release.namespace)
        status = history.status
        if status in releases.PENDING and history.was_deployed:
            history.roll_back()
        elif status in (*releases.PENDING, *releases.UNFINISHED):
            if release.may_start_over:
                self.uninstall(objects, release.name, release.namespace)
            else:  # What is there holds a shop: it stays, and the upgrade takes it over.
                history.mark(history.revisions[-1], "failed")

    def remember_release(self, objects: Objects, release: Release) -> None:
        namespace = objects.namespace(release.namespace)
        if namespace:
            annotations = namespace.body["metadata"].setdefault("annotations", {})
            annotations[RELEASE_ANNOTATION] = release.hash
            annotations[CHART_ANNOTATION] = release.chart_version
            there = releases.parts_of(objects, release.name, release.namespace)
            annotations[PARTS_ANNOTATION] = parts.as_annotation(there)
            objects.save(namespace)

    def uninstall_release(self, name: str, namespace: str, beat: Beat = no_beat) -> None:
        with self.file.writing() as objects:
            if objects.namespace(namespace) is None:
                return
            self.authorize(objects, "Secret", namespace, write=True)
            self.uninstall(objects, name, namespace)

    def uninstall(self, objects: Objects, name: str, namespace: str) -> None:
        for stored in releases.made_by(objects, name, namespace):
            if charts.KEEP not in stored.annotations:
                self.remove(objects, stored)
        History(objects, name, namespace).forget()

    def disturb(self, kind: str, name: str, namespace: str, trouble: str = "") -> None:
        """For tests: the pods of that workload get into this trouble; none lets them recover."""
        with self.file.writing() as objects:
            if stored := objects.find(kind, name, namespace):
                annotations = stored.body["metadata"].setdefault("annotations", {})
                annotations[course.TROUBLE_ANNOTATION] = trouble
                stored.since = objects.now - self.starting_seconds
                objects.save(stored)

    def leave_release(self, namespace: str, name: str, status: str) -> None:
        """For tests: as if Helm had been killed while its newest revision was in that status."""
        with self.file.writing() as objects:
            history = History(objects, name, namespace)
            if status in (*releases.PENDING, "deployed") or not history.revisions:
                history.begin(status)
            else:
                history.mark(history.revisions[-1], status)

    # --- Looking -------------------------------------------------------------------------

    def not_ready(self, namespace: str) -> list[Message]:
        with self.file.reading() as objects:
            return readiness.waiting_for(self.all_seen(objects, namespace, WAITED_FOR))

    def evidence(self, namespace: str) -> dict[str, Any]:
        with self.file.reading() as objects:

            def seen(*kinds: str) -> list[Manifest]:
                if "Namespace" in kinds:
                    found = objects.namespace(namespace)
                    return [self.seen(objects, found)] if found else []
                return self.all_seen(objects, namespace, kinds)

            return evidence.collect(objects, namespace, self.course(objects, namespace), seen)

    def logs(self, namespace: str, component: str, lines: int) -> dict[str, str]:
        with self.file.reading() as objects:
            going = self.course(objects, namespace)
            found = spoken.logs(objects, namespace, component, lines, going)
            # Which containers there are anybody may see, what they wrote not.
            allowed = objects.find("RoleBinding", ACCESS, namespace)
            return found if allowed else dict.fromkeys(found, "")

    def events(self, namespace: str) -> list[Item]:
        with self.file.reading() as objects:
            found = spoken.events(objects, namespace, self.course(objects, namespace))
            return telling.events(found)

    def routes(self, namespace: str) -> list[str]:
        with self.file.reading() as objects:
            for kind in inventory.ROUTES:
                self.authorize(objects, kind, namespace)
            found = objects.of_kind(*inventory.ROUTES, namespace=namespace)
            return [route.name for route in found]

    def inventory(self, namespace: str, uid: str) -> list[Item]:
        with self.file.reading() as objects:
            found = objects.namespace(namespace)
            if found is None or found.uid != uid:
                return []
            hidden = () if objects.find("RoleBinding", ACCESS, namespace) else HIDDEN
            within = [
                inventory.item(kind, each.body)
                for kind in inventory.KINDS
                if kind not in hidden
                for each in objects.of_kind(kind, namespace=namespace)
            ]
            volumes = [inventory.volume_item(each.body) for each in objects.volumes_of(namespace)]
            return [inventory.item("Namespace", found.body), *within, *volumes]

    def contents(self, namespace: str, kinds: tuple[str, ...]) -> list[Manifest]:
        with self.file.reading() as objects:
            going, now = self.course(objects, namespace), objects.now
            found = []
            for kind in kinds:
                self.authorize(objects, kind, namespace)
                found += self.all_seen(objects, namespace, (kind,))
                if kind == "Pod":  # computed, not kept
                    owners = objects.of_kind(*course.WORKLOADS, "Job", namespace=namespace)
                    found += [pod for each in owners for pod in course.pods_of(each, going, now)]
            return [{"kind": item["kind"], "metadata": item["metadata"]} for item in found]

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.file.clock(), UTC)

    def leftovers(self, namespace: str, uid: str) -> list[Message]:
        with self.file.reading() as objects:
            found = objects.namespace(namespace)
            if found and uid in ("", found.uid):
                return [
                    Message("namespace-terminating", {"remaining": self.remaining(objects, found)})
                ]
            return [
                Message("volume-remaining", {"name": volume.name})
                for volume in objects.volumes_of(namespace)
                if not inventory.is_retained(volume.body)
            ]

    def remaining(self, objects: Objects, namespace: Stored) -> str:
        conditions = self.seen(objects, namespace)["status"].get("conditions", [])
        return "; ".join(entry["message"] for entry in conditions) or (
            "its contents are being deleted"
        )

    def survey(self) -> Survey:
        look = self.look()
        with self.file.reading() as objects:
            volumes = [self.seen(objects, stored) for stored in objects.of_kind("PersistentVolume")]
        return Survey(
            namespaces=[found for found in look.values() if isinstance(found, SeenNamespace)],
            objects=reduced.by_namespace(
                found for found in look.values() if isinstance(found, SeenObject)
            ),
            volumes=[reduced.volume(item) for item in volumes],
            facts=looking.FACTS,
        )

    def watch(self, stopped: Callable[[], bool]) -> Iterator[Change]:
        before: Look | None = None
        while not stopped():
            try:
                now = self.look()
            except ClusterUnavailable:
                if before is not None:
                    yield Change("")
                before = None
            else:
                # The look comes first: what happens after the pictures is then not missed.
                yield from looking.pictures(now) if before is None else looking.changes(before, now)
                before = now
            time.sleep(POLL_SECONDS)

    def look(self) -> Look:
        with self.file.reading() as objects:
            return looking.look(objects, lambda namespace: self.course(objects, namespace))

    def course(self, objects: Objects, namespace: str) -> Course:
        return Course.of(objects.namespace(namespace), self.starting_seconds)

    def seen(self, objects: Objects, stored: Stored) -> Manifest:
        """The object as the API would show it now."""
        is_namespace = stored.kind == "Namespace"
        going = self.course(objects, stored.name if is_namespace else stored.namespace)
        content = len(objects.within(stored.name)) if is_namespace else 0
        used = self.used(objects, going, stored) if stored.kind == "ResourceQuota" else {}
        return course.observed(stored, going, objects.now, content, used)

    def used(self, objects: Objects, going: Course, quota: Stored) -> dict[str, str]:
        found = objects.of_kind(*counting.COUNTED, namespace=quota.namespace)
        return counting.used(found, going, objects.now)

    def all_seen(self, objects: Objects, namespace: str, kinds: tuple[str, ...]) -> list[Manifest]:
        found = [stored for kind in kinds for stored in objects.of_kind(kind, namespace=namespace)]
        return [self.seen(objects, stored) for stored in found]
