"""Clusters that go on when the command that started them has ended, by name."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from devcluster import processes
from devcluster.build import binaries, cache_folder
from devcluster.cluster import DevCluster
from devcluster.commands import COMPONENTS
from devcluster.errors import DevClusterError


@dataclass(frozen=True)
class Detached:
    """A named cluster's folder. Its data lasts from `up` to `down`, not longer."""

    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", self.name):
            raise DevClusterError("A name has lower case letters, digits and dashes, at most 31.")

    @property
    def root(self) -> Path:
        return _run_folder() / self.name

    @property
    def kubeconfig(self) -> Path:
        return self.root / "admin.kubeconfig"

    @property
    def portal_kubeconfig(self) -> Path:
        return self.root / "portal.kubeconfig"

    def up(self) -> bool:
        """False if it was running already."""
        binaries()
        with self._lock():
            if not self.missing():
                return False
            self._clear()
            DevCluster(self.root, outlive_us=True).start()
        return True

    def down(self) -> bool:
        """False if nothing of it was running."""
        with self._lock():
            return self._clear()

    def missing(self) -> list[str]:
        """The components that do not run; empty when it is up."""
        alive = {process.name for process in processes.recorded(self.root) if process.alive()}
        return [name for name in COMPONENTS if name not in alive]

    def _clear(self) -> bool:
        alive = [process for process in processes.recorded(self.root) if process.alive()]
        for process in reversed(alive):
            process.stop()
        shutil.rmtree(self.root, ignore_errors=True)
        return bool(alive)

    def _lock(self) -> FileLock:
        _run_folder().mkdir(parents=True, exist_ok=True)
        return FileLock(_run_folder() / f"{self.name}.lock")


def known() -> list[Detached]:
    if not _run_folder().exists():
        return []
    folders = sorted(path for path in _run_folder().iterdir() if path.is_dir())
    return [Detached(folder.name) for folder in folders]


def _run_folder() -> Path:
    return cache_folder() / "run"
