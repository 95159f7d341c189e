"""The clock's look at everything: corrects what the watch has missed, and finds what has drifted.

One survey, a constant number of requests. It writes down health and the facts of the cluster, opens
a repair where something is not as wanted, removes what deleted stores left behind, and asks for a
whole pass over every ready store now and then, because nobody but a pass looks at Secrets.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from provisioning import drift, observing
from provisioning.cluster.base import Cluster, SeenNamespace, Survey
from provisioning.errors import NotYet, StepFailed
from provisioning.picture import Picture
from stores import queue, services
from stores.lifecycle import Health, Status
from stores.messages import Message, several
from stores.models import Heartbeat, Operation, Snapshot, Store

log = logging.getLogger(__name__)
# Who sweeps next: another row than the heartbeat, which only a sweep that came to its end moves.
CLAIM = "sweep-claim"
# A repair that did not help is tried again so much later, if nothing else is found meanwhile.
REPAIR_AGAIN_SECONDS = 600
# One that helped for a moment only, so often in that time, does not help either.
REPAIRS_IN_VAIN = 5
# A pass comes to its end in these; the others are looked at every so many sweeps.
FINE = Q(message={}) & ~Q(health=Health.DEGRADED)
BROKEN_TURNS = 10
# Nothing tells that a shop's address answers again but asking.
SILENT = Q(message__code="storefront-silent")


@dataclass(frozen=True)
class SweepReport:
    """What one sweep found, and what it did about it."""

    namespaces: int
    changed: list[Store] = field(default_factory=list)
    findings: list[tuple[Store, list[Message]]] = field(default_factory=list)
    repairs: list[Store] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    verified: list[UUID] = field(default_factory=list)


def sweep_when_due(cluster: Cluster) -> SweepReport | None:
    """At most one in SWEEP_SECONDS, whoever's clock asks. Raises what the cluster raises."""
    return sweep(cluster) if claim() else None


def claim() -> bool:
    # Two clocks of one period must not take turns in finding the other a moment too early.
    return Heartbeat.claim(CLAIM, settings.SWEEP_SECONDS * 0.9)


def sweep(cluster: Cluster) -> SweepReport:
    """Raises, at the end, what kept it from judging one of the stores: the others had their look."""
    began = time.monotonic()
    survey = cluster.survey()
    picture = Picture.of(survey)
    keep_facts(survey)
    unjudged: Exception | None = None
    changed: list[Store] = []
    try:
        changed = observing.observe(picture, cluster)
    except (OperationalError, InterfaceError):
        raise  # the database is away: nothing else would work either
    except Exception as error:
        unjudged = error
    observing.tell()  # where no watcher runs, nobody else does
    found = find_drift(picture)
    report = SweepReport(
        namespaces=len(survey.namespaces),
        changed=changed,
        findings=found,
        repairs=repair(found),
        orphans=remove_orphans(cluster, survey.namespaces),
        verified=verify_some(),
    )
    Heartbeat.beat(
        Heartbeat.SWEEP,
        stores=report.namespaces,
        seconds=round(time.monotonic() - began, 3),
        repairs=len(report.repairs),
    )
    if unjudged:
        raise unjudged
    return report


def keep_facts(survey: Survey) -> None:
    Snapshot.objects.update_or_create(pk=1, defaults={"at": Now(), "facts": survey.facts})


# --- Drift -----------------------------------------------------------------------------------


def find_drift(
    picture: Picture, namespaces: Collection[str] | None = None
) -> list[tuple[Store, list[Message]]]:
    """Ready stores (in these namespaces) that are not as wanted. A lost one is nobody's to repair."""
    stores = Store.objects.filter(status=Status.READY).exclude(health=Health.LOST)
    # A pass that is under way changes things, and puts right what it finds.
    stores = stores.exclude(lease_until__gt=Now())
    if namespaces is not None:
        stores = stores.filter(namespace__in=list(namespaces))
    found = []
    for store in stores.select_related("owner").order_by():
        namespace = picture.namespaces.get(store.namespace)
        if namespace is None:
            # Not lost, but not in the picture: the label that the picture goes by is gone.
            found.append((store, [drift.changed("Namespace", store.namespace)]))
        elif namespace.uid == store.namespace_uid and not namespace.terminating:
            objects = picture.objects(store.namespace)
            account = settings.CLUSTER_SERVICE_ACCOUNT
            found.append((store, drift.findings(store, account, namespace, objects)))
    return [(store, findings) for store, findings in found if findings]


def repair(found: Iterable[tuple[Store, list[Message]]]) -> list[Store]:
    """Open an operation for each, but for those where the same has just been tried in vain."""
    return [
        store
        for store, findings in found
        if not tried_in_vain(store, findings) and services.repair_store(store, findings)
    ]


def tried_in_vain(store: Store, findings: list[Message]) -> bool:
    """Whether it failed just now, or did not last again and again: of the latter the store says so."""
    since = timezone.now() - timedelta(seconds=REPAIR_AGAIN_SECONDS)
    wanted = [one.as_json() for one in findings]
    lately = store.operations.filter(kind=Operation.Kind.REPAIR, finished_at__gte=since)
    ends = [one.outcome for one in lately if one.findings == wanted]
    if ends.count(Operation.Outcome.SUCCEEDED) >= REPAIRS_IN_VAIN:
        undone = Message("repair-undone", {"what": several(findings).as_json()})
        Store.objects.filter(pk=store.pk, status=Status.READY, message={}).update(
            message=undone.as_json(), revision=F("revision") + 1
        )
        return True
    return Operation.Outcome.FAILED in ends


# --- Orphans ---------------------------------------------------------------------------------


def remove_orphans(cluster: Cluster, namespaces: Iterable[SeenNamespace]) -> list[str]:
    """Delete namespaces whose store is deleted: left by a worker that was killed after it was late."""
    existing = {str(pk) for pk in Store.objects.existing().values_list("pk", flat=True)}
    strange = [
        seen
        for seen in namespaces
        if not seen.terminating and seen.store_id not in existing and is_uuid(seen.store_id)
    ]
    gone = Store.objects.filter(pk__in=[seen.store_id for seen in strange], status=Status.DELETED)
    uids = {str(pk): uid for pk, uid in gone.values_list("pk", "namespace_uid")}
    names = []
    for seen in strange:
        # Another uid than the row's: somebody else's, whatever its label says.
        if seen.store_id in uids and uids[seen.store_id] in ("", seen.uid):
            try:
                cluster.delete("Namespace", seen.name, uid=seen.uid)
            except (NotYet, StepFailed) as error:  # no reason to leave everything else undone
                log.warning("namespace %s of a deleted store stays: %s", seen.name, error)
                continue
            log.warning("namespace %s belonged to a deleted store and was removed", seen.name)
            names.append(seen.name)
    return names


def is_uuid(text: str) -> bool:
    """A label is whatever somebody wrote there."""
    try:
        return bool(UUID(text))
    except ValueError:
        return False


# --- Verification ----------------------------------------------------------------------------


def verify_some() -> list[UUID]:
    """Ring so many ready stores that each gets a whole pass within VERIFY_SECONDS."""
    ready = Store.objects.filter(status=Status.READY).exclude(health=Health.LOST)
    due_at = timezone.now() - timedelta(seconds=settings.VERIFY_SECONDS * 0.9)
    fine = ready.filter(FINE).order_by(F("verified_at").asc(nulls_first=True), "pk")
    share = settings.SWEEP_SECONDS / settings.VERIFY_SECONDS
    oldest: list[Any] = list(
        fine.exclude(verified_at__gt=due_at).values_list("pk", flat=True)[
            : math.ceil(ready.count() * share)
        ]
    )
    # In turns, or those that a pass cannot help would keep all others from being looked at.
    turn = int(time.time() / settings.SWEEP_SECONDS) % BROKEN_TURNS
    broken = ready.exclude(FINE).exclude(SILENT).values_list("pk", flat=True)
    silent = ready.filter(SILENT).values_list("pk", flat=True)
    chosen = [*oldest, *silent, *(pk for pk in broken if pk.int % BROKEN_TURNS == turn)]
    for store_id in chosen:
        queue.ring(store_id)
    return chosen
