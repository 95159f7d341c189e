"""How a store becomes real, and how it goes: read this first.

Every pass runs all steps of a tuple in order. A step makes its part true and returns; it may find it
true already. It raises NotYet to be asked again later, StepFailed to give up; it returns a Message
where it is skipped for a reason. Its name is what logs, rows and pages call it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F

from provisioning import manifests, receipts, storefront
from provisioning.cluster import readiness
from provisioning.cluster.base import STORE_LABEL, Cluster
from provisioning.engines import ENGINES, RELEASE_NAME, Engine
from provisioning.errors import ClusterUnavailable, LeaseLost, NotYet, StepFailed
from provisioning.lease import Lease
from stores.messages import Message, several
from stores.models import Operation, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """What a step works with: the store's row, the cluster, and the right to do so."""

    store: Store
    cluster: Cluster
    lease: Lease
    operation: Operation | None = None
    # To be told what had to be put right: in a ready store that is a repair.
    found: Callable[[Message], None] = lambda finding: None

    @property
    def engine(self) -> Engine:
        return ENGINES[self.store.engine]


Step = Callable[[Work], Message | None]


def create_namespace(work: Work) -> None:
    store, cluster = work.store, work.cluster
    if not store.namespace_uid:
        refuse_foreign_namespace(work)
    try:
        made = cluster.apply(manifests.namespace(store))
    except StepFailed as error:
        if error.message.code == "object-gone":
            raise lost(store) from error
        raise
    if "deletionTimestamp" in made["metadata"]:
        raise NotYet(Message("namespace-terminating", {"remaining": "it is being emptied"}))
    if not store.namespace_uid:
        remember_namespace(work, made["metadata"]["uid"])


def refuse_foreign_namespace(work: Work) -> None:
    found = work.cluster.get("Namespace", work.store.namespace)
    owner = found and found["metadata"].get("labels", {}).get(STORE_LABEL)
    if found and owner != str(work.store.pk):
        raise StepFailed(Message("namespace-taken", {"namespace": work.store.namespace}))


def remember_namespace(work: Work, uid: str) -> None:
    """Write the uid down; if the store is no longer ours, take the namespace away again.

    A worker may have been paused just before it made the namespace, and the store deleted since.
    """
    try:
        work.lease.write(namespace_uid=uid)
    except LeaseLost:
        row = Store.objects.filter(pk=work.store.pk).values("namespace_uid", "status").first()
        # Another worker may have found the very namespace that we made, and work in it.
        if row is None or (row["namespace_uid"] != uid and row["status"] == "deleted"):
            work.cluster.delete("Namespace", work.store.namespace, uid=uid)
        raise


def lost(store: Store) -> StepFailed:
    return StepFailed(Message("namespace-lost", {"namespace": store.namespace}))


def apply_guardrails(work: Work) -> None:
    store, cluster = work.store, work.cluster
    applied = {
        manifest["kind"]: apply_whole(cluster, manifest)
        for manifest in manifests.guardrails(store, settings.CLUSTER_SERVICE_ACCOUNT)
    }
    if readiness.is_up(applied["ResourceQuota"]):
        return
    # Until the quota knows what is used, it refuses everything it counts, Helm's records included.
    # It learns that in about the time the rest took: asking once more mostly saves a pass.
    quota = cluster.get("ResourceQuota", manifests.QUOTA, store.namespace)
    if quota is None or not readiness.is_up(quota):
        raise NotYet(Message("quota-pending"))


def apply_whole(cluster: Cluster, manifest: manifests.Manifest) -> manifests.Manifest:
    """Also what is wanted empty, but only where somebody has put something there.

    The API server forgets that an empty list was said, and would count every apply as a change.
    """
    spec = manifest.get("spec", {})
    said = {key: value for key, value in spec.items() if value != []}
    if said == spec:
        return cluster.apply(manifest)
    made = cluster.apply({**manifest, "spec": said})
    if any(made["spec"].get(key) for key in spec.keys() - said.keys()):
        made = cluster.apply(manifest)
    return made


def create_secrets(work: Work) -> None:
    """Made once. With another password the data that is there could not be opened."""
    store, cluster = work.store, work.cluster
    for name, content in work.engine.secrets(store).items():
        if cluster.get("Secret", name, store.namespace) is not None:
            continue
        if name in work.engine.volume_secrets and has_data(work):
            raise StepFailed(Message("secret-lost", {"name": name}))
        cluster.create(manifests.secret(store, name, content()))
        work.found(Message("drift-missing", {"kind": "Secret", "name": name}))


def has_data(work: Work) -> bool:
    if work.store.ready_at is not None:
        return True
    tried_before = bool(work.store.chart_version)
    return tried_before and bool(work.cluster.evidence(work.store.namespace)["claims"])


def install_release(work: Work) -> None:
    check_volumes(work)
    if not work.store.chart_version:
        work.lease.write(chart_version=work.engine.chart_version)
    if work.cluster.ensure_release(work.engine.release(work.store), beat=work.lease.renew):
        work.found(Message("drift-changed", {"kind": "Release", "name": RELEASE_NAME}))


def check_volumes(work: Work) -> None:
    """Nobody gets a new empty disk in place of one that held a shop."""
    for name, uid in work.store.volumes.items():
        claim = work.cluster.get("PersistentVolumeClaim", name, work.store.namespace)
        if claim is None or claim["metadata"]["uid"] != uid:
            raise StepFailed(Message("volume-lost", {"name": name}))
    if work.store.ready_at is None or work.store.volumes:
        return
    # One that was adopted: which disks it had nobody wrote down, but that it had them is certain.
    there = volumes_of(work)
    for name in work.engine.volumes:
        if name not in there:
            raise StepFailed(Message("volume-lost", {"name": name}))


def wait_until_running(work: Work) -> None:
    waiting = work.cluster.not_ready(work.store.namespace)
    for message in waiting:
        if message.code == "setup-failed":  # a Job that has failed stays so: no need to wait
            raise StepFailed(message)
    if waiting:
        raise NotYet(several(waiting))
    if not work.store.volumes:
        work.lease.write(volumes=volumes_of(work))


def volumes_of(work: Work) -> dict[str, str]:
    found = {
        name: work.cluster.get("PersistentVolumeClaim", name, work.store.namespace)
        for name in work.engine.volumes
    }
    return {name: str(claim["metadata"]["uid"]) for name, claim in found.items() if claim}


def check_storefront(work: Work) -> Message | None:
    """Ask the shop's public address, as a customer would."""
    if not work.cluster.routes_traffic:
        return Message("storefront-not-routed")
    if reason := storefront.silent_because(work.store.url):
        raise NotYet(Message("storefront-silent", {"url": work.store.url, "reason": reason}))
    return None


def close_storefront(work: Work) -> Message | None:
    """Take the shop off its address; everything behind it stays as it is."""
    store, cluster = work.store, work.cluster
    if store.ready_at is None or own_namespace(work) is None:
        return Message("nothing-to-close")
    cluster.ensure_release(work.engine.release(store, closed=True), beat=work.lease.renew)
    if cluster.routes(store.namespace):
        raise NotYet(Message("route-remaining"))
    return None


def take_inventory(work: Work) -> None:
    """Write down what there is before anything is destroyed. Once: later there is less."""
    uid = work.store.namespace_uid or namespace_uid_in_cluster(work)
    if work.operation is None or work.operation.inventory or not uid:
        return
    found = work.cluster.inventory(work.store.namespace, uid)
    keep(work, work.operation, inventory=found)


def uninstall_release(work: Work) -> Message | None:
    """In an orderly way what can be; whatever Helm leaves goes with the namespace."""
    store, cluster = work.store, work.cluster
    namespace = own_namespace(work)
    if namespace is None or "deletionTimestamp" in namespace["metadata"]:
        return Message("release-absent")
    # Without our own rights there nothing was installed either.
    if cluster.get("RoleBinding", manifests.BINDING, store.namespace) is None:
        return Message("release-absent")
    try:
        cluster.uninstall_release(RELEASE_NAME, store.namespace, beat=work.lease.renew)
    except (NotYet, StepFailed) as error:
        return error.message
    except ClusterUnavailable as error:
        # If it is really away, the next step finds out; a Helm that cannot must not hold us up.
        log.warning("store %s: not uninstalled: %s", store.pk, error)
        return Message("release-left")
    return None


def delete_namespace(work: Work) -> None:
    uid = work.store.namespace_uid or namespace_uid_in_cluster(work)
    if uid:
        work.cluster.delete("Namespace", work.store.namespace, uid=uid)


def own_namespace(work: Work) -> dict[str, Any] | None:
    """The store's, by its uid or, before that was written down, by its label: another one of the
    same name is somebody else's."""
    found = work.cluster.get("Namespace", work.store.namespace)
    if found is None:
        return None
    if uid := work.store.namespace_uid:
        return found if found["metadata"]["uid"] == uid else None
    labels = found["metadata"].get("labels", {})
    return found if labels.get(STORE_LABEL) == str(work.store.pk) else None


def namespace_uid_in_cluster(work: Work) -> str:
    """For a row that was deleted before its namespace's uid was written down; empty for none."""
    found = own_namespace(work)
    return str(found["metadata"]["uid"]) if found else ""


def wait_until_gone(work: Work) -> None:
    # Without a uid, in the row or in the cluster, there never was a namespace of ours; one of the
    # same name is somebody else's and may stay.
    uid = work.store.namespace_uid or namespace_uid_in_cluster(work)
    if uid and (left := work.cluster.leftovers(work.store.namespace, uid)):
        raise NotYet(several(left))
    if work.operation is not None and not work.operation.receipt:
        write_receipt(work, work.operation)


def write_receipt(work: Work, operation: Operation) -> None:
    """Ask for every item of the inventory by name and uid; the proof is kept with the deletion."""
    keep(work, operation, receipt=receipts.of(operation.inventory, work.cluster))


def keep(work: Work, operation: Operation, **fields: Any) -> None:
    """Write fields of the operation down, if the store is still ours."""
    with transaction.atomic():
        work.lease.touch(revision=F("revision") + 1)
        Operation.objects.filter(pk=operation.pk).update(**fields)
    for name, value in fields.items():
        setattr(operation, name, value)


PROVISION: tuple[Step, ...] = (
    create_namespace,
    apply_guardrails,
    create_secrets,
    install_release,
    wait_until_running,
    check_storefront,
)
CLOSE: tuple[Step, ...] = (close_storefront,)
TEAR_DOWN: tuple[Step, ...] = (
    take_inventory,
    uninstall_release,
    delete_namespace,
    wait_until_gone,
)
