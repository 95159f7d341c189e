"""Who runs on this machine, as /proc tells it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def pids() -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            yield int(entry.name)


def children(pid: int) -> list[int]:
    """Oldest first: of a queue, the workers, then the monitor, then the pusher."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        found = [
            int(one) for thread in threads for one in (thread / "children").read_text().split()
        ]
    except OSError:
        return []
    return sorted(found)


def command_of(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def is_alive(pid: int) -> bool:
    """Not a zombie either: that has no command line any more."""
    return any(command_of(pid))
