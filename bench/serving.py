"""The web process as in service: gunicorn with two workers, production's settings, static files collected."""

from __future__ import annotations

import http.client
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from bench.children import Child
from bench.errors import BenchError
from portal.tests.postgres import free_port

WORKERS, THREADS = 2, 8
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Web:
    port: int
    child: Child

    def cpu(self) -> float:
        return self.child.cpu().total


def production(folder: Path) -> dict[str, str]:
    """But for TLS, which a proxy in front would end."""
    return {
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "PRODUCTION": "true",
        "SECRET_KEY": "benchmark-" + "0123456789abcdef" * 4,
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "SECURE_SSL_REDIRECT": "false",
        "SECURE_HSTS_SECONDS": "0",
        "STOREYARD_CLUSTER": "kubernetes",
        "STOREYARD_RUN_DIR": str(folder),
        "STATIC_ROOT": str(folder / "static"),
        # Nobody beats here: what was seen once stays seen.
        "UNKNOWN_SECONDS": "86400",
        "WORKER_SILENT_SECONDS": "86400",
        "LOG_LEVEL": "WARNING",
    }


@contextmanager
def web(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Web]:
    """With the settings of this process' environment."""
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", f"127.0.0.1:{port}",
        "--workers", str(WORKERS), "--threads", str(THREADS), "--chdir", str(settings.BASE_DIR),
        "--no-control-socket",
    ]  # fmt: skip
    child = Child.start(command, folder / "web.log", environment or os.environ)
    try:
        wait_until_it_answers(port, child)
        yield Web(port, child)
    finally:
        child.stop()


def wait_until_it_answers(port: int, child: Child) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answers(port):
        if child.process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"gunicorn did not start: {child.log.read_text()[-800:]}")
        time.sleep(0.1)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
