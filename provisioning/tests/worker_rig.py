"""A worker as in service, on the simulated cluster: processes that tests may kill.

A plugin, named by each file that wants ``rig`` or ``open_rig``. Its database is a file or a database
of PostgreSQL of its own, because other processes find it by name.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone
from django_q.brokers import get_broker
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from provisioning.processes import Family
from provisioning.tests.real_fixtures import Databases, connected
from provisioning.tests.real_platform import until
from stores import services
from stores.actor import Actor
from stores.lifecycle import Status
from stores.models import Heartbeat, Store, User
from stores.queue import ring

TEST = Actor(None, "test")
TASKS = "provisioning.tests.worker_tasks."
ROLES = {"worker": "ready for work at", "monitor": "monitoring at", "pusher": "pushing tasks at"}
SETTINGS = {
    "STOREYARD_CLUSTER": "simulated",
    "LEASE_SECONDS": "60",
    "GRACE_SECONDS": "0",
    "TICK_SECONDS": "1",
    "HEARTBEAT_SECONDS": "0.3",
    # Longer than a busy machine may need for one; tests that wait for it take less.
    "HEARTBEAT_LIMIT_SECONDS": "20",
    "WORKER_GRACE_SECONDS": "60",
    "QUEUE_LOG_LEVEL": "INFO",
}


class Program:
    """One of the platform's commands, started as a service manager would."""

    def __init__(self, name: str, log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                [sys.executable, "-u", "manage.py", name], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
                cwd=settings.BASE_DIR, env=environment,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def stop(self, seconds: float = 60) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(seconds)

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(10)


class Queue:
    """The processes of a supervisor's queue at one moment."""

    def __init__(self, worker: Program) -> None:
        family = Family.now()
        [self.launcher] = family.living(worker.pid)
        [self.sentinel] = family.living(self.launcher)
        self.members = family.living(self.sentinel)
        said = worker.said
        self.workers, self.monitor, self.pusher = (
            sorted({int(pid) for pid in re.findall(rf"{words} (\d+)", said)} & self.members)
            for words in ROLES.values()
        )

    @property
    def all(self) -> set[int]:
        return {self.launcher, self.sentinel} | self.members


class Rig:
    def __init__(self, folder: Path, database: str, **environment: Any) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self.environment = {
            **os.environ,
            **SETTINGS,
            "DATABASE_URL": database,
            "STOREYARD_RUN_DIR": str(folder),
            **{name: str(value) for name, value in environment.items()},
        }
        self.alice = User.objects.create_user("alice", "alice@example.com", max_stores=50)

    def start(self, name: str = "run_worker", **environment: Any) -> Program:
        log = self.folder / f"{name}-{len(self.programs)}.log"
        more = {name: str(value) for name, value in environment.items()}
        program = Program(name, log, {**self.environment, **more})
        self.programs.append(program)
        return program

    def start_worker(self, **environment: Any) -> Program:
        """Returns when its queue works."""
        worker = self.start(**environment)
        self.working(worker)
        return worker

    def working(self, worker: Program, *, without: set[int] | None = None) -> Queue:
        """The queue's processes, once they are all there and a heartbeat came back; none of those
        that are not wanted any more."""
        since = Heartbeat.seen(Heartbeat.WORKER)

        def whole() -> Queue | None:
            assert worker.popen.poll() is None, worker.said
            with suppress(ValueError):
                queue = Queue(worker)
                if queue.workers and queue.monitor and queue.pusher:
                    return queue if not queue.all & (without or set()) else None
            return None

        until(whole, lambda: f"the queue to be there:\n{worker.said}")
        until(lambda: Heartbeat.seen(Heartbeat.WORKER) != since, "a heartbeat")
        return Queue(worker)

    # --- Stores and tasks ------------------------------------------------------------------

    def create(self) -> Store:
        return services.create_store(
            actor=TEST, owner=self.alice, name="Anna", address=f"shop-{uuid.uuid4().hex[:8]}"
        )

    def wait_for(self, store: Store, *statuses: Status, seconds: float = 60) -> Store:
        """Ringing meanwhile, as the watcher does while something moves in the cluster."""

        def there() -> bool:
            store.refresh_from_db()
            if store.status in statuses and store.lease_until is None:  # and the pass is over
                return True
            ring(store.pk)
            time.sleep(0.3)
            return False

        until(there, lambda: f"{statuses}; it is {store.status}: {store.sentence}", seconds)
        return store

    def queue(self, name: str, *arguments: str) -> int:
        """A task of the tests, past the door that lets in Storeyard's own only. Returns its row."""
        task = {
            "id": uuid.uuid4().hex, "name": name, "func": TASKS + name, "args": arguments,
            "kwargs": {}, "started": timezone.now(), "ack_failure": True,
        }  # fmt: skip
        return int(get_broker().enqueue(SignedPackage.dumps(task)))

    def hold(self, store: Store, task: str = "hold") -> tuple[int, Path]:
        """A pass over the store that lasts until there is a file "go" in the folder; who does it."""
        folder = self.folder / f"hold-{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        OrmQ.objects.all().delete()
        self.queue(task, str(store.pk), str(folder))
        holder = folder / "holder"
        until(lambda: holder.exists() and holder.read_text(), "the pass to begin")
        return int(holder.read_text()), folder

    def end(self) -> None:
        for program in self.programs:
            program.kill()


OpenRig = Callable[..., AbstractContextManager[Rig]]


@pytest.fixture(scope="module")
def open_rig(tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any) -> Iterator[OpenRig]:
    """Opens rigs with the settings given."""
    with django_db_blocker.unblock():
        databases = Databases(tmp_path_factory.mktemp("databases"))

    @contextmanager
    def opened(**environment: Any) -> Iterator[Rig]:
        with django_db_blocker.unblock():
            name = databases.make()
            try:
                with connected(name):
                    folder = tmp_path_factory.mktemp("rig")
                    rig = Rig(folder, databases.url_of(name), **environment)
                    try:
                        yield rig
                    finally:
                        rig.end()
                        for program in rig.programs:
                            # Shown by pytest for tests that failed only.
                            print(f"--- {program.log.name}\n{program.said[-5000:]}")
            finally:
                databases.drop(name)

    yield opened
    with django_db_blocker.unblock():
        databases.drop(databases.template)


@pytest.fixture
def rig(open_rig: OpenRig) -> Iterator[Rig]:
    """Nothing runs yet."""
    with open_rig() as opened:
        yield opened


def gone(pids: set[int]) -> bool:
    """None of them lives."""
    family = Family.now()
    return not any(pid in family.parents and pid not in family.dead for pid in pids)
