"""Helm's command line: no shell, values on standard input, nothing of the caller's environment.

Waiting is never Helm's: it hands the objects to the cluster and returns. What it answers is not
taken as proof; the release's record is read again (kubernetes.py).
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from provisioning.cluster.api import as_yaml, denial
from provisioning.cluster.base import Beat, Release, no_beat
from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed
from provisioning.redaction import one_line
from stores.messages import Message

log = logging.getLogger(__name__)
OLDEST = (4, 2, 4)
BEAT_SECONDS = 1.0
# How long Helm may take to record that it was interrupted, before it is killed.
GRACE_SECONDS = 10.0
HISTORY = "5"
UNREACHABLE = re.compile(
    r"cluster unreachable|connection refused|connection reset|i/o timeout|TLS handshake timeout"
    r"|context deadline exceeded|etcdserver|too many requests|(?<!unexpected )\bEOF\b|no route to host"
    r"|service unavailable|client rate limiter|apiserver not ready|http2: ",
    re.IGNORECASE,
)


class Helm:
    """One helm program for one cluster."""

    def __init__(self, program: str, kubeconfig: str, seconds: float) -> None:
        self.program, self.kubeconfig, self.seconds = program, kubeconfig, seconds

    def check_version(self) -> None:
        """Raises ClusterMisconfigured where helm is missing or too old."""
        oldest = ".".join(map(str, OLDEST))
        path = shutil.which(self.program)
        if not path:
            raise ClusterMisconfigured(
                f"Helm was not found as “{self.program}”. Install Helm {oldest} or newer, or set "
                "STOREYARD_HELM to its path."
            )
        said = subprocess.run(
            [path, "version", "--template", "{{.Version}}"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        ).stdout
        found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", said)
        if not found or tuple(map(int, found.groups())) < OLDEST:
            raise ClusterMisconfigured(
                f"{path} is Helm {said.strip() or 'of an unknown version'}; {oldest} or newer is "
                "needed. Install it, or set STOREYARD_HELM to its path."
            )

    def upgrade(self, release: Release, beat: Beat) -> None:
        """Install or upgrade, without waiting for the workloads."""
        self.run(
            "upgrade", release.name, str(release.chart), "--install",
            "--namespace", release.namespace, "--values", "-", "--history-max", HISTORY,
            # Charts are validated by their tests; fetching the schema takes half of the time.
            "--disable-openapi-validation",
            # Ours is the wanted state, whoever edited an object by hand.
            "--force-conflicts",
            values=release.values, beat=beat,
        )  # fmt: skip

    def rollback(self, name: str, namespace: str, revision: int, beat: Beat) -> None:
        self.run(
            "rollback", name, str(revision), "--namespace", namespace,
            "--history-max", HISTORY, "--force-conflicts", beat=beat,
        )  # fmt: skip

    def uninstall(
        self, name: str, namespace: str, beat: Beat = no_beat, *, hooks: bool = False
    ) -> None:
        """``hooks``: the chart's own last words too, which may hang."""
        how = ("--timeout", f"{self.seconds / 3:.0f}s") if hooks else ("--no-hooks",)
        self.run("uninstall", name, "--namespace", namespace, "--ignore-not-found", *how, beat=beat)

    def run(self, *arguments: str, values: dict[str, Any] | None = None, beat: Beat) -> None:
        with tempfile.TemporaryDirectory(prefix="storeyard-helm-") as home:
            process = subprocess.Popen(
                # If this worker is killed, the kernel ends Helm too, so that no orphan goes on
                # while somebody else works on the store.
                [*dies_with_us(), self.program, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=self.environment(home),
                process_group=0,
            )
            try:
                said = self.finish(process, as_yaml(values or {}), beat)
            except BaseException:
                # Also the queue's timeout, which is a SystemExit.
                stop(process)
                raise
        if process.returncode != 0:
            raise failure(said.decode(errors="replace"))

    def finish(self, process: subprocess.Popen[bytes], values: bytes, beat: Beat) -> bytes:
        """Standard error, once Helm has ended by itself."""
        deadline = time.monotonic() + self.seconds
        given: bytes | None = values
        while True:
            try:
                return process.communicate(given, timeout=BEAT_SECONDS)[1]
            except subprocess.TimeoutExpired:
                given = None  # communicate() keeps what it has not written yet
                beat()
            if time.monotonic() > deadline:
                # Counts against this store's own time: others may fare better.
                log.warning("helm %s took longer than %s seconds", process.args, self.seconds)
                raise NotYet(Message("busy"))

    def end_orphans(self, namespace: str) -> bool:
        """End every other Helm at work in the namespace, on this machine; whether there was one.

        The lease is ours, so it belongs to a worker that is gone or late. Helm's records know no
        fence: two at once could both say that theirs is deployed. Without mercy, as one that was
        stopped hears of nothing else.
        """
        found = at_work(Path(self.program).name, namespace)
        for pid in found:
            log.warning("%s: ended an orphaned helm, process %s", namespace, pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        return bool(found)

    def environment(self, home: str) -> dict[str, str]:
        # Plugins, repositories and caches of whoever starts the worker have no business here.
        kept = ("PATH", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "SSL_CERT_FILE")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            **({"KUBECONFIG": self.kubeconfig} if self.kubeconfig else {}),
            "HOME": home,
            "HELM_CACHE_HOME": home,
            "HELM_CONFIG_HOME": home,
            "HELM_DATA_HOME": home,
            "HELM_DRIVER": "secret",
        }


def dies_with_us() -> list[str]:
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []


def at_work(program: str, namespace: str) -> list[int]:
    """Processes of that name that were given that namespace."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = file.read_bytes().decode(errors="replace").split("\0")
        except OSError:  # ended meanwhile
            continue
        named = any(Path(word).name == program for word in words[:2])  # a script's is the second
        if named and ("--namespace", namespace) in zip(words, words[1:], strict=False):
            found.append(int(file.parent.name))
    return found


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask, wait, insist: Helm records an interrupted release when it is asked."""
    for how, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=patience)
            return


def failure(said: str) -> Exception:
    """The exception for what Helm wrote to standard error."""
    lines = [line for line in said.strip().splitlines() if line.strip()]
    text = (lines[-1] if lines else "Helm said nothing").removeprefix("Error: ")
    text = one_line(text, 500)
    # Whose check does not answer is no cluster that does not answer, whatever the words.
    if "failed calling webhook" in text:
        return NotYet(Message("busy"), text)
    if UNREACHABLE.search(text):
        return ClusterUnavailable(f"Helm: {text}")
    if "another operation" in text and "in progress" in text:
        return NotYet(Message("busy"), text)
    if isinstance(meaning := denial(text), NotYet):
        return meaning
    return StepFailed(Message("chart-refused", {"reason": text}))
