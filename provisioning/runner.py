"""One pass over one store: take the lease, run every step, then settle, postpone or fail.

There is no resuming: every pass runs all steps, and each finds true what an earlier pass made so.
Whoever is killed in the middle is followed by another pass that ends in the same place.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Coalesce, Least, Now

from provisioning import diagnosis, line, steps
from provisioning.cluster import get_cluster
from provisioning.cluster.base import Cluster
from provisioning.errors import ClusterUnavailable, LeaseLost, NotYet, StepFailed
from provisioning.lease import Lease
from provisioning.timeline import Timeline
from stores import queue
from stores.actor import SYSTEM
from stores.errors import IllegalTransition, StaleStore
from stores.lifecycle import STARTING, Status
from stores.messages import Message
from stores.models import Operation, OperationStep, Store

log = logging.getLogger(__name__)
# Over in a moment and rung by nobody: ask again at once, some times.
MOMENTARY = ("quota-pending", "access-pending")
MOMENTARY_TRIES = 40
# When the clock looks again, should nobody ring.
WAIT_SECONDS = 15
# No event of a store tells that its storefront answers, or that a disk is gone.
UNWATCHED = ("storefront-silent", "volume-remaining")
UNWATCHED_SECONDS = 2
ENOUGH_BELLS = 100
OUTAGE_SECONDS = 10
Outcome = OperationStep.Outcome


def converge(store_id: UUID, cluster: Cluster | None = None, *, rung: bool = False) -> None:
    """Bring the store one pass further. Returns at once if somebody else is at it.

    ``rung``: also if every ring has been answered by a pass that began after it.
    """
    lease = Lease.take(store_id, rung=rung)
    if lease is None:
        return
    run = Pass(lease, cluster)
    try:
        run.go()
    except (LeaseLost, StaleStore, IllegalTransition) as error:
        log.info("store %s: %s", store_id, error)
        # Something else is wanted by now: look again, with fresh eyes.
        lease.release(orderly=True, ring=True)
    except Exception as error:
        run.stumble(error)
        raise
    except BaseException:
        # The queue's timeout is a SystemExit. The attempt stays counted.
        lease.release(orderly=False, due_at=after(OUTAGE_SECONDS))
        raise


class Pass:
    """One holder of a lease at work; ``cluster`` is made on first use, after the worker's fork."""

    def __init__(self, lease: Lease, cluster: Cluster | None) -> None:
        self.lease, self.store = lease, lease.store
        self._cluster = cluster
        self.momentary = False
        self.timeline = Timeline(lease)

    @property
    def cluster(self) -> Cluster:
        if self._cluster is None:
            self._cluster = get_cluster()
        return self._cluster

    def go(self) -> None:
        if self.store.status == Status.FAILED:
            return self.lease.release(orderly=True)
        if self.store.attempts > settings.MAX_ATTEMPTS and self.store.status in STARTING:
            return self.fail(Message("worker-died", {"times": self.store.attempts - 1}))
        if self.store.status == Status.REQUESTED and (starting := line.admit(self.lease)):
            return self.stay_in_line(starting)
        try:
            self.run_in_time()
        except NotYet as wait:
            self.wait(wait.message)
        except ClusterUnavailable as error:
            self.wait_for_cluster(error)
        except StepFailed as error:
            self.fail(error.message)
        else:
            self.settle()

    def run_in_time(self) -> None:
        """All steps; past the store's deadline, waiting is failing, and the cluster shows why."""
        try:
            self.run(steps.TEAR_DOWN if self.store.status == Status.DELETING else steps.PROVISION)
        except NotYet as wait:
            self.forgive_outage()
            if not self.deadline_passed():
                raise
            evidence = self.cluster.evidence(self.store.namespace)
            raise StepFailed(diagnosis.cause(evidence) or too_slow(wait.message)) from wait

    def run(self, tuple_of_steps: tuple[steps.Step, ...]) -> None:
        work = steps.Work(self.store, self.cluster, self.lease)
        for position, step in enumerate(tuple_of_steps):
            name = step.__name__
            self.lease.renew()
            self.timeline.begins(name, position)
            try:
                skipped = step(work)
            except NotYet as wait:
                self.momentary = (
                    wait.message.code in MOMENTARY and self.timeline.tries(name) < MOMENTARY_TRIES
                )
                self.timeline.ends(name, Outcome.WAITING, wait.message)
                raise
            except ClusterUnavailable:
                self.timeline.ends(name, Outcome.WAITING, Message("cluster-unavailable"))
                raise
            except StepFailed as error:
                self.timeline.ends(name, Outcome.FAILED, error.message)
                raise
            self.timeline.ends(name, Outcome.SKIPPED if skipped else Outcome.DONE, skipped)

    # --- Endings -------------------------------------------------------------------------

    def settle(self) -> None:
        """Everything is true: the store is ready, or gone."""
        with transaction.atomic():
            if self.store.status == Status.DELETING:
                self.timeline.finish(Operation.Outcome.SUCCEEDED)
                self.move(Status.DELETED, deleted_at=Now(), slot=None)
            elif self.store.status in STARTING:
                self.timeline.finish(Operation.Outcome.SUCCEEDED)
                self.move(Status.READY, ready_at=self.store.ready_at or Now(), deadline_at=None)
        self.lease.release(orderly=True, due_at=None, outage_since=None)
        if self.lease.status != self.store.status:
            line.ring_next()

    def fail(self, message: Message) -> None:
        if self.store.status == Status.DELETING:
            return self.wait(message)  # never given up
        if self.store.status not in STARTING:
            # A ready store that nobody asked us to look at: it says so when somebody does.
            log.warning("store %s: %s", self.store.pk, message)
            return self.lease.release(orderly=True)
        with transaction.atomic():
            self.timeline.finish(Operation.Outcome.FAILED, message)
            self.move(Status.FAILED, message=message, deadline_at=None)
        self.lease.release(orderly=False, due_at=None, outage_since=None)
        line.ring_next()

    def wait(self, message: Message) -> None:
        """Return; the watcher, the clock or a person rings again."""
        self.say(message)
        seconds = UNWATCHED_SECONDS if message.code in UNWATCHED else WAIT_SECONDS
        # At its deadline at the latest: it is to end then, not one wait later.
        due_at = Least(after(seconds), Coalesce(F("deadline_at"), after(seconds)))
        self.lease.release(orderly=True, due_at=due_at, ring=self.momentary)

    def wait_for_cluster(self, error: ClusterUnavailable) -> None:
        """No fault of the store's: its deadline stands still until the cluster answers."""
        log.warning("store %s: %s", self.store.pk, error)
        self.say(Message("cluster-unavailable"))
        known = self.store.outage_since or self.store.is_settled
        changes: dict[str, Any] = {} if known else {"outage_since": Now()}
        self.lease.release(orderly=True, due_at=after(OUTAGE_SECONDS), **changes)

    def stay_in_line(self, starting: int) -> None:
        self.say(Message("in-line", {"ahead": starting}))
        self.lease.release(orderly=True, due_at=after(WAIT_SECONDS))

    def stumble(self, error: Exception) -> None:
        """A fault of ours: said with a reference, tried again, not the store's failure."""
        reference = uuid.uuid4().hex[:8]
        log.exception("store %s: unexpected error, reference %s", self.store.pk, reference)
        # The type alone: the text of an error could hold anything.
        said = Message("internal-error", {"error": type(error).__name__, "reference": reference})
        self.lease.row.update(message=said.as_json(), revision=F("revision") + 1)
        self.lease.release(orderly=False, due_at=after(WAIT_SECONDS))

    # --- Small parts ---------------------------------------------------------------------

    def move(self, status: Status, **changes: Any) -> None:
        self.store.move_to(status, actor=SYSTEM, fence=self.lease.fence, **changes)

    def say(self, message: Message) -> None:
        if self.store.message != message.as_json() and self.store.status != Status.READY:
            self.lease.touch(message=message.as_json(), revision=F("revision") + 1)

    def forgive_outage(self) -> None:
        if not self.store.outage_since:
            return
        lasted = ExpressionWrapper(Now() - F("outage_since"), output_field=DurationField())
        self.lease.touch(deadline_at=F("deadline_at") + lasted)
        self.lease.touch(outage_since=None)

    def deadline_passed(self) -> bool:
        return self.lease.row.filter(deadline_at__lt=Now()).exists()


def too_slow(waiting: Message) -> Message:
    return Message(
        "too-slow",
        {"minutes": round(settings.PROVISION_SECONDS / 60, 1), "waiting": str(waiting)},
    )


def after(seconds: float) -> Any:
    return Now() + timedelta(seconds=seconds)


def reconcile() -> list[UUID]:
    """Ring every store that is due; returns their ids. Level-triggered: repeating it is harmless."""
    due = list(Store.objects.due().values_list("pk", flat=True))
    # While no worker runs, every tick would add as many again: there are bells enough.
    if queue.length() > ENOUGH_BELLS + 2 * len(due):
        log.warning("no ring by the clock: the queue is long, is a worker running?")
        return []
    for store_id in due:
        queue.ring(store_id)
    return due


def sweep_orphans(cluster: Cluster) -> list[str]:
    """Delete namespaces whose store is deleted: left by a worker that was killed after it was late."""
    seen_there = [seen for seen in cluster.survey() if not seen.terminating]
    ids = [seen.store_id for seen in seen_there]
    gone = Store.objects.filter(pk__in=filter(is_uuid, ids), status=Status.DELETED)
    deleted = {str(pk) for pk in gone.values_list("pk", flat=True)}
    names = []
    for seen in seen_there:
        if seen.store_id in deleted:
            cluster.delete("Namespace", seen.name, uid=seen.uid)
            names.append(seen.name)
    return names


def is_uuid(text: str) -> bool:
    """A label is whatever somebody wrote there."""
    try:
        return bool(UUID(text))
    except ValueError:
        return False
