"""Looks on while it goes wrong, waits until it has settled, and says what is not as it should be."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from django.db import connection

from provisioning import invariants
from provisioning.errors import ClusterUnavailable, NotYet, StepFailed
from provisioning.picture import Picture
from provisioning.sweep import find_drift
from provisioning.tests.real_checks import helm_processes, passwords
from soak.processes import is_alive
from stores import services
from stores.actor import Actor
from stores.lifecycle import Status
from stores.models import Operation, Store

if TYPE_CHECKING:
    from soak.stage import Stage

SETTLE_SECONDS = 300.0
GOODBYE_SECONDS = 60.0
SOAK = Actor(None, "soak")


class Judge:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.statuses: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        # Of every store that was ready once: its passwords, as they were then.
        self.known: dict[str, dict[str, Any]] = {}
        self.failures: dict[str, str] = {}

    def look(self) -> None:
        if self.stage.cluster_away:
            return
        for store in Store.objects.filter(status=Status.READY):
            if str(store.pk) not in self.known:
                try:
                    found = passwords(self.stage.platform.admin, store)
                except (ClusterUnavailable, NotYet, StepFailed):
                    continue
                if len(found) == 2:
                    self.known[str(store.pk)] = found
        for store in Store.objects.filter(status=Status.FAILED):
            self.failures[str(store.pk)] = store.sentence

    def end(self) -> list[str]:
        connection.close()
        violations = self.settle()
        self.look()
        for name, sentence in self.failures.items():
            print(f"soak: failed meanwhile: {name}: {sentence}")
        # What failed for a reason that is over gets ready when somebody asks again.
        for store in Store.objects.filter(status=Status.FAILED):
            services.retry_store(store, actor=SOAK)
        violations += self.drift()
        violations += self.settle()
        violations += self.promises()
        violations += self.goodbye()
        return violations

    def settle(self) -> list[str]:
        deadline = time.monotonic() + SETTLE_SECONDS
        while unsettled := self.unsettled():
            self.stage.serve()
            if time.monotonic() > deadline:
                return [f"I7: {self.told(store)}" for store in unsettled]
            time.sleep(1)
        return []

    def unsettled(self) -> list[Store]:
        stores = list(Store.objects.unsettled())
        open_ones = Operation.objects.filter(outcome="").values_list("store_id", flat=True)
        return stores + [one for one in Store.objects.filter(pk__in=open_ones) if one.is_settled]

    def told(self, store: Store) -> str:
        operation = store.operations.first()
        steps = (
            [f"{step.name} {step.outcome}" for step in operation.steps.all()] if operation else []
        )
        return (
            f"{store.name} ({store.pk}) is still {store.status}: {store.sentence} "
            f"attempts {store.attempts}, due {store.due_at}, lease {store.lease_owner!r} "
            f"until {store.lease_until}, steps {steps}"
        )

    def drift(self) -> list[str]:
        """What is not as wanted and stays so, although the sweep has had time for it."""
        admin = self.stage.platform.admin
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            found = find_drift(Picture.of(admin.survey()))
            if (not found and not self.unsettled()) or time.monotonic() > deadline:
                return [
                    f"{store.name} ({store.pk}) is not as wanted: {'; '.join(map(str, findings))}"
                    for store, findings in found
                ]
            self.stage.serve()
            time.sleep(1)

    def promises(self) -> list[str]:
        admin = self.stage.platform.admin
        self.statuses.update(Store.objects.values_list("status", flat=True))
        self.ends.update(
            f"{kind} {outcome or 'open'}"
            for kind, outcome in Operation.objects.values_list("kind", "outcome")
        )
        violations = invariants.check(admin, settled=True)
        for store in Store.objects.exclude(status=Status.DELETED):
            if store.status != Status.READY:
                violations.append(f"I7: {self.told(store)}")
            before = self.known.get(str(store.pk))
            if before and passwords(admin, store) != before:
                violations.append(f"I6: {store.name} ({store.pk}) has other passwords.")
            if helm := helm_processes(store.namespace):
                violations.append(f"Helm is at work in {store.namespace}: {helm}")
        return violations

    def goodbye(self) -> list[str]:
        """Asked to end, each service ends by itself, with all its processes."""
        violations = []
        for name, service in self.stage.services.items():
            family = [pid for generation in self.stage.tree(name) for pid in generation]
            for pid in self.stage.tree(name)[0]:
                os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + GOODBYE_SECONDS
            while not service.ended and time.monotonic() < deadline:
                time.sleep(0.2)
            left = [pid for pid in family if is_alive(pid)]
            if not service.ended or left:
                violations.append(f"{name} did not end when asked; left: {left}")
        return violations
