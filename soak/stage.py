"""What a soak plays on: a control plane, a fault proxy, a database, two workers and a watcher.

It does what an init system would: who ended is started again.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from django.core.management import call_command

from devcluster import DevCluster
from provisioning.tests.real_platform import Platform, Process
from soak.processes import children, command_of, pids

if TYPE_CHECKING:
    from portal.tests.postgres import Server

LEASE_SECONDS = 5
HELM = (["upgrade"], ["uninstall"], ["rollback"])
SERVICES = {
    "worker-1": ("manage.py", "run_worker"),
    "worker-2": ("manage.py", "run_worker"),
    "watcher": ("manage.py", "watch_cluster"),
}


class Stage:
    def __init__(self, folder: Path, url: str, server: Server | None) -> None:
        self.folder, self.url, self.server = folder, url, server
        self.devcluster = DevCluster(ready_after="1s")
        self.services: dict[str, Process] = {}
        self.restarts = 0
        self.cluster_away = False

    def __enter__(self) -> Self:
        call_command("migrate", verbosity=0)
        self.devcluster.start()
        try:
            self.proxy = self.devcluster.proxy()
            self.proxy.__enter__()
            self.platform = Platform(
                self.folder, self.url, self.devcluster, LEASE_SECONDS=LEASE_SECONDS,
                STOREYARD_KUBECONFIG=self.proxy.kubeconfig, STOREYARD_HELM_SECONDS=20,
                MAX_STORES_STARTING=4, SWEEP_SECONDS=5, GRACE_SECONDS=5, RETRY_SECONDS="1,2,4",
                WORKER_SILENT_SECONDS=20,
            )  # fmt: skip
            self.serve()
        except BaseException:
            self.devcluster.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.platform.kill_all()
        self.proxy.__exit__(None, None, None)
        self.devcluster.stop()

    def serve(self) -> None:
        """Start whoever does not run."""
        for name, command in SERVICES.items():
            before = self.services.get(name)
            if before is None or before.ended:
                self.restarts += before is not None
                self.services[name] = self.platform.start(*command, log=name)

    def tree(self, name: str) -> list[list[int]]:
        """Process ids of a service, generation by generation; Helm and its like are the last."""
        service = self.services[name]
        generations = [children(service.popen.pid)]
        # The shell's own guard is a fork of it that holds a pipe; the program is not a shell.
        generations[0] = [pid for pid in generations[0] if command_of(pid)[:1] != ["sh"]]
        while generations[-1]:
            generations.append([child for pid in generations[-1] for child in children(pid)])
        return generations[:-1]

    def helms(self) -> list[int]:
        return [pid for pid in pids() if command_of(pid)[1:2] in HELM and self.is_ours(pid)]

    def is_ours(self, pid: int) -> bool:
        """Its kubeconfig is in our cluster's folder."""
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        return str(self.devcluster.root).encode() in environment

    def stop_database(self) -> None:
        if self.server:
            self.server.stop()

    def start_database(self) -> None:
        if self.server:
            self.server.start()
