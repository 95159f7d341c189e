"""The whole platform on this machine, for a look at it: web, worker and watcher, supervised.

Each child is a session of its own, so that Ctrl-C reaches only us; it is asked to stop, and after a
while killed with all of its session. The worker takes its queue along, however it ends; the database
knows what was unfinished.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import yaml
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from provisioning.cluster.helm import Helm, dies_with_us
from provisioning.errors import ClusterMisconfigured

MANAGE = [sys.executable, str(settings.BASE_DIR / "manage.py")]
DEVCLUSTER = [sys.executable, "-m", "devcluster"]
LOOK_SECONDS = 0.2
STOP_SECONDS = 10.0
# After an unexpected end the pause doubles up to the longest; after a steady while it is forgotten.
LONGEST_PAUSE, STEADY_SECONDS = 30.0, 60.0


class Command(BaseCommand):
    help = "Run the portal with everything it needs on this machine, until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", default="8000")
        parser.add_argument("--cluster", default="simulated", help=", ".join(CLUSTERS))

    def handle(self, *args: Any, **options: Any) -> None:
        kind = options["cluster"]
        if settings.PRODUCTION:
            raise CommandError("The demo does not run in production: PRODUCTION is set.")
        if kind not in CLUSTERS:
            raise CommandError(f"CLUSTER is one of {', '.join(CLUSTERS)}, not “{kind}”.")
        port = free_port(options["port"])
        stopping = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: stopping.set())
        own = {**CLUSTERS[kind](), "DEBUG": "false", "STAFF_NEEDS_SECOND_FACTOR": second_factor()}
        environment = {**os.environ, **own}
        # The demo's data stay with the demo, whatever database is named outside.
        environment.pop("DATABASE_URL", None)
        greeting = set_up(port, kind, environment, write_environment(own))
        children = [
            Child("web", gunicorn(port), for_web(environment)),
            Child("worker", [*MANAGE, "run_worker"], environment),
            Child("watcher", [*MANAGE, "watch_cluster"], environment),
        ]
        try:
            while not stopping.wait(LOOK_SECONDS):
                for child in children:
                    child.look_after()
                if greeting and answers(port):
                    say(greeting)
                    greeting = ""
        finally:
            say("Stopping ...")
            stop(children)
        say("Stopped. Everything is kept for the next time.")


def say(text: str) -> None:
    print(text, flush=True)


# --- The cluster: what each kind adds to the environment -----------------------------------


def simulated() -> dict[str, str]:
    return {"STOREYARD_CLUSTER": "simulated", **kept("simulated")}


def local() -> dict[str, str]:
    """The control plane of `make cluster`, with the rights of the portal's account."""
    run([*DEVCLUSTER, "up"])
    path = Path(run([*DEVCLUSTER, "kubeconfig", "--portal"], read=True))
    return {
        "STOREYARD_HELM": run([*DEVCLUSTER, "build"], read=True) + "/helm",
        # Its nodes are fake: nothing listens on a pod's address.
        "STOREYARD_CLUSTER_ROUTES_TRAFFIC": "false",
        **kubernetes("local", path),
    }


def kubeconfig() -> dict[str, str]:
    path = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    if not path.is_file():
        raise CommandError(f"There is no file {path}. Name one kubeconfig file in KUBECONFIG.")
    try:
        Helm(settings.HELM, str(path), settings.HELM_SECONDS).check_version()
    except ClusterMisconfigured as error:
        raise CommandError(str(error)) from None
    scheme = os.environ.get("STORE_SCHEME", "http")
    say(f"Stores are made with the rights of the current context of {path}.")
    if settings.CLUSTER_ROUTES_TRAFFIC:
        say(
            f"One is ready when {scheme}://<address>.{settings.STORE_DOMAIN} answers on this "
            "machine; where no ingress does that, set STOREYARD_CLUSTER_ROUTES_TRAFFIC=false."
        )
    return {"STORE_SCHEME": scheme, **kubernetes("kubeconfig", path)}


CLUSTERS: dict[str, Callable[[], dict[str, str]]] = {
    "simulated": simulated,
    "local": local,
    "kubeconfig": kubeconfig,
}


def kubernetes(kind: str, path: Path) -> dict[str, str]:
    return {
        "STOREYARD_CLUSTER": "kubernetes",
        "STOREYARD_KUBECONFIG": str(path.resolve()),
        **kept(f"{kind}-{fingerprint(path)}"),
    }


def fingerprint(path: Path) -> str:
    """Of the cluster that the current context names: stores of one are not sought in another."""
    try:
        config = yaml.safe_load(path.read_text())
        contexts = {entry["name"]: entry["context"] for entry in config["contexts"]}
        clusters = {entry["name"]: entry["cluster"] for entry in config["clusters"]}
        cluster = clusters[contexts[config["current-context"]]["cluster"]]
    except (yaml.YAMLError, KeyError, TypeError, OSError):
        raise CommandError(f"{path} is no kubeconfig with a current context.") from None
    return hashlib.sha256(json.dumps(cluster, sort_keys=True).encode()).hexdigest()[:8]


def kept(name: str) -> dict[str, str]:
    """The folder of this demo's data, and its secret key, made once."""
    folder = settings.RUN_DIR / f"demo-{name}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = folder / "secret-key"
    if not key.exists():
        with private(key) as file:
            file.write(secrets.token_urlsafe(50))
    return {"STOREYARD_RUN_DIR": str(folder), "SECRET_KEY": key.read_text()}


def second_factor() -> str:
    """Looking around needs none, unless that is what is to be seen."""
    return os.environ.get("STAFF_NEEDS_SECOND_FACTOR", "false")


def private(path: Path) -> TextIO:
    """A new file that only we can read."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")


def for_web(environment: dict[str, str]) -> dict[str, str]:
    """Without credentials for the cluster, and without a warning about files not collected."""
    hidden = ("KUBECONFIG", "STOREYARD_KUBECONFIG")
    seen = {name: value for name, value in environment.items() if name not in hidden}
    return {**seen, "PYTHONWARNINGS": "ignore:No directory at:UserWarning"}


# --- Setting up --------------------------------------------------------------------------


def free_port(text: str) -> int:
    """The port as a number, if nobody listens on it."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise CommandError(f"PORT is a number from 1 to 65535, not “{text}”.")
    port = int(text)
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                # Connections of an earlier run that are still closing do not count.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise CommandError(
                    f"Port {port} is not open to you: take one above 1023."
                ) from None
            if error.errno == errno.EADDRINUSE:
                raise CommandError(
                    f"Port {port} is taken{by_whom(port)}. Stop that, or take another port: "
                    f"make demo PORT={port + 1}"
                ) from None
    return port


def by_whom(port: int) -> str:
    """Program and process number, where the system lets us see them; else nothing."""
    listening = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            words = line.split()
            if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                listening.add(f"socket:[{words[9]}]")
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) in listening:
                process = link.parent.parent
                return f" by {(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return ""


def write_environment(own: dict[str, str]) -> Path:
    """For a shell that wants to run commands on the demo's data."""
    path = Path(own["STOREYARD_RUN_DIR"]) / "environment"
    with private(path) as file:
        file.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in own.items())
    return path


def set_up(port: int, kind: str, environment: dict[str, str], shell: Path) -> str:
    """The database and the logins. Returns what to say once the portal answers."""
    passwords = json.loads(run([*MANAGE, "demo_setup"], environment, read=True))
    return (
        f"\n  Storeyard is running:  http://localhost:{port}   (cluster: {kind})\n\n"
        f"    user  demo    password  {passwords['demo']}   owns stores\n"
        f"    user  staff   password  {passwords['staff']}   support team: "
        f"http://localhost:{port}/admin/\n\n"
        "  Letters are printed here. In production the support team needs a second factor; to see "
        "that:\n"
        "  STAFF_NEEDS_SECOND_FACTOR=true make demo\n\n"
        f"  In another terminal:  . {short(shell)} && {short(MANAGE[0])} manage.py list_stores\n"
        "  Ctrl-C stops it.\n"
    )


def short(path: Path | str) -> str:
    """As seen from where the person stands, unless that is longer."""
    return min(str(path), os.path.relpath(path), key=len)


def run(
    command: list[str], environment: dict[str, str] | None = None, *, read: bool = False
) -> str:
    """What it printed, if we are to read it and not people. Its failure is ours."""
    done = subprocess.run(
        command,
        env=environment,
        cwd=settings.BASE_DIR,
        text=True,
        check=False,
        stdout=subprocess.PIPE if read else None,
    )
    if done.returncode != 0:
        raise CommandError(f"“{' '.join(command[1:])}” failed.")
    return (done.stdout or "").strip()


def gunicorn(port: int) -> list[str]:
    # Its control socket would be one file for all demos of this user.
    return [
        *(sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", f"127.0.0.1:{port}"),
        *("--workers", "2", "--threads", "4", "--graceful-timeout", "3"),
        *("--log-level", "warning", "--no-control-socket"),
    ]


def answers(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://127.0.0.1:{port}/healthz", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


# --- Children ----------------------------------------------------------------------------


class Child:
    """One process of the platform, started again whenever it ends."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.name, self.command, self.environment = name, command, environment
        self.process: subprocess.Popen[bytes] | None = None
        self.started = self.due = 0.0
        self.pause = 0.5

    def look_after(self) -> None:
        now = time.monotonic()
        if self.process is None:
            if now >= self.due:
                self.start()
        elif self.ended():
            steady = now - self.started > STEADY_SECONDS
            self.pause = 1.0 if steady else min(self.pause * 2, LONGEST_PAUSE)
            self.due = now + self.pause
            code = self.clear_away()
            say(f"{self.name} ended (exit code {code}); started again in {self.pause:g} s.")

    def start(self) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [*dies_with_us(), *self.command],
            env=self.environment,
            cwd=settings.BASE_DIR,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def ended(self) -> bool:
        """Without collecting it: as long as nobody does, its number is not given to another."""
        if self.process is None:
            return True
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.process.pid, how) is not None

    def ask_to_stop(self) -> None:
        if self.process:
            os.kill(self.process.pid, signal.SIGTERM)

    def clear_away(self) -> int:
        """Kill what is left of its session: the web's workers outlive a parent that was killed."""
        assert self.process
        process, self.process = self.process, None
        os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def stop(children: list[Child]) -> None:
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline and not all(child.ended() for child in children):
        time.sleep(LOOK_SECONDS / 4)
    for child in children:
        if not child.ended():
            say(f"{child.name} did not end by itself within {STOP_SECONDS:g} s and was killed.")
        if child.process:
            child.clear_away()
