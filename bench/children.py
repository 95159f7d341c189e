"""Processes of ours: started in a group of their own, measured, and stopped by their own id."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
GRACE_SECONDS = 20.0


class Cpu(NamedTuple):
    """Processor seconds of a process tree: of its living members, and of those that have ended."""

    living: float = 0.0
    ended: float = 0.0

    @property
    def total(self) -> float:
        return self.living + self.ended

    def plus(self, other: Cpu) -> Cpu:
        return Cpu(self.living + other.living, self.ended + other.ended)

    def since(self, before: Cpu) -> Cpu:
        return Cpu(self.living - before.living, self.ended - before.ended)


@dataclass(frozen=True)
class Child:
    """A process and whatever it starts. `log` has what they wrote."""

    process: subprocess.Popen[bytes]
    log: Path

    @classmethod
    def start(cls, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Child:
        with log.open("wb") as output:
            process = subprocess.Popen(
                # The kernel ends it if we are killed and cannot.
                ["setpriv", "--pdeathsig", "TERM", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                process_group=0,
            )
        return cls(process, log)

    def stop(self) -> None:
        """Ask it (it ends its own children then), and insist on all of them if it does not."""
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill_all()

    def kill_all(self) -> None:
        # Not yet waited for, so the number of the group is certainly still ours.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def cpu(self) -> Cpu:
        parents = {pid: int(fields[1]) for pid, fields in all_stats().items()}
        family = {self.process.pid}
        # A parent may have the higher number: until nobody is added.
        while more := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= more
        used = Cpu()
        for pid in family:
            used = used.plus(cpu_of(pid))
        return used


def give_way(leader: int, niceness: int) -> None:
    """Have the session or group of processes that this one leads leave the processor to others."""
    os.setpriority(os.PRIO_PGRP, leader, niceness)
    # Where Linux shares time out among sessions first, and by niceness only within each.
    with suppress(FileNotFoundError):
        Path(f"/proc/{leader}/autogroup").write_text(str(niceness))


def all_stats() -> dict[int, list[str]]:
    """Of every process the fields of /proc/<pid>/stat from the third (its state) on."""
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return {pid: fields for pid in pids if (fields := stat(pid))}


def stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def cpu_of(pid: int) -> Cpu:
    fields = stat(pid)
    if not fields:
        return Cpu()
    user, system, children_user, children_system = map(int, fields[11:15])
    return Cpu((user + system) / TICKS, (children_user + children_system) / TICKS)
