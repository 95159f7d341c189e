"""The platform as it runs in service: a worker process with its workers, and the watcher."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import UUID

from django.conf import settings
from django.db.models import Sum
from django_q.models import OrmQ

from bench.children import Child, Cpu
from bench.errors import BenchError
from bench.ground import Ground
from stores import services
from stores.actor import SYSTEM
from stores.lifecycle import Status
from stores.models import Store, User

OWNERS = 4
LOOK_SECONDS = 0.1


class Portal:
    """Its processes on one cluster; this process does what the web would do."""

    def __init__(self, ground: Ground, kubeconfig: Path, niceness: int = 0) -> None:
        self.ground, self.niceness = ground, niceness
        self.environment = {**os.environ, "STOREYARD_KUBECONFIG": str(kubeconfig)}
        self.children: list[Child] = []
        self.owners: list[User] = []
        self.made = 0

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.stop()

    def start(self) -> None:
        """Returns when both work: every worker has probably made a store already."""
        self.owners = [owner(number) for number in range(OWNERS)]
        for command in ("run_worker", "watch_cluster"):
            self.children.append(self.run(command))
        watcher = self.children[1].log
        self.wait("the watcher", lambda: "Watching" in watcher.read_text())
        self.wait_ready(self.create(self.ground.options.workers))

    def run(self, command: str) -> Child:
        program = [sys.executable, str(settings.BASE_DIR / "manage.py"), command]
        if self.niceness:
            program = ["nice", f"-n{self.niceness}", *program]
        return Child.start(program, self.ground.folder / f"{command}.log", self.environment)

    def stop(self) -> None:
        for child in reversed(self.children):
            child.stop()
        self.children.clear()

    def create(self, count: int) -> list[UUID]:
        """Ask for stores, owners in turn."""
        made = []
        for _ in range(count):
            self.made += 1
            store = services.create_store(
                actor=SYSTEM,
                owner=self.owners[self.made % OWNERS],
                name=f"Bench shop {self.made}",
                address=f"bench-{self.made}",
            )
            made.append(store.pk)
        return made

    def wait_ready(self, ids: Sequence[UUID]) -> None:
        """Raises BenchError if one fails or the time is over."""
        stores = Store.objects.filter(pk__in=ids)

        def all_ready() -> bool:
            if failed := stores.filter(status=Status.FAILED).first():
                raise BenchError(f"The store {failed.address} failed: {failed.sentence}")
            return not stores.exclude(status=Status.READY).exists()

        self.wait(f"{len(ids)} stores to be ready", all_ready)

    def wait_idle(self) -> None:
        """Until nothing is queued and nobody works."""
        busy = Store.objects.exclude(lease_until=None)
        self.wait("the queue to be empty", lambda: not OrmQ.objects.exists() and not busy.exists())

    def wait(self, what: str, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + self.ground.options.seconds
        while not done():
            if dead := [child for child in self.children if child.process.poll() is not None]:
                raise BenchError(f"A process of the portal ended: {dead[0].log.read_text()[-500:]}")
            if time.monotonic() > deadline:
                raise BenchError(f"Waited {self.ground.options.seconds:.0f} s in vain for {what}.")
            time.sleep(LOOK_SECONDS)

    def cpu(self) -> Cpu:
        used = Cpu()
        for child in self.children:
            used = used.plus(child.cpu())
        return used


def owner(number: int) -> User:
    user, _ = User.objects.get_or_create(
        username=f"bench-{number}",
        defaults={"email": f"bench-{number}@example.com", "max_stores": 1000},
    )
    return user


def passes(ids: Sequence[UUID]) -> int:
    """How often a lease was taken on these stores."""
    return int(Store.objects.filter(pk__in=ids).aggregate(sum=Sum("fence"))["sum"] or 0)
