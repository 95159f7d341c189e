"""The timeline people see: one row per step of an operation, written only when it changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from provisioning.diagnosis import Diagnosis
from provisioning.lease import Lease
from stores.actor import SYSTEM
from stores.audit import AuditEvent
from stores.messages import Message
from stores.models import Operation, OperationStep

Outcome = OperationStep.Outcome
OVER = (Outcome.DONE, Outcome.SKIPPED)


class Timeline:
    """Of the store's open operation; of none (a pass that nobody asked for), it keeps silent."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.operation = lease.store.operations.open().first()
        steps = self.operation.steps.all() if self.operation else ()
        self.rows: dict[str, OperationStep] = {step.name: step for step in steps}

    def begins(self, name: str, position: int) -> None:
        row = self.rows.get(name)
        if self.operation is None or (row and row.outcome in OVER):
            return
        if row is None:
            with self.fenced():
                self.rows[name] = OperationStep.objects.create(
                    operation=self.operation, name=name, position=position
                )
        else:
            row.tries += 1

    def ends(self, name: str, outcome: Outcome, message: Message | None = None) -> None:
        row = self.rows.get(name)
        if row is None or (row.outcome in OVER and outcome in OVER):
            return  # it happened once; that a later pass found it so is no news
        said = message.as_json() if message else {}
        if row.outcome == outcome and row.message == said:
            if outcome == Outcome.WAITING:  # nothing new to see, but it was looked at
                OperationStep.objects.filter(pk=row.pk).update(tries=row.tries)
            return
        waits = outcome == Outcome.WAITING
        with self.fenced():
            OperationStep.objects.filter(pk=row.pk).update(
                outcome=outcome,
                message=said,
                tries=row.tries,
                ended_at=None if waits else Now(),
            )
        row.outcome, row.message = outcome, said

    def tries(self, name: str) -> int:
        """How often the step was begun; 0 where nobody keeps count."""
        return self.rows[name].tries if name in self.rows else 0

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction that counts the store's revision up, and is nothing if the lease is lost."""
        with transaction.atomic():
            self.lease.touch(revision=F("revision") + 1)
            yield

    def begin_repair(self, finding: Message) -> None:
        """An operation of the system's for what a pass is putting right at this moment."""
        found = [finding.as_json()]
        with self.fenced():
            self.operation = Operation.objects.create(
                store=self.lease.store, kind=Operation.Kind.REPAIR, findings=found
            )
            AuditEvent.record(
                "store.ask_repair",
                actor=SYSTEM,
                store=self.lease.store,
                details={"findings": found},
            )

    def keep(self, found: Diagnosis | None, evidence: dict[str, Any]) -> None:
        """What is in the way, and what shows it: the cluster forgets its events after an hour."""
        if self.operation is None:
            return
        said = found.as_json() if found else {}
        if said == self.operation.diagnosis:
            return
        self.operation.diagnosis = said
        with self.fenced():
            Operation.objects.open().filter(pk=self.operation.pk).update(
                diagnosis=said, evidence=evidence
            )

    def may_fail_again(self) -> bool:
        return self.operation is not None and self.operation.failures < len(settings.RETRY_SECONDS)

    def failed_once_more(self) -> float:
        """Count it; seconds until the next try."""
        assert self.operation is not None
        seconds: float = settings.RETRY_SECONDS[self.operation.failures]
        with self.fenced():
            Operation.objects.filter(pk=self.operation.pk).update(failures=F("failures") + 1)
        return seconds

    @property
    def receipt_hash(self) -> str:
        """Of the deletion that this operation is; empty where nothing had been made."""
        return str(self.operation.receipt.get("hash", "")) if self.operation else ""

    def finish(self, outcome: str, message: Message | None = None) -> None:
        """Close the operation, in the transaction that settles the store."""
        if self.operation:
            Operation.objects.open().filter(pk=self.operation.pk).update(
                finished_at=Now(), outcome=outcome, message=message.as_json() if message else {}
            )
