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
from django.db import DatabaseError, connection, transaction
from django.db.models import DurationField, ExpressionWrapper, F
from django.db.models.functions import Coalesce, Least, Now

from provisioning import diagnosis, line, steps
from provisioning.cluster import get_cluster
from provisioning.cluster.base import Cluster
from provisioning.errors import (
    ClusterMisconfigured,
    ClusterUnavailable,
    LeaseLost,
    NotYet,
    StepFailed,
)
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
UNWATCHED = {"storefront-silent", "volume-remaining"}
UNWATCHED_SECONDS = 2
ENOUGH_BELLS = 100
OUTAGE_SECONDS = 10
# A store that was due so long ago was waiting for a worker, not for the cluster.
ABSENCE_SECONDS = 60
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
        self.step = ""
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
            return self.fail(self.why_given_up())
        if self.store.status == Status.REQUESTED and (starting := line.admit(self.lease)):
            return self.stay_in_line(starting)
        if self.store.status == Status.UPDATING and self.store.deadline_at is None:
            self.lease.touch(deadline_at=after(settings.PROVISION_SECONDS))
        try:
            self.run_in_time()
        except NotYet as wait:
            self.wait(wait.message)
        except (ClusterUnavailable, ClusterMisconfigured) as error:
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
            self.stop_the_clock()
            if not self.deadline_passed():
                raise
            evidence = self.cluster.evidence(self.store.namespace)
            cause = diagnosis.cause(evidence) or too_slow(wait.message)
            self.timeline.ends(self.step, Outcome.FAILED, cause)
            raise StepFailed(cause) from wait

    def run(self, tuple_of_steps: tuple[steps.Step, ...]) -> None:
        work = steps.Work(self.store, self.cluster, self.lease)
        for position, step in enumerate(tuple_of_steps):
            self.step = name = step.__name__
            self.lease.renew()
            self.timeline.begins(name, position)
            try:
                skipped = step(work)
            except NotYet as wait:
                self.momentary = (
                    wait.message.code in MOMENTARY
                    and 0 < self.timeline.tries(name) < MOMENTARY_TRIES
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
        # First the store, then its operation, as everywhere: in another order, two who meet would
        # wait for each other.
        with transaction.atomic():
            if self.store.status == Status.DELETING:
                self.move(Status.DELETED, deleted_at=Now(), slot=None)
                self.timeline.finish(Operation.Outcome.SUCCEEDED)
            elif self.store.status in STARTING:
                self.move(Status.READY, ready_at=self.store.ready_at or Now(), deadline_at=None)
                self.timeline.finish(Operation.Outcome.SUCCEEDED)
        if self.store.message and self.store.status == Status.READY:
            self.lease.touch(message={}, revision=F("revision") + 1)
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
            self.move(Status.FAILED, message=message, deadline_at=None)
            self.timeline.finish(Operation.Outcome.FAILED, message)
        self.lease.release(orderly=False, due_at=None, outage_since=None)
        line.ring_next()

    def wait(self, message: Message) -> None:
        """Return; the watcher, the clock or a person rings again."""
        self.say(message)
        seconds = UNWATCHED_SECONDS if message.codes & UNWATCHED else WAIT_SECONDS
        # At its deadline at the latest: it is to end then, not one wait later.
        due_at = Least(after(seconds), Coalesce(F("deadline_at"), after(seconds)))
        self.lease.release(orderly=True, due_at=due_at, ring=self.momentary)

    def wait_for_cluster(self, error: Exception) -> None:
        """No fault of the store's: its deadline stands still until the cluster answers."""
        log.warning("store %s: %s", self.store.pk, error)
        self.say(Message("cluster-unavailable"))
        known = self.store.outage_since or self.store.is_settled
        changes: dict[str, Any] = {} if known else {"outage_since": Now()}
        self.lease.release(orderly=True, due_at=after(OUTAGE_SECONDS), **changes)

    def stay_in_line(self, starting: int) -> None:
        self.say(Message("in-line", {"starting": starting}))
        self.lease.release(orderly=True, due_at=after(WAIT_SECONDS))

    def stumble(self, error: Exception) -> None:
        """A fault of ours: said with a reference, tried again, not the store's failure."""
        reference = uuid.uuid4().hex[:8]
        log.exception("store %s: unexpected error, reference %s", self.store.pk, reference)
        # The type alone: the text of an error could hold anything.
        said = Message("internal-error", {"error": type(error).__name__, "reference": reference})
        database = isinstance(error, DatabaseError)
        if database:
            connection.close()  # one that broke stays broken
        if not self.store.is_settled:  # nobody would try a settled one again
            self.lease.row.update(message=said.as_json(), revision=F("revision") + 1)
        # A database that is away or in a deadlock is nobody's death.
        self.lease.release(orderly=database, due_at=after(WAIT_SECONDS))

    def why_given_up(self) -> Message:
        """Too many passes did not come to an orderly end: for a reason that was said, or cut off."""
        if self.store.message.get("code") == "internal-error":
            return Message("gave-up", self.store.message["params"])
        return Message("worker-died", {"times": self.store.attempts - 1})

    # --- Small parts ---------------------------------------------------------------------

    def move(self, status: Status, **changes: Any) -> None:
        self.store.move_to(status, actor=SYSTEM, fence=self.lease.fence, **changes)

    def say(self, message: Message) -> None:
        if self.store.message != message.as_json() and self.store.status != Status.READY:
            self.lease.touch(message=message.as_json(), revision=F("revision") + 1)

    def stop_the_clock(self) -> None:
        """Give the deadline back the time in which the cluster was away, or no worker looked."""
        if self.store.outage_since:
            self.lease.touch(deadline_at=F("deadline_at") + time_since("outage_since"))
            self.lease.touch(outage_since=None)
        elif self.store.due_at:
            late = Now() - timedelta(seconds=ABSENCE_SECONDS)
            self.lease.row.filter(due_at__lt=late).update(
                deadline_at=F("deadline_at") + time_since("due_at")
            )

    def deadline_passed(self) -> bool:
        return self.lease.row.filter(deadline_at__lt=Now()).exists()


def time_since(field: str) -> Any:
    return ExpressionWrapper(Now() - F(field), output_field=DurationField())


def too_slow(waiting: Message) -> Message:
    return Message(
        "too-slow",
        {"minutes": f"{settings.PROVISION_SECONDS / 60:.3g}", "waiting": waiting.as_json()},
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
