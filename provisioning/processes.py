"""How the processes of a worker hang together: who dies with whom, and who is told to stop.

The kernel's means (Linux), because a process that is killed with -9 can do nothing itself.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
from dataclasses import dataclass

# In the environment of a queue's processes: the pipe whose other end is closed when they are to
# begin nothing any more.
STOP_PIPE = "STOREYARD_STOP_PIPE"
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36

_libc = ctypes.CDLL(None, use_errno=True)
_forking = 0


def die_with(parent: int) -> None:
    """From now on the kernel kills this process when its parent ends; at once if it has ended.

    To the kernel the parent is the thread that made this process: it must be one that stays.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def forks_die_with_us() -> None:
    """Also the forks of forks: each dies with the one that made it."""
    os.register_at_fork(before=remember_who_forks, after_in_child=lambda: die_with(_forking))


def remember_who_forks() -> None:
    global _forking
    _forking = os.getpid()


def adopt_orphans() -> None:
    """Descendants whose parent dies become our children: we can see when the last one ends."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def stopping() -> bool:
    """Whether this process is to begin nothing any more. Asked for each task: one system call."""
    if not (pipe := os.environ.get(STOP_PIPE)):
        return False
    return bool(select.select([int(pipe)], [], [], 0)[0])


@dataclass(frozen=True)
class Family:
    """Who is whose child, at one moment."""

    parents: dict[int, int]
    # Ended, and not yet collected by their parent.
    dead: frozenset[int]

    @classmethod
    def now(cls) -> Family:
        parents, dead = {}, set()
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    # The program's name, in brackets, may hold anything.
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
            except OSError:
                continue
            parents[int(name)] = int(parent)
            if state in b"ZX":
                dead.add(int(name))
        return cls(parents, frozenset(dead))

    def children(self, parent: int) -> set[int]:
        return {pid for pid, its_parent in self.parents.items() if its_parent == parent}

    def living(self, parent: int) -> set[int]:
        return self.children(parent) - self.dead
