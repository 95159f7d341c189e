"""One pass over one store: take the lease, run every step, then settle, postpone or fail.

There is no resuming: every pass runs all steps, and each finds true what an earlier pass made so.
Whoever is killed in the middle is followed by another pass that ends in the same place.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Now

from provisioning import diagnosis, health, line, patience, steps
from provisioning.cluster import get_cluster
from provisioning.cluster.base import Cluster
from provisioning.diagnosis import Diagnosis
from provisioning.errors import (
    ClusterMisconfigured,
    ClusterUnavailable,
    LeaseLost,
    NotYet,
    StepFailed,
)
from provisioning.lease import Lease
from provisioning.timeline import Timeline
from stores import logbook, notices, queue
from stores.actor import SYSTEM
from stores.errors import IllegalTransition, StaleStore
from stores.lifecycle import GOING, STARTING, Status
from stores.messages import Message
from stores.models import Operation, OperationStep, Pause, Store

log = logging.getLogger(__name__)
# Over in a moment and rung by nobody: ask again soon, some times.
MOMENTARY = ("quota-pending", "access-pending")
MOMENTARY_TRIES = 40
ENOUGH_BELLS = 100
# Trying again changes nothing about these.
FINAL = ("setup-failed", "secret-lost", "volume-lost", "namespace-lost", "namespace-taken")
SETTLED_TIMES: dict[str, Any] = {"due_at": None, "deadline_at": None, "outage_since": None}
Outcome = OperationStep.Outcome


def converge(store_id: UUID, cluster: Cluster | None = None, *, rung: bool = False) -> None:
    """Bring the store one pass further. Returns at once if somebody else is at it.

    ``rung``: also if every ring has been answered by a pass that began after it.
    """
    if lease := Lease.take(store_id, rung=rung):
        with logbook.about({"store": str(store_id)}):
            go(lease, cluster)


def go(lease: Lease, cluster: Cluster | None) -> None:
    run = Pass(lease, cluster)
    try:
        run.go()
    except (LeaseLost, StaleStore, IllegalTransition) as error:
        log.info("store %s: %s", lease.store.pk, error)
        # Something else is wanted by now: look again, with fresh eyes.
        lease.release(orderly=True, ring=True)
    except Exception as error:
        run.stumble(error)
        raise
    except BaseException:
        # The queue's timeout is a SystemExit. The attempt stays counted.
        lease.release(orderly=False, due_at=patience.after(patience.OUTAGE_SECONDS))
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

    @property
    def going(self) -> bool:
        return self.store.status in GOING

    def go(self) -> None:
        if self.store.status == Status.FAILED:
            return self.lease.release(orderly=True)
        if self.store.status == Status.CLOSING and patience.grace_is_over(self.lease):
            self.move(Status.DELETING, closes_at=None)
        if self.store.attempts > settings.MAX_ATTEMPTS and self.can_fail:
            return self.fail(self.why_given_up())
        if not self.going and (pause := Pause.current()):
            return self.hold(pause)
        if self.store.status == Status.REQUESTED and (starting := line.admit(self.lease)):
            return self.stay_in_line(starting)
        if self.store.deadline_at is None and self.has_deadline:
            self.lease.touch(deadline_at=patience.after(settings.PROVISION_SECONDS))
        try:
            self.run(self.course)
        except NotYet as wait:
            self.not_yet(wait.message, wait.said)
        except (ClusterUnavailable, ClusterMisconfigured) as error:
            self.wait_for_cluster(error)
        except StepFailed as error:
            self.stopped(error.message)
        else:
            self.settle()

    @property
    def course(self) -> tuple[steps.Step, ...]:
        if self.store.status == Status.CLOSING:
            return steps.CLOSE
        return steps.TEAR_DOWN if self.going else steps.PROVISION

    @property
    def repairs(self) -> bool:
        return self.store.status == Status.READY and self.timeline.operation is not None

    @property
    def can_fail(self) -> bool:
        return self.store.status in STARTING or self.repairs

    @property
    def has_deadline(self) -> bool:
        """Of a new store it is set when it is admitted: its time in line does not count."""
        return self.repairs or self.store.status == Status.UPDATING

    def run(self, tuple_of_steps: tuple[steps.Step, ...]) -> None:
        work = steps.Work(self.store, self.cluster, self.lease, self.timeline.operation, self.found)
        first = len(steps.CLOSE) if self.store.status == Status.DELETING else 0
        for position, step in enumerate(tuple_of_steps, first):
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

    def found(self, finding: Message) -> None:
        """A pass that nobody asked for has put something right in a ready store: that is a repair."""
        if self.store.status == Status.READY and self.timeline.operation is None:
            position = [step.__name__ for step in steps.PROVISION].index(self.step)
            self.timeline.begin_repair(finding)
            self.timeline.begins(self.step, position)

    # --- What stopped it -----------------------------------------------------------------

    def not_yet(self, waiting: Message, said: str = "") -> None:
        """Wait, unless the cluster shows that this is in vain, or it took too long."""
        late = patience.deadline_passed(self.lease)
        found = None
        if late or patience.waited_long(self.timeline.rows.get(self.step)):
            otherwise = too_slow(waiting) if late else None
            found = self.diagnose(waiting=waiting, said=said, otherwise=otherwise)
        if self.going:
            return self.wait(waiting, found)
        if self.store.status == Status.READY and waiting.code == "storefront-silent":
            return self.say_of_ready(waiting)
        if found and found.never_fails:
            return self.wait_for_platform(found)
        patience.start_the_clock(self.lease)
        in_vain = found is not None and found.at_once
        if in_vain or patience.deadline_passed(self.lease):
            cause = found.cause if found else too_slow(waiting)
            self.timeline.ends(self.step, Outcome.FAILED, cause)
            return self.fail(cause)
        self.wait(waiting)

    def stopped(self, message: Message) -> None:
        """A step gave up: find out whose fault it is, and try again where that may help."""
        final = message.code in FINAL
        said = str(message.params.get("reason", message))
        found = self.diagnose(said=said, sure=message if final else None, otherwise=message)
        if self.going:  # a deletion is never given up
            return self.wait(message, found)
        if found and found.never_fails:
            return self.wait_for_platform(found)
        if not final and self.timeline.may_fail_again():
            return self.try_again(message)
        self.fail(found.cause if found else message)

    def diagnose(
        self,
        *,
        waiting: Message | None = None,
        said: str = "",
        sure: Message | None = None,
        otherwise: Message | None = None,
    ) -> Diagnosis | None:
        """Why it does not get further, kept with the operation as long as that is open.

        ``said``: the last answer of the cluster, in words. ``sure``: the cause, where it is known.
        ``otherwise``: what is said, with the raw facts, where the cluster shows no cause.
        """
        try:
            evidence = self.cluster.evidence(self.store.namespace)
        except (ClusterUnavailable, NotYet, StepFailed) as error:
            log.warning("store %s: no evidence: %s", self.store.pk, error)
            evidence = {}
        evidence |= {"said": said, "waiting": waiting.as_json() if waiting else {}}
        found = diagnosis.diagnose(evidence)
        if found is None and otherwise:
            found = diagnosis.unknown(evidence, otherwise)
        # Of a setup the cluster mostly shows more than that it failed: why.
        if sure and not (found and found.at_once and sure.code == "setup-failed"):
            found = replace(diagnosis.of(sure), lines=found.lines if found else ())
        self.timeline.keep(found, diagnosis.kept(evidence))
        return found

    def try_again(self, message: Message) -> None:
        self.say(message)
        seconds = self.timeline.failed_once_more()
        # What rang meanwhile is answered then: a bell is no reason not to wait.
        self.lease.release(orderly=False, due_at=patience.after(seconds), rings=0)

    # --- Endings -------------------------------------------------------------------------

    def settle(self) -> None:
        """Everything is true: the store is ready, closed, or gone."""
        if self.store.status == Status.CLOSING:
            self.say(Message("closing"))
            return self.lease.release(orderly=True, due_at=F("closes_at"), outage_since=None)
        # First the store, then its operation, as everywhere: in another order, two who meet would
        # wait for each other.
        with transaction.atomic():
            if self.store.status == Status.DELETING:
                details = {"receipt": self.timeline.receipt_hash}
                self.move(Status.DELETED, deleted_at=Now(), slot=None, details=details)
            elif self.store.status in STARTING:
                first_ready = self.store.ready_at or Now()
                self.move(Status.READY, ready_at=first_ready, **health.found_up(self.store))
                notices.tell_ready(self.store, self.timeline.operation)
            elif self.store.message or self.timeline.operation:
                self.lease.touch(message={}, revision=F("revision") + 1)
            self.timeline.finish(Operation.Outcome.SUCCEEDED)
        verified = {"verified_at": Now()} if self.store.status == Status.READY else {}
        self.lease.release(orderly=True, **{**SETTLED_TIMES, **verified})
        if self.lease.status != self.store.status:
            line.ring_next()

    def fail(self, message: Message) -> None:
        if self.store.status == Status.READY:
            return self.say_of_ready(message)
        # Asked before: a transaction that waits for the cluster would keep others from writing.
        updating = self.store.status == Status.UPDATING and message.code not in FINAL
        runs_on = updating and self.runs()
        with transaction.atomic():
            if runs_on:
                self.move(Status.READY)
            else:
                self.move(Status.FAILED, message=message, **health.found_lost(self.store, message))
                notices.tell_failed(self.store, message)
            self.timeline.finish(Operation.Outcome.FAILED, message)
        self.lease.release(orderly=False, **SETTLED_TIMES)
        line.ring_next()

    def say_of_ready(self, message: Message) -> None:
        """A ready store in which something is not as it should be, and that is not mended by itself."""
        with transaction.atomic():
            if self.store.message != message.as_json() or self.timeline.operation:
                self.lease.touch(message=message.as_json(), revision=F("revision") + 1)
            self.lease.touch(**health.found_wrong(self.store, message))
            self.timeline.finish(Operation.Outcome.FAILED, message)
        self.lease.release(orderly=False, **SETTLED_TIMES)

    def runs(self) -> bool:
        """Whether an update that did not work left the shop as it was."""
        try:
            return not self.cluster.not_ready(self.store.namespace)
        except (ClusterUnavailable, NotYet, StepFailed):
            return False

    def wait(self, message: Message, found: Diagnosis | None = None) -> None:
        """Return; the watcher, the clock or a person rings again."""
        self.say(found.cause if found and found.kind != "unknown" else message)
        due_at = patience.next_look(message, Coalesce(F("deadline_at"), F("closes_at")))
        seconds = patience.moment(self.timeline.tries(self.step))
        self.lease.release(orderly=True, due_at=due_at, ring=self.momentary, ring_in=seconds)

    def wait_for_cluster(self, error: Exception) -> None:
        """No fault of the store's: its deadline stands still until the cluster answers."""
        log.warning("store %s: %s", self.store.pk, error)
        retry_after = error.retry_after if isinstance(error, ClusterUnavailable) else 0.0
        busy = "cluster-busy" if retry_after else "cluster-unavailable"
        self.stand_still(Message(busy), retry_after)

    def wait_for_platform(self, found: Diagnosis) -> None:
        """As little: it waits for the cluster, or for us, to be mended."""
        log.warning("store %s: %s", self.store.pk, found.cause)
        self.stand_still(found.cause)

    def stand_still(self, message: Message, retry_after: float = 0.0) -> None:
        self.say(message)
        idle = self.store.is_settled and self.timeline.operation is None
        known = self.store.outage_since or idle
        changes: dict[str, Any] = {} if known else {"outage_since": Now()}
        seconds = max(patience.backoff(self.store.outage_since), retry_after)
        self.lease.release(orderly=True, due_at=patience.after(seconds), **changes)

    def hold(self, pause: Pause) -> None:
        """While everything is paused: nothing is done, and no time runs out."""
        self.say(Message("paused", {"reason": pause.reason}))
        stands = self.can_fail and not self.store.outage_since
        changes: dict[str, Any] = {"outage_since": Now()} if stands else {}
        due_at = patience.after(patience.WAIT_SECONDS)
        self.lease.release(orderly=True, due_at=due_at, **changes)

    def stay_in_line(self, starting: int) -> None:
        self.say(Message("in-line", {"starting": starting}))
        self.lease.release(orderly=True, due_at=patience.after(patience.WAIT_SECONDS))

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
        self.lease.release(orderly=database, due_at=patience.after(patience.WAIT_SECONDS))

    def why_given_up(self) -> Message:
        """Too many passes did not come to an orderly end: for a reason that was said, or cut off."""
        if self.store.message.get("code") == "internal-error":
            return Message("gave-up", self.store.message["params"])
        return Message("worker-died", {"times": self.store.attempts - 1})

    # --- Small parts ---------------------------------------------------------------------

    def move(self, status: Status, **changes: Any) -> None:
        self.store.move_to(status, actor=SYSTEM, fence=self.lease.fence, **changes)

    def say(self, message: Message) -> None:
        """Of a ready store only while somebody works on it: who stops then takes it back."""
        told = self.store.status != Status.READY or self.timeline.operation is not None
        if told and self.store.message != message.as_json():
            self.lease.touch(message=message.as_json(), revision=F("revision") + 1)


def too_slow(waiting: Message) -> Message:
    return Message(
        "too-slow",
        {"minutes": f"{settings.PROVISION_SECONDS / 60:.3g}", "waiting": waiting.as_json()},
    )


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
