"""`make demo`, as a newcomer meets it: a program that is started, used and stopped."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from threading import Thread

import pytest
from django.conf import settings
from django.core.management.base import CommandError

from portal.management.commands.demo import free_port as free

pytestmark = pytest.mark.slow
MANAGE = [sys.executable, "manage.py"]


@dataclass
class Demo:
    process: subprocess.Popen[str]
    port: int
    folder: Path
    lines: list[str] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def password(self, name: str) -> str:
        found = re.search(rf"user\s+{name}\s+password\s+(\S+)", self.said)
        assert found, self.said
        return found[1]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(30)

    def processes(self) -> dict[int, str]:
        """Everything that was started with this demo's folder: number and command line."""
        mine = f"STOREYARD_RUN_DIR={self.folder}".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if mine in (process / "environ").read_bytes():
                    words = (process / "cmdline").read_bytes().split(b"\0")
                    found[int(process.name)] = b" ".join(words).decode()
            except OSError:
                continue
        return found

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """As a person does in another terminal, with what the demo printed."""
        line = ". {} && exec {} manage.py {}".format(
            shlex.quote(str(self.folder / "demo-simulated" / "environment")),
            shlex.quote(sys.executable), shlex.join(words),
        )  # fmt: skip
        return subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, cwd=settings.BASE_DIR, check=False,
            env=clean_environment(), timeout=120,
        )  # fmt: skip


def manage(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MANAGE, *words], capture_output=True, text=True, cwd=settings.BASE_DIR, check=False,
        env=clean_environment() | environment, timeout=120,
    )  # fmt: skip


def clean_environment() -> dict[str, str]:
    """Ours without what would make another database or cluster of it."""
    ours = ("STOREYARD_", "STORE_", "DATABASE_URL", "PRODUCTION", "KUBECONFIG")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(ask: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@contextmanager
def running(folder: Path) -> Iterator[Demo]:
    port = free_port()
    process = subprocess.Popen(
        [*MANAGE, "demo", "--port", str(port)], cwd=settings.BASE_DIR, text=True,
        env={**clean_environment(), "STOREYARD_RUN_DIR": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    demo = Demo(process, port, folder)
    Thread(target=demo.read, daemon=True).start()
    try:
        eventually(lambda: "Ctrl-C stops it" in demo.said or process.poll() is not None)
        assert process.poll() is None, demo.said
        yield demo
    finally:
        if process.poll() is None:
            demo.stop()


class Browser:
    def __init__(self, demo: Demo) -> None:
        self.address, self.cookies = f"http://127.0.0.1:{demo.port}", CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def get(self, path: str) -> str:
        return str(self.opener.open(self.address + path, timeout=20).read().decode())

    def log_in(self, name: str, password: str) -> str:
        self.get("/account/login/")
        token = next(cookie.value for cookie in self.cookies if cookie.name == "csrftoken")
        fields = {"login": name, "password": password, "csrfmiddlewaretoken": token}
        data = urllib.parse.urlencode(fields).encode()
        with self.opener.open(self.address + "/account/login/", data, timeout=20) as answer:
            return str(answer.geturl())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running(tmp_path_factory.mktemp("run")) as demo:
        yield demo


def test_it_says_where_it_is(demo: Demo) -> None:
    assert f"http://localhost:{demo.port} " in demo.said


def test_the_owner_lands_at_the_stores(demo: Demo) -> None:
    assert Browser(demo).log_in("demo", demo.password("demo")).endswith("/stores/")


def test_staff_can_use_the_admin(demo: Demo) -> None:
    browser = Browser(demo)
    browser.log_in("staff", demo.password("staff"))
    assert "admin" in browser.get("/admin/")


def test_the_owner_cannot_use_the_admin(demo: Demo) -> None:
    browser = Browser(demo)
    browser.log_in("demo", demo.password("demo"))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        browser.get("/admin/")


def test_a_wrong_password_stays_at_the_door(demo: Demo) -> None:
    assert Browser(demo).log_in("demo", "wrong").endswith("/account/login/")


def test_its_files_are_styled(demo: Demo) -> None:
    """DEBUG is off, and nobody collected them."""
    page = Browser(demo).get("/account/login/")
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        assert Browser(demo).get(path)


def test_secrets_are_for_nobody_else(demo: Demo) -> None:
    for name in ("secret-key", "logins.json", "environment"):
        assert (demo.folder / "demo-simulated" / name).stat().st_mode & 0o077 == 0


def test_a_store_is_made_and_removed_from_the_command_line(demo: Demo) -> None:
    made = demo.manage(
        "create_store", "--owner", "demo", "--name", "Anna’s", "--wait", "--timeout", "60", "--json"
    )
    assert made.returncode == 0, made.stderr
    store = json.loads(made.stdout)
    assert (store["status"], store["name"]) == ("ready", "Anna’s")
    gone = demo.manage("delete_store", store["id"], "--now", "--wait", "--timeout", "60")
    assert (gone.returncode, gone.stdout.split()) == (0, [store["id"], "deleted"])
    assert demo.manage("verify_audit").returncode == 0


def test_waiting_for_a_store_that_fails_is_no_success(demo: Demo) -> None:
    made = demo.manage(
        "create_store", "--owner", "demo", "--name", "setup-fails", "--wait", "--timeout", "60"
    )
    assert made.returncode == 1
    assert " failed " in made.stdout
    assert len(made.stderr.strip().splitlines()) == 1
    assert "setup" in made.stderr.lower()


@pytest.mark.parametrize(
    ("name", "program"),
    [("web", "gunicorn"), ("worker", "run_worker"), ("watcher", "watch_cluster")],
)
def test_a_child_that_is_killed_is_started_again(demo: Demo, name: str, program: str) -> None:
    of_child = [pid for pid, words in demo.processes().items() if program in words]
    parent = next(pid for pid in of_child if parent_of(pid) == demo.process.pid)
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: f"{name} ended (exit code -9)" in demo.said)

    def replaced() -> bool:
        alive = {pid for pid, words in demo.processes().items() if program in words}
        return bool(alive) and not alive & set(of_child)

    eventually(replaced)
    eventually(lambda: answers(demo))


def answers(demo: Demo) -> bool:
    try:
        return Browser(demo).get("/healthz") == "ok\n"
    except urllib.error.URLError:
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_within_seconds_and_keeps_its_data(tmp_path: Path, how: signal.Signals) -> None:
    with running(tmp_path) as demo:
        password = demo.password("demo")
        assert len(demo.processes()) > 5
        began = time.monotonic()
        assert demo.stop(how) == 0, demo.said
        assert time.monotonic() - began < 12
        assert demo.processes() == {}
    if how == signal.SIGTERM:
        with running(tmp_path) as again:
            assert again.password("demo") == password
            assert Browser(again).log_in("demo", password).endswith("/stores/")


def refused(*words: str, **environment: str) -> str:
    """The one line on standard error."""
    done = manage("demo", *words, **environment)
    assert done.returncode == 1
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_taken_port_is_named_and_by_whom(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = refused("--port", str(port), STOREYARD_RUN_DIR=str(tmp_path))
    assert f"Port {port} is taken by " in said
    assert f"(process {os.getpid()})" in said
    assert list(tmp_path.glob("demo-*")) == [], "nothing was started"


@pytest.mark.parametrize("port", ["", "http", "0", "70000", "-1", "²"])
def test_a_port_is_a_number(port: str) -> None:
    with pytest.raises(CommandError, match=f"PORT is a number from 1 to 65535, not “{port}”."):
        free(port)


def test_an_unknown_cluster_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    said = refused("--cluster", "moon", STOREYARD_RUN_DIR=str(tmp_path))
    assert "one of simulated, local, kubeconfig, not “moon”" in said


def test_it_does_not_run_in_production(tmp_path: Path) -> None:
    production = {"SECRET_KEY": "x" * 50, "ALLOWED_HOSTS": "a.example", "PRODUCTION": "true"}
    assert "production" in refused(
        **production, STOREYARD_CLUSTER="simulated", STOREYARD_RUN_DIR=str(tmp_path)
    )


def on_kubeconfig(tmp_path: Path, **environment: str) -> str:
    return refused(
        "--cluster", "kubeconfig", "--port", str(free_port()),
        STOREYARD_RUN_DIR=str(tmp_path / "run"), **environment,
    )  # fmt: skip


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    said = on_kubeconfig(tmp_path, KUBECONFIG=str(tmp_path / "none"))
    assert f"There is no file {tmp_path / 'none'}" in said


def test_a_missing_helm_is_named(tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    said = on_kubeconfig(tmp_path, KUBECONFIG=str(tmp_path / "config"), STOREYARD_HELM="no-helm")
    assert "Helm was not found as “no-helm”" in said
