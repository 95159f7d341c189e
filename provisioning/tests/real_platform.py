"""Storeyard's own processes on the real control plane: workers and a watcher that tests may kill.

Each platform has a folder, a database and a Helm that writes down how it was called.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from devcluster import DevCluster, binaries
from provisioning.cluster.kubernetes import KubernetesCluster
from provisioning.engines import ENGINES
from stores import services
from stores.actor import Actor
from stores.lifecycle import Status
from stores.models import Store, User

# Tests that wait for the end of one take less.
LEASE_SECONDS = 10
PATIENCE_SECONDS = 90.0
TEST = Actor(None, "test")
# Whatever becomes of the test process, the pipe it holds is closed then, and the group dies. The
# worker's own forks are in the group too; a parent-death signal would reach the first one only.
GUARD = 'exec 3<&0; (cat <&3 >/dev/null; kill -KILL 0) & "$@" 3<&- </dev/null & wait $!'
# "version" is not work. While the file "hold" is there, Helm takes its time. A plan for this command
# in this namespace is taken by one Helm; the shim that carries it out holds none of Helm's pipes.
HELM = """#!/bin/sh
if [ "$1" != version ]; then
  printf '%s\\n' "$*" >> {folder}/helm.log
  while [ -e {folder}/hold ]; do sleep 0.05; done
  for plan in {folder}/plans/"$1".*.json; do
    namespace=${{plan#*/plans/"$1".}} taken=$plan.$$.taken
    case "$*" in *"--namespace ${{namespace%.json}}"*) mv "$plan" "$taken" 2>/dev/null || continue ;;
    *) continue ;; esac
    {python} {shim} "$taken" $$ </dev/null >/dev/null 2>{folder}/shim.log &
    while [ ! -e "$plan.$$.looking" ]; do sleep 0.01; done
  done
fi
exec {program} "$@"
"""


class Process:
    """A program in a process group of its own, its output in a file."""

    def __init__(self, log: Path, environment: dict[str, str], *command: str) -> None:
        self.log = log
        with log.open("ab") as output:
            self.popen = subprocess.Popen(
                ["sh", "-c", GUARD, "guard", sys.executable, "-u", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=settings.BASE_DIR,
                env=environment,
            )

    def kill(self) -> None:
        """With -9: what it was doing is cut off."""
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait(10)

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        return self.popen.wait(seconds)

    @property
    def ended(self) -> bool:
        return self.popen.poll() is not None

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Platform:
    """What a test asks of Storeyard, and what it does to it."""

    def __init__(
        self, folder: Path, database: str, devcluster: DevCluster, **environment: Any
    ) -> None:
        self.folder, self.devcluster = folder, devcluster
        self.processes: list[Process] = []
        helm = folder / "helm"
        (folder / "plans").mkdir()
        shim = Path(__file__).with_name("helm_shim.py")
        helm.write_text(
            HELM.format(
                folder=folder, program=binaries() / "helm", python=sys.executable, shim=shim
            )
        )
        helm.chmod(0o755)
        self.environment = {
            **os.environ,
            "DATABASE_URL": database,
            "STOREYARD_RUN_DIR": str(folder),
            "STOREYARD_CLUSTER": "kubernetes",
            "STOREYARD_KUBECONFIG": str(devcluster.portal_kubeconfig),
            "STOREYARD_CLUSTER_ROUTES_TRAFFIC": "false",
            "STOREYARD_HELM": str(helm),
            "LEASE_SECONDS": str(LEASE_SECONDS),
            "TICK_SECONDS": "1",
            "SWEEP_SECONDS": "5",
            **{name: str(value) for name, value in environment.items()},
        }
        # As the worker, and as an administrator who looks on.
        self.cluster, self.admin = (
            KubernetesCluster.from_kubeconfig(str(path), helm=str(helm), routes_traffic=False)
            for path in (devcluster.portal_kubeconfig, devcluster.kubeconfig)
        )
        # Of other platforms, whose tests ended badly.
        self.strangers = {seen.name for seen in self.admin.survey().namespaces}
        self.alice, self.bob = (
            User.objects.create_user(name, f"{name}@example.com", max_stores=30)
            for name in ("alice", "bob")
        )

    # --- Processes -----------------------------------------------------------------------

    def start(self, *command: str, log: str = "", **environment: Any) -> Process:
        process = Process(
            self.folder / f"{log or command[-1]}.log",
            {**self.environment, **{name: str(value) for name, value in environment.items()}},
            *command,
        )
        self.processes.append(process)
        return process

    def start_worker(self, **environment: Any) -> Process:
        return self.start("manage.py", "run_worker", **environment)

    def start_watcher(self, **environment: Any) -> Process:
        """Returns when it watches."""
        process = self.start("manage.py", "watch_cluster", **environment)
        until(lambda: process.ended or "Watching" in process.said, "the watcher to start")
        assert not process.ended, process.said
        return process

    def logs(self) -> str:
        return "\n".join(
            f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}"
            for log in sorted(self.folder.glob("*.log"))
        )

    # --- Helm ----------------------------------------------------------------------------

    def helm_runs(self, namespace: str = "") -> list[str]:
        """The arguments of every call so far, the version check left out."""
        log = self.folder / "helm.log"
        runs = log.read_text().splitlines() if log.exists() else []
        return [run for run in runs if namespace in run]

    @contextmanager
    def helm_held(self) -> Iterator[None]:
        """Meanwhile Helm starts and gets nowhere."""
        hold = self.folder / "hold"
        hold.touch()
        try:
            yield
        finally:
            hold.unlink()

    def strike_helm(
        self, command: str, store: Store, does: str, path: str, *, gone: bool = False,
        seconds: float = 0,
    ) -> Callable[[], int]:  # fmt: skip
        """The next Helm with this command for the store gets KILL, TERM or STOP, or is stopped for
        so many ``seconds`` (DELAY), when the object of the path has appeared (or is ``gone``).

        Returns who says the process id of the Helm that was struck; 0 if none was yet.
        """
        plan = self.folder / "plans" / f"{command}.{store.namespace}.json"
        identities = self.devcluster.root / "identities"
        what = {"server": self.devcluster.server, "identities": str(identities), "path": path,
                "gone": gone, "does": does, "seconds": seconds}  # fmt: skip
        plan.with_suffix(".new").write_text(json.dumps(what))
        plan.with_suffix(".new").rename(plan)

        def struck() -> int:
            for done in plan.parent.glob(f"{plan.name}.*.done"):
                return int(done.read_text() or 0)
            return 0

        return struck

    # --- Stores --------------------------------------------------------------------------

    def create(self, name: str = "Anna’s Ceramics", owner: User | None = None) -> Store:
        return services.create_store(
            actor=TEST,
            owner=owner or self.alice,
            name=name,
            address=f"shop-{uuid.uuid4().hex[:8]}",
            plan="small",
        )

    def outdate(self, store: Store) -> None:
        """As if another chart had been put in: the next pass runs Helm."""
        older = replace(ENGINES[store.engine].release(store), chart_version="0.0.1")
        self.admin.remember_release(older, store.namespace_uid)

    def wait_for(self, store: Store, *statuses: Status, seconds: float = PATIENCE_SECONDS) -> Store:
        """The row, fresh, as soon as it is in one of these."""

        def there() -> bool:
            store.refresh_from_db()
            return store.status in statuses

        until(there, lambda: f"{statuses}; it is {store.status}: {store.sentence}", seconds)
        return store

    def wait_for_step(self, store: Store, name: str, *outcomes: str) -> None:
        """Until the step of the newest operation has one of the outcomes."""

        def there() -> bool:
            operation = store.operations.first()
            return operation.steps.filter(name=name, outcome__in=outcomes).exists()

        until(there, f"{name} to be {outcomes}")

    # --- The end -------------------------------------------------------------------------

    def kill_all(self) -> None:
        for process in self.processes:
            process.kill()
        self.processes.clear()

    def tidy(self) -> None:
        """Leave nothing in the cluster for the next test to carry."""
        ours = {str(pk) for pk in Store.objects.values_list("pk", flat=True)}
        for seen in self.admin.survey().namespaces:
            if seen.store_id in ours and not seen.terminating:
                self.admin.delete("Namespace", seen.name)


def until(
    true: Callable[[], Any], what: str | Callable[[], str], seconds: float = PATIENCE_SECONDS
) -> Any:
    """The first true answer; fails with ``what`` was waited for."""
    deadline = time.monotonic() + seconds
    while not (answer := true()):
        if time.monotonic() > deadline:
            pytest.fail(f"Waited {seconds:g} s for {what if isinstance(what, str) else what()}")
        time.sleep(0.05)
    return answer


# Takes settings of the processes as they are called in the environment; closes with a check of the
# invariants.
OpenPlatform = Callable[..., AbstractContextManager[Platform]]
