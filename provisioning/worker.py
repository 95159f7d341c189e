"""The supervisor of the queue: keeps it working, and stops it in order.

The queue's own parent does not notice that it has come to a standstill: an idle worker that is killed
takes a lock with it, and nothing is begun any more; a killed monitor's successor acknowledges nothing,
and everything is repeated. So the supervisor sends heartbeats through the queue and looks at its
processes; where something is wrong, all of them go and new ones come. A pass that is under way may
end first, for a while. That is safe at any moment: the rows know what was unfinished.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection

from provisioning import lease, processes
from provisioning.cluster.helm import GRACE_SECONDS as HELM_GRACE_SECONDS
from provisioning.processes import Family
from stores import queue
from stores.models import Heartbeat

log = logging.getLogger(__name__)
LOOK_SECONDS = 0.5
# How long a queue may take until all its processes are there.
START_SECONDS = 60.0
# What the queue gets to end by itself, once no pass is under way.
PATIENCE_SECONDS = 3.0
# Between starts, doubled up to the longest, as long as none of them leads to a queue that works.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0


class Group:
    """One running queue: its launcher and everything below it, a process group of their own.

    So neither Ctrl-C nor a signal to our process group reaches the queue: its parent cannot end any
    more once its workers got the signal too.
    """

    def __init__(self) -> None:
        self.name = secrets.token_hex(4)
        self.started, self.answered = time.monotonic(), False
        self.members: set[int] = set()
        reads, self.stop_pipe = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "provisioning.launcher", str(os.getpid())],
            env={
                **os.environ,
                "STOREYARD_WORKER_GROUP": self.name,
                processes.STOP_PIPE: str(reads),
            },
            pass_fds=[reads],
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            # No session of its own: Linux shares time out among sessions, and our niceness would mean
            # nothing to the rest of the machine.
            process_group=0,
        )
        os.close(reads)
        # Its workers, its monitor and its pusher.
        self.whole = settings.Q_CLUSTER["workers"] + 2

    @property
    def age(self) -> float:
        return time.monotonic() - self.started

    def deaths(self, family: Family) -> set[int]:
        """The members that were there at the last look and are no more."""
        alive = self.alive(family)
        gone, self.members = self.members - alive, alive
        return gone

    def alive(self, family: Family) -> set[int]:
        return set().union(*map(family.living, family.children(self.process.pid)))

    def ended(self) -> bool:
        """Without collecting it: as long as nobody does, its number is not given to another."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, how) is not None

    def ask_to_stop(self) -> None:
        """Nothing is begun from now on; what is under way may end."""
        os.close(self.stop_pipe)
        os.kill(self.process.pid, signal.SIGTERM)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)


class Supervisor:
    def __init__(self) -> None:
        self.signals, self.told = 0, threading.Event()
        self.group: Group | None = None
        self.due = 0.0
        self.pause = 0.0
        self.away = False
        self.dead: set[int] = set()
        # Whose leases are to be given back: (group, process), None for all of a group.
        self.bequests: list[tuple[str, int | None]] = []
        # A heartbeat: when one was last sent, whether it is out, and since when it should be back.
        self.sent, self.out, self.heard = 0.0, False, 0.0

    def run(self) -> None:
        """Until a signal. Returns when nothing of the queue is left."""
        processes.adopt_orphans()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self.count)
        while not self.signals:
            self.look()
            self.told.wait(LOOK_SECONDS)
        if self.group:
            self.end(self.group, settings.WORKER_GRACE_SECONDS)
        with contextlib.suppress(DatabaseError):  # they run out by themselves
            self.hand_back()

    def count(self, *_: Any) -> None:
        self.signals += 1
        self.told.set()

    def look(self) -> None:
        family = Family.now()
        collect(orphans(self.group, family))
        if self.group:
            self.dead |= self.group.deaths(family)
        try:
            self.look_after()
        except DatabaseError as error:
            connection.close()
            # No reason to end what runs: it may be in the middle of a Helm that needs no database.
            if not self.away:
                log.warning("The database does not answer (%s): waiting for it.", one_line(error))
            self.away = True
            self.told.wait(min(1.0, settings.HEARTBEAT_SECONDS))

    def look_after(self) -> None:
        now = time.monotonic()
        if self.away or not self.group:
            Heartbeat.seen(Heartbeat.WORKER)  # raises where the database is not there
            if self.away:
                log.warning("The database answers again.")
            self.away, self.heard = False, now
        self.hand_back()
        if self.group is None:
            if now >= self.due:
                self.start()
        elif reason := self.trouble(self.group):
            log.error("The queue is started anew: %s.", reason)
            self.end(self.group, settings.WORKER_GRACE_SECONDS)
            longer = min(max(SHORTEST_PAUSE, self.pause * 2), LONGEST_PAUSE)
            self.pause = 0.0 if self.group.answered else longer
            self.due, self.group = time.monotonic() + self.pause, None

    def start(self) -> None:
        self.group = Group()
        self.dead.clear()
        self.sent, self.out = 0.0, False

    # --- What can be wrong ---------------------------------------------------------------

    def trouble(self, group: Group) -> str:
        """Why the queue cannot stay as it is; empty if it can."""
        if group.ended():
            return "its parent ended"
        for pid in list(self.dead):
            if not lease.held_by(group.name, pid).exists():
                return f"process {pid} died while idle, perhaps with a lock"
            # It was in the middle of a pass and held no lock of the queue's.
            self.bequests.append((group.name, pid))
            self.dead.discard(pid)
        if len(group.members) < group.whole and not self.sent:
            return "it did not start" if group.age > START_SECONDS else ""
        return self.silence(group)

    def silence(self, group: Group) -> str:
        now = time.monotonic()
        self.out = self.out and queue.heartbeat_is_out(group.name)
        if not self.out:
            self.heard, group.answered = now, bool(self.sent)
            if now >= self.sent + settings.HEARTBEAT_SECONDS:
                queue.send_heartbeat(group.name)
                self.sent, self.out = now, True
        elif len(at_work(group)) >= settings.Q_CLUSTER["workers"]:
            # All are in the middle of passes that go on: none is free for a heartbeat.
            Heartbeat.beat(Heartbeat.WORKER)
            self.heard = now
        elif now > self.heard + settings.HEARTBEAT_LIMIT_SECONDS:
            return f"no heartbeat came back for {now - self.heard:.0f} s"
        return ""

    # --- Ending --------------------------------------------------------------------------

    def end(self, group: Group, grace: float) -> None:
        """Ask; kill as soon as no pass is under way, or the grace is over, or we are told again."""
        began = time.monotonic()
        if not group.ended():
            group.ask_to_stop()
        while not group.ended() and self.signals < 2:
            collect(orphans(group))
            passed = time.monotonic() - began
            if passed > grace or (passed > PATIENCE_SECONDS and not may_be_at_work(group)):
                break
            time.sleep(LOOK_SECONDS / 10)
        group.kill()
        group.process.wait()
        # Only now are they all ours: each process passes its children on when it dies.
        wait_for_orphans()
        self.bequests.append((group.name, None))

    def hand_back(self) -> None:
        """Leases of processes that are gone, and their Helm with them: nobody need wait for the end
        of those."""
        if self.bequests and not orphans(self.group):
            while self.bequests:
                name, pid = self.bequests[-1]
                lease.hand_back(name, pid)
                if pid is None:
                    queue.forget_heartbeats(name)
                self.bequests.pop()
            queue.ring_unanswered()


def at_work(group: Group) -> set[int]:
    """Its processes that are in the middle of a pass."""
    return lease.holders(group.name) & group.alive(Family.now())


def may_be_at_work(group: Group) -> bool:
    try:
        return bool(at_work(group))
    except DatabaseError:
        connection.close()
        return True


def orphans(group: Group | None, family: Family | None = None) -> set[int]:
    """Descendants whose parent died, ended or not: they are our children now."""
    ours = (family or Family.now()).children(os.getpid())
    return ours - {group.process.pid} if group else ours


def collect(pids: set[int]) -> None:
    """Let those that have ended go."""
    for pid in pids:
        os.waitpid(pid, os.WNOHANG)


def wait_for_orphans() -> None:
    """Helm runs among them: asked to end, so that it can write down that it was interrupted."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        asked: set[int] = set()
        deadline = time.monotonic() + HELM_GRACE_SECONDS
        while (left := orphans(None)) and time.monotonic() < deadline:
            for pid in left - asked:
                os.kill(pid, how)
            asked = left
            collect(left)
            time.sleep(LOOK_SECONDS / 10)


def one_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
