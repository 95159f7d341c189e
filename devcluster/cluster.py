"""A Kubernetes control plane of one's own: started, disturbed and stopped from Python."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml

from devcluster import health, processes, stages
from devcluster.api import Api
from devcluster.build import SOURCE, binaries
from devcluster.commands import AUDIT_POLICY, COMPONENTS, ELECTED, commands, free_ports
from devcluster.errors import DevClusterError
from devcluster.identity import (
    CLIENTS,
    certificate_user,
    write_identities,
    write_kubeconfig,
    write_private,
)
from devcluster.proxy import Proxy
from devcluster.situations import SITUATIONS

PORTAL_NAMESPACE = "portal-system"
PORTAL_ACCOUNT = "portal-worker"
PORTAL_CHART = SOURCE.parent / "charts" / "portal"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"
TOKEN_SECONDS = 30 * 24 * 3600


class DevCluster:
    """One cluster, with fresh data. `root` is a new folder for its files and logs;
    without it they lie in a temporary one that goes with the cluster.

    `ready_after` (a Go duration) delays every pod; `outlive_us` leaves the cluster
    running when this process ends, which is otherwise the end of the cluster too.
    """

    def __init__(
        self, root: Path | None = None, *, audit_log: bool = False, ready_after: str = "0s",
        nodes: int = 1, outlive_us: bool = False,
    ) -> None:  # fmt: skip
        self.root = root or Path(tempfile.mkdtemp(prefix="devcluster-"))
        self.kubeconfig = self.root / "admin.kubeconfig"
        self.portal_kubeconfig = self.root / "portal.kubeconfig"
        self.server = ""
        self.processes: dict[str, processes.Process] = {}
        self._programs = Path()
        self._temporary = root is None
        self._audit_log = audit_log
        self._ready_after = ready_after
        self._nodes = nodes
        self._outlive_us = outlive_us
        self._rules: list[stages.Rule] = []
        self._proxies = 0
        self._ports: dict[str, int] = {}
        self._commands: dict[str, list[str]] = {}
        # Who starts and stops processes; the thread that revives some is one of those.
        self._hand = threading.RLock()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.stop()

    def start(self) -> Self:
        """Returns when the nodes are Ready and the portal's account can be used."""
        try:
            self._start()
        except BaseException:
            self._temporary = False  # The error names a log in there.
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """In reverse order; returns when every process is gone."""
        self._over.set()
        for name in reversed(COMPONENTS):
            if name in self.processes:
                self.stop_process(name)
        if self._temporary:
            shutil.rmtree(self.root, ignore_errors=True)

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.processes.items()}

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time used by each running component since it was started."""
        return {name: process.cpu_seconds() for name, process in self.processes.items()}

    def stop_process(self, name: str, *, kill: bool = False) -> None:
        with self._hand:
            process = self.processes.pop(name)
            if kill:
                process.kill()
            else:
                process.stop()
            processes.record(self.root, self.processes)

    def start_process(self, name: str) -> None:
        """On its old port with its old data; returns when it is ready."""
        with self._hand:
            if name in ELECTED:
                # Its predecessor is gone: nobody needs to wait until that one's lease has run out.
                self.api.delete(f"{LEASES}/{name}")
            self._spawn(name)
            self._wait_ready(name)
            if name == "kube-apiserver":
                self._revive()

    def pause(self, name: str) -> None:
        """It keeps its connections and answers nothing."""
        self.processes[name].send(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.processes[name].send(signal.SIGCONT)

    def situation(
        self, name: str, *, namespace: str = "", labels: Mapping[str, str] | None = None
    ) -> None:
        """From now on pods in namespaces that start so, with these labels, are in it."""
        if name != "running" and name not in SITUATIONS:
            raise DevClusterError(f"There is no situation {name}: choose from {list(SITUATIONS)}.")
        self._rules.append(stages.Rule(name, namespace, labels or {}))
        self._restart_kwok()

    def clear_situations(self) -> None:
        """Pods that were in a situation by rule become Ready."""
        self._rules.clear()
        self._restart_kwok()

    def set_ready_after(self, delay: str) -> None:
        """From now on every pod is Ready only after this Go duration."""
        self._ready_after = delay
        self._restart_kwok()

    def add_node(
        self, name: str, *, cpu: str = "256", memory: str = "1Ti", pods: int = 1000,
        taints: Sequence[Mapping[str, str]] = (),
    ) -> None:  # fmt: skip
        capacity = {"cpu": cpu, "memory": memory, "pods": str(pods), "ephemeral-storage": "1Ti"}
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": name,
                "annotations": {"kwok.x-k8s.io/node": "fake"},
                "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
            },
            "spec": {"taints": [dict(taint) for taint in taints]},
            "status": {"allocatable": capacity, "capacity": capacity},
        }
        self.api.create("/api/v1/nodes", node)
        _wait(f"node {name} to be Ready", lambda: health.node_ready(self.api, name))

    def proxy(self) -> Proxy:
        """A way to the API server on which faults happen, as a context; with the portal's rights."""
        self._proxies += 1
        kubeconfig = self.root / f"proxy-{self._proxies}.kubeconfig"
        return Proxy(self.server, self.root / "identities", kubeconfig, self.portal_kubeconfig)

    @property
    def api(self) -> Api:
        return Api(self.server, self.root / "identities")

    def kubectl(
        self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None
    ) -> str:
        """What kubectl printed; as the administrator unless told otherwise."""
        return self._run("kubectl", arguments, input, kubeconfig or self.kubeconfig)

    def helm(
        self, *arguments: str, input: str | None = None, kubeconfig: Path | None = None
    ) -> str:
        return self._run("helm", arguments, input, kubeconfig or self.kubeconfig)

    def audit_events(self) -> Iterator[dict[str, Any]]:
        """Every API call so far (`audit_log=True`): user.username, verb, objectRef, ..."""
        log = self.root / "audit.log"
        if not log.exists():
            return
        with log.open() as lines:
            for line in lines:
                if line.endswith("\n"):  # The last one may still be being written.
                    yield json.loads(line)

    def _start(self) -> None:
        if (self.root / "etcd").exists():
            raise DevClusterError(
                f"{self.root} holds the data of another cluster: name a new folder."
            )
        self._programs = binaries()
        self._ports = free_ports()
        self.server = f"https://127.0.0.1:{self._ports['kube-apiserver']}"
        self._commands = commands(self._programs, self.root, self._ports, audit_log=self._audit_log)
        self._write_files()
        self._spawn("etcd")
        self._spawn("kube-apiserver")
        self._wait_ready("kube-apiserver")
        for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
            self._spawn(name)
        self._add_storage_class()
        self._install_portal_rights()
        for number in range(1, self._nodes + 1):
            self.add_node(f"node-{number}")
        # A policy that was just written is not yet in force.
        worker = f"system:serviceaccount:{PORTAL_NAMESPACE}:{PORTAL_ACCOUNT}"
        _wait("the admission policy", lambda: health.fenced(self.api, worker))
        for name in ("kube-controller-manager", "kube-scheduler", "kwok"):
            self._wait_ready(name)
        if not self._outlive_us:
            threading.Thread(target=self._keep_alive, daemon=True, name="devcluster").start()

    def _write_files(self) -> None:
        identities = self.root / "identities"
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_identities(identities)
        for client in CLIENTS:
            path = self.root / f"{client}.kubeconfig"
            write_kubeconfig(
                path, self.server, identities / "ca.crt", certificate_user(identities, client)
            )
        write_private(self.root / "audit-policy.yaml", yaml.safe_dump(AUDIT_POLICY).encode())
        self._write_stages()

    def _write_stages(self) -> None:
        stages.write_configuration(
            self.root / "kwok.yaml", self._programs / "stages",
            ready_after=self._ready_after, rules=self._rules,
        )  # fmt: skip

    def _restart_kwok(self) -> None:
        self._write_stages()
        self.stop_process("kwok", kill=True)
        self.start_process("kwok")

    def _revive(self) -> None:
        """Who cannot renew a lease ends itself; a kubelet would start it again."""
        for name in ELECTED:
            if name in self.processes and not self.processes[name].alive():
                self.stop_process(name)
                self._spawn(name)

    def _keep_alive(self) -> None:
        """A busy machine, too, can keep somebody from renewing a lease in time."""
        while not self._over.wait(1):
            with self._hand:
                if "kube-apiserver" in self.processes and not self._over.is_set():
                    self._revive()

    def _spawn(self, name: str) -> None:
        if name in self.processes:
            raise DevClusterError(f"{name} is running already.")
        log = self.root / f"{name}.log"
        self.processes[name] = processes.spawn(
            name, self._commands[name], log, outlive_us=self._outlive_us
        )
        processes.record(self.root, self.processes)

    def _wait_ready(self, name: str) -> None:
        ready = health.CHECKS[name]

        def check() -> bool:
            if not self.processes[name].alive():
                log = self.root / f"{name}.log"
                raise DevClusterError(f"{name} ended while starting: {_last_line(log)} (see {log})")
            return ready(self.api, self._ports[name])

        _wait(f"{name} to be ready", check)

    def _add_storage_class(self) -> None:
        storage_class = yaml.safe_load(
            (self._programs / "stages" / "storage-class.yaml").read_text()
        )
        self.api.create("/apis/storage.k8s.io/v1/storageclasses", storage_class)

    def _install_portal_rights(self) -> None:
        self.helm(
            "install", "portal", str(PORTAL_CHART), "--namespace", PORTAL_NAMESPACE,
            "--create-namespace",
        )  # fmt: skip
        token = self.api.create(
            f"/api/v1/namespaces/{PORTAL_NAMESPACE}/serviceaccounts/{PORTAL_ACCOUNT}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": TOKEN_SECONDS},
            },
        )["status"]["token"]
        ca = self.root / "identities" / "ca.crt"
        write_kubeconfig(self.portal_kubeconfig, self.server, ca, {"token": token})

    def _run(
        self, program: str, arguments: Sequence[str], input: str | None, kubeconfig: Path
    ) -> str:
        folders = {
            name: str(self.root / "home" / name)
            # Caches of their own: they are keyed by address, and ports come back.
            for name in (
                "HOME",
                "KUBECACHEDIR",
                "HELM_CACHE_HOME",
                "HELM_CONFIG_HOME",
                "HELM_DATA_HOME",
            )
        }
        answer = subprocess.run(
            [str(self._programs / program), *arguments], input=input, text=True,
            capture_output=True, check=False,
            env={**os.environ, **folders, "KUBECONFIG": str(kubeconfig)},
        )  # fmt: skip
        if answer.returncode != 0:
            raise DevClusterError(f"{program} {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout


def _wait(what: str, check: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise DevClusterError(f"Waited {seconds:.0f} s in vain for {what}.")
        time.sleep(0.05)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it wrote nothing"
