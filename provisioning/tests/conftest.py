"""A simulated cluster with a clock of its own, and a worker that works when told to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

import pytest
from django.apps import apps
from django_q.signing import SignedPackage

from provisioning import inquiries, post, runner
from provisioning.cluster.base import Cluster
from provisioning.cluster.simulated import SimulatedCluster
from stores import queue
from stores.actor import Actor
from stores.models import Store, User
from stores.services import create_store


@dataclass
class Clock:
    """Time that passes when a test says so; in seconds."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster(tmp_path, clock) -> SimulatedCluster:
    return SimulatedCluster(tmp_path / "cluster.sqlite3", clock=clock)


@pytest.fixture
def store(alice: User, as_alice: Actor) -> Store:
    return create_store(actor=as_alice, owner=alice, name="Anna", address="anna")


def deliver(cluster: Cluster, limit: int = 50) -> int:
    """What a worker does: every task of the queue once, in order, and those rung meanwhile."""
    tasks = apps.get_model("django_q", "OrmQ").objects.order_by("pk")
    delivered = 0
    while (task := tasks.first()) and delivered < limit:
        task.delete()
        rung = SignedPackage.loads(task.payload)
        if rung["func"] == queue.SEND_LETTERS:
            post.send_due()
        elif rung["func"] == queue.ANSWER:
            inquiries.answer(UUID(rung["args"][0]), cluster)
        else:
            runner.converge(UUID(rung["args"][0]), cluster, rung=True)
        delivered += 1
    return delivered


@pytest.fixture
def work(cluster: SimulatedCluster, clock: Clock) -> Callable[[Store], None]:
    """Work on a store until nothing changes any more, letting time pass as the clock's tick does."""

    def until_settled(store: Store, seconds: int = 120) -> None:
        for _ in range(seconds):
            deliver(cluster)
            store.refresh_from_db()
            if store.is_settled:
                return
            clock.passes(1)
            Store.objects.update(due_at=None)
            runner.reconcile()

    return until_settled
