"""A PostgreSQL server of one's own for as long as a command runs.

    python -m portal.tests.postgres -- pytest ...

runs the command with DATABASE_URL naming the server and ends with its exit code. Everything lies
in a temporary folder; a server that runs on this machine anyway is not touched.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HOW = "Debian: apt-get install postgresql"
# Nothing here outlives the tests.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


def programs() -> Path | None:
    """The folder with initdb and postgres, the newest if there are several."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: int(re.sub(r"\D", "", path.parent.parent.name) or 0),
    )
    on_path = shutil.which("initdb")
    if not found and on_path:
        found = [Path(on_path).resolve()]
    return found[-1].parent if found else None


class Server:
    """One that can be stopped and started again, with its data, on its port."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root = folder, root
        password = secrets.token_hex(16)
        (root / "password").write_text(password)
        self.as_user = unprivileged(root)
        self.port = free_port()
        self.url = f"postgres://storeyard:{password}@127.0.0.1:{self.port}/postgres"
        self.process: subprocess.Popen[bytes] | None = None
        subprocess.run(
            [*self.as_user, str(folder / "initdb"), "--pgdata", str(root / "data"),
             "--username", "storeyard", "--pwfile", str(root / "password"),
             "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"],
            check=True, stdout=subprocess.DEVNULL, cwd=root,
        )  # fmt: skip

    def start(self) -> None:
        log = self.root / "log"
        settings = (*FAST, f"port={self.port}", "listen_addresses=127.0.0.1",
                    f"unix_socket_directories={self.root}")  # fmt: skip
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.as_user, str(self.folder / "postgres"), "-D", str(self.root / "data")]
                + [word for setting in settings for word in ("-c", setting)],
                stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=self.root,
                start_new_session=True,
            )  # fmt: skip
        wait_until_ready(self.process, self.folder, self.port, log)

    def stop(self) -> None:
        """The fast way of PostgreSQL: sessions are ended, the server goes in order."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


@contextlib.contextmanager
def running() -> Iterator[Server]:
    folder = programs()
    if folder is None:
        raise FileNotFoundError(f"PostgreSQL's programs are not installed. {HOW}")
    root = Path(tempfile.mkdtemp(prefix="storeyard-postgres-"))
    try:
        server = Server(folder, root)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Yields its DATABASE_URL."""
    with running() as one:
        yield one.url


def unprivileged(root: Path) -> list[str]:
    """How to start a program that refuses to run as root; the folder becomes that user's."""
    if os.geteuid() != 0:
        return []
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    for path in (root, *root.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)
    ids = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return ["setpriv", *ids, "--"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(
    process: subprocess.Popen[bytes], folder: Path, port: int, log: Path, seconds: float = 30
) -> None:
    ask = [str(folder / "pg_isready"), "--quiet", "--host=127.0.0.1", f"--port={port}"]
    deadline = time.monotonic() + seconds
    while subprocess.run(ask, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.1)


def main() -> int:
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    if not command:
        print(__doc__, file=sys.stderr)
        return 2
    if programs() is None:
        print(f"PostgreSQL's programs are not installed. {HOW}", file=sys.stderr)
        return 1
    # SIGTERM ends us as Ctrl-C does: through the finally clauses.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with server() as url:
        try:
            return subprocess.run(
                command, env={**os.environ, "DATABASE_URL": url}, check=False
            ).returncode
        except KeyboardInterrupt:
            return 130


if __name__ == "__main__":
    sys.exit(main())
