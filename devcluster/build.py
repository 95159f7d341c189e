"""Compile the cluster's programs once and keep them in the user's cache folder.

The folder's name is a hash of everything that decides its content, so every
clone on a machine shares it and a changed version never meets an old binary.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from devcluster.errors import DevClusterError
from devcluster.toolchain import go_command

SOURCE = Path(__file__).parent
KUBERNETES = "1.36.2"
HELM = "4.2.4"
KWOK = "0.8.0"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat/node-heartbeat.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
    "volume/fast/pvc-provision.yaml",
    "volume/fast/pv-bind.yaml",
    "volume/fast/pvc-delete.yaml",
    "volume/fast/pv-delete.yaml",
    "volume/fast/storage-class.yaml",
)


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "storeyard" / "devcluster"


def binaries() -> Path:
    """The folder with etcd, kube-*, kubectl, helm, kwok and stages/; compiled if missing."""
    folder = _folder()
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    _acquire(lock)
    try:
        if not folder.exists():
            _build(folder)
    finally:
        lock.release()
    return folder


def _acquire(lock: FileLock) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say("devcluster: waiting for another process that builds the same")
        lock.acquire()


def built() -> bool:
    return _folder().exists()


def _folder() -> Path:
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go"):
        digest.update((SOURCE / name).read_bytes())
    digest.update(repr((KUBERNETES, HELM, KWOK, STAGES, platform.machine())).encode())
    return cache_folder() / digest.hexdigest()[:16]


def _build(folder: Path) -> None:
    # Under the lock nobody else builds this key: what lies here was killed.
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    started = time.monotonic()
    go = go_command(folder.parent)
    _build_control_plane(go, unfinished)
    _build_helm(go, unfinished)
    _build_kwok(go, unfinished)
    _copy_stages(go, unfinished / "stages")
    unfinished.rename(folder)
    _say(f"devcluster: built in {time.monotonic() - started:.0f} s, kept in {folder}")


def _build_control_plane(go: str, target: Path) -> None:
    # Without the stamp the server says v0.0.0 and a chart's kubeVersion refuses it.
    stamp = {
        "gitVersion": f"v{KUBERNETES}",
        "gitMajor": KUBERNETES.split(".")[0],
        "gitMinor": KUBERNETES.split(".")[1],
        "gitCommit": "local",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    flags = " ".join(f"-X k8s.io/component-base/version.{k}={v}" for k, v in stamp.items())
    output = target / "control-plane"
    arguments = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {flags}"]
    _compile("the control plane (1 of 3)", [*arguments, "-o", str(output), "."], {})
    for name in CONTROL_PLANE:
        (target / name).symlink_to(output.name)


def _build_helm(go: str, target: Path) -> None:
    flags = f"-s -w -X helm.sh/helm/v4/internal/version.version=v{HELM}"
    package = f"helm.sh/helm/v4/cmd/helm@v{HELM}"
    arguments = [go, "install", "-trimpath", "-ldflags", flags, package]
    _compile("Helm (2 of 3)", arguments, {"GOBIN": str(target)})


def _build_kwok(go: str, target: Path) -> None:
    package = f"sigs.k8s.io/kwok/cmd/kwok@v{KWOK}"
    arguments = [go, "install", "-trimpath", "-ldflags", "-s -w", package]
    _compile("kwok (3 of 3)", arguments, {"GOBIN": str(target)})


def _copy_stages(go: str, target: Path) -> None:
    command = [go, "mod", "download", "-json", f"sigs.k8s.io/kwok@v{KWOK}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=_go_env({}))
    module = Path(json.loads(answer.stdout)["Dir"])
    target.mkdir()
    for stage in STAGES:
        # copyfile, not copy: files in the module cache are read-only.
        shutil.copyfile(module / "kustomize" / "stage" / stage, target / Path(stage).name)


def _go_env(extra: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", **extra}


def _compile(what: str, command: Sequence[str], env: Mapping[str, str]) -> None:
    log = cache_folder() / "build.log"
    with log.open("w") as output:
        # The compiler ends with us, so a killed build does not go on unseen.
        compiler = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "--", *command],
            cwd=SOURCE, env=_go_env(env), stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _wait_showing_progress(f"devcluster: compiling {what}", compiler)
        finally:
            if compiler.poll() is None:
                compiler.terminate()
                compiler.wait()
    if compiler.returncode != 0:
        raise DevClusterError(f"Compiling {what} failed; the compiler's words are in {log}.")


def _wait_showing_progress(what: str, compiler: subprocess.Popen[bytes]) -> None:
    started = time.monotonic()
    terminal = sys.stderr.isatty()
    interval = 1 if terminal else 15
    while True:
        elapsed = f"{what}, {time.monotonic() - started:.0f} s"
        _say(elapsed, end="\r" if terminal else "\n")
        try:
            compiler.wait(timeout=interval)
        except subprocess.TimeoutExpired:
            continue
        if terminal:
            _say("")
        return


def _say(line: str, end: str = "\n") -> None:
    print(line, end=end, file=sys.stderr, flush=True)
