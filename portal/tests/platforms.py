"""The whole platform as processes, for tests that look at it from outside: web, worker and watcher.

Each has a folder, a database and a port of its own. A test says what should be there through its
console: a Django process that stays, because starting one costs more than most of what is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from django.conf import settings

MANAGE = [sys.executable, "manage.py"]
# Reads code as lines of JSON, and answers each with what it printed.
CONSOLE = """
import contextlib, io, json, sys, traceback
from django.db import close_old_connections
names = {}
for line in sys.stdin:
    said, failed = io.StringIO(), ""
    close_old_connections()
    try:
        with contextlib.redirect_stdout(said):
            exec(json.loads(line), names)
    except Exception:
        failed = traceback.format_exc()
    print(json.dumps([said.getvalue(), failed]), flush=True)
"""
HOW_MANY = """
from stores.models import User
print(User.objects.filter(username__startswith={name!r}).count())
"""
NEW_PERSON = """
from portal.tests import situations
print(situations.session_of(situations.person({name!r}, **{fields!r})))
"""


class Console:
    """A Django process on the platform's database that does what it is told, and then the next."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [*MANAGE, "shell", "--no-imports", "-c", CONSOLE],
            env=environment, cwd=settings.BASE_DIR, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, code: str) -> str:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(code) + "\n")
        self.process.stdin.flush()
        said, failed = json.loads(self.process.stdout.readline())
        assert not failed, failed
        return str(said).strip()

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)


@dataclass(frozen=True)
class Person:
    name: str
    session: str

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"


@dataclass(frozen=True)
class Platform:
    url: str
    environment: dict[str, str]
    folder: Path
    shell: Console

    def person(self, name: str, **fields: Any) -> Person:
        """A new one, just logged in. Tests share the platform: a second alice is called alice1."""
        known = self.shell(HOW_MANY.format(name=name)).removeprefix("0")
        code = NEW_PERSON.format(name=name + known, fields={"max_stores": 5} | fields)
        return Person(name + known, self.shell(code))

    def letters(self, address: str) -> list[str]:
        """What was written to ``address``, the newest last."""
        files = sorted((self.folder / "post").glob("*"), key=lambda file: file.stat().st_mtime)
        found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
        return [one.get_content() for one in found if address in one["To"]]

    def link_to(self, address: str, part: str) -> str:
        """The address in the newest letter to ``address`` that has ``part`` in it, once it is there."""
        links: list[str] = []

        def came() -> bool:
            for letter in self.letters(address):
                links.extend(re.findall(rf"http\S*{part}\S*", letter))
            return bool(links)

        until(came)
        return links[-1]


def environment(folder: Path, **more: str) -> dict[str, str]:
    ours = ("STOREYARD_", "STORE_", "DATABASE_URL", "PRODUCTION", "KUBECONFIG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "STOREYARD_RUN_DIR": str(folder), "DEBUG": "false", **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """Runs as long as the block; stopped by its own number, and what it started with it."""
    with log.open("w") as output:
        child = subprocess.Popen(
            command, env=env, cwd=settings.BASE_DIR, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Its session is its own. Nothing may be left of it.
        if child.poll() is None or any_left(child.pid):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def any_left(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def running(folder: Path, *, still: bool = False, **more: str) -> Iterator[Platform]:
    """``still``: only the web process, so that rows stay as a test put them."""
    port = free_port()
    # Not by number: a passkey belongs to a name.
    url = f"http://localhost:{port}"
    post = {"EMAIL_URL": f"file:///{folder}/post", "PORTAL_URL": url}
    env = environment(folder, **post, **more)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([*MANAGE, "migrate", "-v0"], env=env, cwd=settings.BASE_DIR, check=True)
    gunicorn = [sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", f"127.0.0.1:{port}"]
    commands = {"web": [*gunicorn, "--threads", "8", "--no-control-socket"]}
    if not still:
        commands |= {"worker": [*MANAGE, "run_worker"], "watcher": [*MANAGE, "watch_cluster"]}
    with ExitStack() as stack:
        for name, command in commands.items():
            stack.enter_context(process(command, env, folder / f"{name}.log"))
        console = stack.enter_context(contextlib.closing(Console(env)))
        platform = Platform(url, env, folder, console)
        until(lambda: answers(platform.url + "/healthz"))
        yield platform


def answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return bool(direct.open(url, timeout=2).status == 200)
    except OSError:
        return False


def until(ask: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
