"""The database goes away and comes back, or is asked by many at once: nothing fails, nothing is lost."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings
from django.db import connection
from django_q.models import OrmQ, Task

from provisioning.tests.real_platform import until
from provisioning.tests.worker_rig import OpenRig, Rig, gone
from stores.lifecycle import Status
from stores.models import AuditEvent, Store

pytestmark = pytest.mark.slow
pytest_plugins = ["provisioning.tests.worker_rig"]


class Line:
    """The way to a database server, which can be cut: no connection gets through or stays."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.open: set[socket.socket] = set()
        self.cut = False
        self.entrance = socket.create_server(("127.0.0.1", 0))
        self.port = self.entrance.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.entrance.accept()
                if self.cut:
                    near.close()
                    continue
                far = socket.create_connection(self.target)
                self.open |= {near, far}
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def carry(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        self.cut = True
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.open.clear()
        try:
            yield
        finally:
            self.cut = False


@contextlib.contextmanager
def by_a_line(rig: Rig) -> Iterator[Line]:
    """The worker's way to the server is a line; the test's own is not."""
    url = urlsplit(rig.environment["DATABASE_URL"])
    assert url.hostname and url.port
    line = Line(url.hostname, url.port)
    netloc = f"{url.username}:{url.password}@127.0.0.1:{line.port}"
    rig.environment["DATABASE_URL"] = urlunsplit(url._replace(netloc=netloc))
    try:
        yield line
    finally:
        line.entrance.close()


postgres_only = pytest.mark.skipif(
    not os.environ.get("DATABASE_URL", "").startswith("postgres"),
    reason="a file does not go away; on PostgreSQL by make test-postgres",
)


# --- Not there ---------------------------------------------------------------------------


def test_a_worker_that_finds_no_database_says_so_in_one_line_and_waits(rig: Rig) -> None:
    """F15: it works as soon as there is one."""
    worker = rig.start(DATABASE_URL=f"sqlite:///{rig.folder}/later/database.sqlite3")
    until(lambda: "waiting for it" in worker.said, "it to say so")
    time.sleep(2.5)
    assert worker.popen.poll() is None
    [line] = [line for line in worker.said.splitlines() if "database" in line.lower()]
    assert "The database does not answer" in line
    assert "Traceback" not in worker.said
    (rig.folder / "later").mkdir()
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "-v0"], cwd=settings.BASE_DIR, check=True,
        env={**rig.environment, "DATABASE_URL": f"sqlite:///{rig.folder}/later/database.sqlite3"},
    )  # fmt: skip
    until(lambda: "pushing tasks at" in worker.said, "its queue to start")
    assert "The database answers again." in worker.said
    assert worker.stop(30) == 0


def test_a_worker_that_waits_for_its_database_can_be_stopped(rig: Rig) -> None:
    worker = rig.start(DATABASE_URL=f"sqlite:///{rig.folder}/never/database.sqlite3")
    until(lambda: "waiting for it" in worker.said, "it to say so")
    assert worker.stop(10) == 0


@postgres_only
@pytest.mark.postgres
def test_what_runs_is_left_alone_while_the_database_is_away(rig: Rig) -> None:
    """A Helm that is under way needs no database: killing it would only leave a broken release."""
    with by_a_line(rig) as line:
        worker = rig.start_worker(HEARTBEAT_LIMIT_SECONDS=2)
        rig.working(worker)
        folder = rig.folder / "helm-alone"
        folder.mkdir()
        rig.queue("helm_alone", str(folder))
        until((folder / "helm").exists, "Helm to run")
        processes = rig.working(worker)
        with line.away():
            until(lambda: "The database does not answer" in worker.said, "the worker to notice")
            time.sleep(5)
            assert not gone({processes.launcher, processes.sentinel}), "held still"
            assert not (folder / "helm-ended").exists()
        until(lambda: "answers again" in worker.said, "the worker to notice")
        (folder / "go").touch()
        rig.wait_for(rig.create(), Status.READY)
        assert "Traceback" not in supervisors_words(worker.said)
        assert worker.stop() == 0


def supervisors_words(said: str) -> str:
    return "\n".join(re.findall(r"^.* provisioning\.worker: .*$", said, re.MULTILINE))


@postgres_only
@pytest.mark.postgres
def test_a_database_that_is_away_when_a_task_ends_costs_nothing(rig: Rig) -> None:
    """F14: the queue loses the result and may do the task again; the rows know better."""
    with by_a_line(rig) as line:
        worker = rig.start_worker(LEASE_SECONDS=3)
        store = rig.create()
        _, folder = rig.hold(store)
        with line.away():
            (folder / "go").touch()
            time.sleep(4)
        rig.wait_for(store, Status.READY)
        ready = AuditEvent.objects.filter(store_id=store.pk, action="store.ready")
        assert ready.count() == 1
        assert store.operations.count() == 1
        assert worker.stop() == 0


# --- Many at once ------------------------------------------------------------------------

WRITERS, SECONDS = 20, 5
# One program, and a fork for each writer: the connection is made after it.
PROGRAM = """
import os, sys, time, traceback, uuid
import django
django.setup()
from stores import queue
from stores.actor import SYSTEM
from stores.models import AuditEvent, Heartbeat
from provisioning.lease import Lease

def write(store, name, seconds):
    until, done = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        queue.ring(store)
        if lease := Lease.take(store):
            lease.renew()
            lease.release(orderly=True)
        Heartbeat.beat(name)
        AuditEvent.record("test.written", actor=SYSTEM, details={"by": name})
        done += 1
    os.write(1, f"{done}\\n".encode())  # in one piece: the others write there too

store, writers, seconds = uuid.UUID(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
children = []
for number in range(writers):
    if not (pid := os.fork()):
        try:
            write(store, f"writer-{number}", seconds)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    children.append(pid)
sys.exit(any([os.waitpid(pid, 0)[1] for pid in children]))
"""


def test_twenty_writers_meet_no_lock(rig: Rig) -> None:
    """F16: with the worker and its queue going on beside them. (On SQLite they wait for each other.)"""
    worker = rig.start_worker()
    store = rig.wait_for(rig.create(), Status.READY)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(store.pk), str(WRITERS), str(SECONDS)],
        cwd=settings.BASE_DIR, text=True, capture_output=True, check=False, timeout=240,
        env={**rig.environment, "DJANGO_SETTINGS_MODULE": "portal.settings"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rounds = [int(line) for line in done.stdout.split()]
    assert len(rounds) == WRITERS and min(rounds) > 0, "nobody was starved"
    print(f"FIGURE writers: {sum(rounds)} rounds by {WRITERS} processes in {SECONDS} s")
    assert AuditEvent.objects.filter(action="test.written").count() == sum(rounds)
    assert "database is locked" not in worker.said and "deadlock" not in worker.said
    until(lambda: not OrmQ.objects.filter(key="storeyard").exists(), "the queue to be empty")
    assert not Task.objects.exists(), "no task failed"


# --- The queue's ways --------------------------------------------------------------------


def test_after_a_change_of_the_secret_key_no_store_is_stuck(rig: Rig) -> None:
    """F17, S24: what was queued under the old one is thrown away by the queue, and rung again."""
    stores = [rig.create() for _ in range(3)]
    assert OrmQ.objects.count() == 3
    # The web process of this test keeps the old one; worker and watcher have the new one.
    key = {"SECRET_KEY": "another key, as long as it should be, and random enough"}
    rig.start("watch_cluster", **key)
    worker = rig.start_worker(**key)
    for store in stores:
        until(lambda store=store: ready(store), "the clock to ring with the new key", 60)
    assert "Traceback" not in supervisors_words(worker.said)


def ready(store: Store) -> bool:
    store.refresh_from_db()
    return bool(store.status == Status.READY)


def test_a_queue_that_dies_in_a_stop_leaves_the_database_whole(rig: Rig) -> None:
    """F6, F8: whatever is killed in whatever order, a new worker finishes what is there."""
    worker = rig.start_worker()
    stores = [rig.create() for _ in range(3)]
    processes = rig.working(worker)
    for pid in sorted(processes.all):
        os.kill(pid, signal.SIGKILL)
    worker.stop()
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA integrity_check")
            assert cursor.fetchone() == ("ok",)
    rig.start_worker()
    rig.start("watch_cluster")
    for store in stores:
        rig.wait_for(store, Status.READY)
        assert Path(rig.folder / "simulated-cluster.sqlite3").exists()


def test_two_workers_at_one_queue_do_everything_once(open_rig: OpenRig) -> None:
    """F4, F11, F21: a second one beside it does no harm."""
    with open_rig() as rig:
        first, second = rig.start_worker(), rig.start_worker()
        stores = [rig.create() for _ in range(5)]
        for store in stores:
            rig.wait_for(store, Status.READY)
            assert AuditEvent.objects.filter(store_id=store.pk, action="store.ready").count() == 1
            assert store.attempts == 0
        for worker in (first, second):
            assert "started anew" not in worker.said
            assert worker.stop() == 0
