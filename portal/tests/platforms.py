"""The whole platform as processes, for tests that look at it from outside: web, worker and watcher.

Each has a folder, a database and a port of its own. A test says what should be there through its
console: a Django process that stays, because starting one costs more than most of what is asked.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from stores.tests.people import PASSWORD

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
# The session is one that Django itself begins: what a login does is done.
NEW_PERSON = """
import json
from django.apps import apps
from django.conf import settings
from django.test import Client
from portal.tests.conftest import just_proved
from stores.models import User
name = {name!r}
person = User.objects.create_user(name, name + "@example.com", {password!r}, **{fields!r})
if apps.is_installed("allauth.account"):
    person.emailaddress_set.create(email=person.email, primary=True, verified=True)
{more}
client = Client()
client.force_login(person)
session = client.session
session.update(just_proved(person))
session.save()
print(client.cookies[settings.SESSION_COOKIE_NAME].value)
"""
TO_SUPPORT = """
from django.contrib.auth.models import Group
from stores.apps import SUPPORT
person.groups.add(Group.objects.get(name=SUPPORT))
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
        """A new one with a session; their name gets a number: tests share the platform."""
        support = fields.pop("support", False)
        if support:
            fields |= {"is_staff": True, "max_stores": 0}
        name = f"{name}{self.shell('from stores.models import User; print(User.objects.count())')}"
        code = NEW_PERSON.format(
            name=name, password=PASSWORD, fields={"max_stores": 5} | fields,
            more=TO_SUPPORT if support else "",
        )  # fmt: skip
        return Person(name, self.shell(code))


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
    env, port = environment(folder, **more), free_port()
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
        platform = Platform(f"http://127.0.0.1:{port}", env, folder, console)
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
