"""Writes down what the cluster says about stores: the row at once, the history when it has held.
Beside their health also what they use of their quota.

Every write asks for the state that was judged, so that of two who look at the same time neither
takes the other's word back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.db.models.functions import Now

from provisioning import health, manifests
from provisioning.cluster import seen
from provisioning.cluster.base import Cluster, SeenNamespace, SeenObject
from provisioning.health import Known, Verdict
from provisioning.picture import Picture
from stores.actor import SYSTEM
from stores.audit import AuditEvent
from stores.lifecycle import Health, Status
from stores.messages import Message
from stores.models import Store, StoreQuerySet

log = logging.getLogger(__name__)
# What anybody's health depends on, and where the cluster counts what a store uses.
KINDS = frozenset(
    ("Namespace", "Deployment", "StatefulSet", "Pod", "PersistentVolumeClaim", "ResourceQuota")
)
BATCH = 500
# The database is away: the next store would only wait as long for it.
AWAY = (OperationalError, InterfaceError)
FIELDS = (
    "pk", "status", "message", "namespace", "namespace_uid", "volumes", "ready_at", "health",
    "health_message", "health_told", "usage",
)  # fmt: skip


def observe(
    picture: Picture, cluster: Cluster, namespaces: Collection[str] | None = None
) -> list[Store]:
    """Judge the stores in these namespaces (all, if None); returns those whose health changed.

    One that cannot be judged holds up no other; what it raised is raised when all are done, for one
    ClusterUnavailable where a loss could not be confirmed.
    """
    changed: list[Store] = []
    failures: list[Exception] = []
    for store in existing(namespaces):
        try:
            note_usage(store, picture)
            if store.is_observed and look_at(store, picture, cluster):
                changed.append(store)
        except AWAY:
            raise
        except Exception as error:
            failures.append(error)
            log.warning("store %s could not be judged: %r", store.pk, error)
    if failures:
        raise failures[0]
    return changed


def existing(namespaces: Collection[str] | None) -> list[Store]:
    stores = Store.objects.existing().only(*FIELDS).order_by()
    if namespaces is None or len(namespaces) > BATCH:
        found = list(stores)
        return (
            found if namespaces is None else [one for one in found if one.namespace in namespaces]
        )
    return list(stores.filter(namespace__in=list(namespaces)))


def look_at(store: Store, picture: Picture, cluster: Cluster) -> bool:
    known = Known(store.namespace, store.namespace_uid, store.volumes)
    namespace = picture.namespaces.get(store.namespace)
    objects = picture.objects(store.namespace)
    now, disks = datetime.now(UTC), picture.disks_of(store.namespace)
    verdict = health.judge(known, namespace, objects, now, disks)
    if verdict.health == Health.LOST and store.health != Health.LOST:
        # What is not in the picture may only have lost its label.
        namespace, objects = asked(known, namespace, objects, cluster)
        verdict = health.judge(known, namespace, objects, now, disks)
    return write(store, with_message(store, verdict), complete=disks is not None)


def with_message(store: Store, verdict: Verdict) -> Verdict:
    """What the last pass could not put right (a Secret that is gone) shows in no workload."""
    if verdict.health != Health.HEALTHY or store.status != Status.READY or not store.message:
        return verdict
    # As long as somebody works on it, the row says what they wait for (a pause, say), which is no
    # trouble of the shop's: that is what the last one said who gave up.
    if store.operations.open().exists():
        if store.health != Health.DEGRADED or not store.health_message:
            return verdict
        told = Message.from_json(store.health_message)
        return verdict if told.codes & health.SEEN else Verdict(Health.DEGRADED, told)
    return Verdict(Health.DEGRADED, Message.from_json(store.message))


def asked(
    known: Known, namespace: SeenNamespace | None, objects: list[SeenObject], cluster: Cluster
) -> tuple[SeenNamespace | None, list[SeenObject]]:
    """The same, completed by what the cluster says when it is asked by name."""
    if namespace is None and (found := cluster.get("Namespace", known.namespace)):
        namespace = seen.namespace(found)
    there = {one.name for one in health.claims(objects)}
    claims = [
        cluster.get("PersistentVolumeClaim", name, known.namespace)
        for name in known.volumes
        if name not in there
    ]
    return namespace, [*objects, *(seen.thing(claim) for claim in claims if claim)]


def write(store: Store, verdict: Verdict, *, complete: bool) -> bool:
    """``complete``: the verdict also knows which disks are left, which the watch does not see."""
    message = verdict.message.as_json() if verdict.message else {}
    same = verdict.health == store.health
    if same and (
        message == store.health_message or (verdict.health == Health.LOST and not complete)
    ):
        return False
    changes: dict[str, Any] = {} if same else {"health_since": Now()}
    if not store.health_told and verdict.health == Health.HEALTHY:
        changes["health_told"] = Health.HEALTHY  # no news
    return bool(
        Store.objects.filter(pk=store.pk, status=store.status, health=store.health).update(
            health=verdict.health,
            health_message=message,
            observed_at=Now(),
            revision=F("revision") + 1,
            **changes,
        )
    )


def note_usage(store: Store, picture: Picture) -> None:
    """Also of a store that is still being set up: nothing changes any more when it is ready."""
    namespace = picture.namespaces.get(store.namespace)
    if namespace is None or namespace.uid != store.namespace_uid:
        return
    usage = next(
        (
            json.loads(one.usage)
            for one in picture.objects(store.namespace)
            if (one.kind, one.name) == ("ResourceQuota", manifests.QUOTA) and one.usage
        ),
        None,
    )
    if usage and usage != store.usage:
        Store.objects.filter(pk=store.pk).exclude(usage=usage).update(
            usage=usage, revision=F("revision") + 1
        )


# --- History ---------------------------------------------------------------------------------


def untold() -> StoreQuerySet:
    """Stores whose health has been another one than was last told, for long enough."""
    held = Now() - timedelta(seconds=settings.HEALTH_HOLD_SECONDS)
    stores = Store.objects.observed().exclude(health="").exclude(health=F("health_told"))
    return stores.filter(health_since__lte=held).order_by("health_since")


def tell() -> int:
    """Write into the history what has held; how many stores that were."""
    return sum(tell_of(store) for store in untold())


def tell_of(store: Store) -> bool:
    with transaction.atomic():
        here = Store.objects.filter(
            pk=store.pk, health=store.health, health_told=store.health_told, status=store.status
        )
        if not here.update(health_told=store.health, revision=F("revision") + 1):
            return False
        message = store.health_message
        details = {"message": message} if message else {}
        AuditEvent.record(
            f"store.health_{store.health}", actor=SYSTEM, store=store, details=details
        )
    return True
