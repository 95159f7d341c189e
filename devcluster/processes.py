"""Start and stop processes without ever signalling one that is not ours."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevClusterError

# A parent-death signal follows the thread that forked, not the process: a child
# started from a test's short-lived thread would die with that thread. So every
# child is started by this one, which lives as long as the interpreter.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="devcluster-spawner")


@dataclass(frozen=True)
class Process:
    """A process known by pid and start time, so that a recycled pid is never ours."""

    name: str
    pid: int
    started: int
    child: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        if self.child is not None:
            self.child.poll()  # Reaps it: a zombie would look alive.
        return start_time(self.pid) == self.started

    def send(self, number: signal.Signals) -> None:
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            # The handle pins the process: what is checked is what is signalled.
            if start_time(self.pid) == self.started:
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)

    def stop(self, grace: float = 2.0) -> None:
        """Ask, then insist; returns when the process is gone."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)  # A paused process acts on nothing but SIGKILL.
        if not self._gone_within(grace):
            self.kill()

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        if not self._gone_within(10):
            raise DevClusterError(f"{self.name} (process {self.pid}) cannot be stopped.")

    def cpu_seconds(self) -> float:
        fields = _stat(self.pid)
        if fields is None or start_time(self.pid) != self.started:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _gone_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


def spawn(name: str, command: Sequence[str], log: Path, *, outlive_us: bool) -> Process:
    if not outlive_us:
        command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
    child = _spawner.submit(_popen, command, log).result()
    started = start_time(child.pid)
    if started is None:
        raise DevClusterError(f"{name} ended at once; see {log}.")
    return Process(name, child.pid, started, child)


def _popen(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        # A session of its own: Ctrl-C in the terminal is for us, not for etcd.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip


def record(folder: Path, running: Mapping[str, Process]) -> None:
    """Note in the folder what runs, so that another process can stop it."""
    noted = [[process.name, process.pid, process.started] for process in running.values()]
    temporary = folder / "processes.new"
    temporary.write_text(json.dumps(noted))
    temporary.replace(folder / "processes.json")


def recorded(folder: Path) -> list[Process]:
    """Those noted in the folder, in the order they were started; some may be gone."""
    try:
        noted = json.loads((folder / "processes.json").read_text())
    except FileNotFoundError:
        return []
    return [Process(name, pid, started) for name, pid, started in noted]


def start_time(pid: int) -> int | None:
    """Clock ticks since boot at which the process began; None if it is gone or a zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return int(fields[19])


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the third on (the second may hold spaces)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
