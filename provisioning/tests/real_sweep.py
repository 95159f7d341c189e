"""kill -9 right after the kth write: one worker dies there, a fresh one goes on, for every k.

All writes of a store carry its namespace in their path, those of Helm too, and all of them come by the
fault proxy, which kills before it passes the answer on.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import pytest

from devcluster import Proxy, Request
from devcluster.proxy import Rule
from provisioning.tests.real_checks import passwords
from provisioning.tests.real_platform import Platform
from stores.models import Store

KILLED = -9
TURN_SECONDS = 120.0


@dataclass
class Turn:
    """One store whose worker is to die after its kth write; 0: nobody dies."""

    store: Store
    k: int = 0
    codes: list[int] = field(default_factory=list)
    # As they were when the worker died, or before the work began.
    passwords: dict[str, dict[str, str]] = field(default_factory=dict)
    death: Request | None = None
    rule: Rule | None = None
    pid: int = 0
    seconds: float = 0.0

    @property
    def name(self) -> str:
        where = f"{self.death.verb} {self.death.path}" if self.death else "undisturbed"
        return f"k={self.k} ({where.replace(self.store.namespace, 'NAMESPACE')})"


class Workers:
    """Forks of one preloaded program, several side by side; they meet the cluster by the proxy."""

    def __init__(self, platform: Platform, proxy: Proxy) -> None:
        self.platform, self.proxy = platform, proxy
        self.pipe, self.file = platform.folder / "orders", platform.folder / "reports"
        os.mkfifo(self.pipe, 0o600)
        self.file.touch()
        self.read = 0
        self.process = platform.start(
            "-m", "provisioning.tests.real_forked_worker", str(self.pipe), str(self.file),
            log="workers", STOREYARD_KUBECONFIG=proxy.kubeconfig,
        )  # fmt: skip
        self.orders = os.open(self.pipe, os.O_RDWR)

    def run(self, turns: Iterable[Callable[[], Turn]], at_once: int) -> list[Turn]:
        """All of them, ``at_once`` side by side; a turn begins when it is called for."""
        waiting, going, over = list(turns), {}, []
        while waiting or going:
            while waiting and len(going) < at_once:
                turn = waiting.pop(0)()
                going[str(turn.store.pk)] = turn
                self.begin(turn)
            for report in self.reports():
                if self.take(going[report["store"]], report):
                    over.append(going.pop(report["store"]))
            self.check(going)
            time.sleep(0.02)
        return over

    def begin(self, turn: Turn) -> None:
        turn.seconds = time.monotonic()
        if turn.k:
            turn.rule = self.proxy.after_answer(
                lambda request: self.kill(turn, request), path=turn.store.namespace, nth=turn.k
            )
        self.order(turn)

    def order(self, turn: Turn) -> None:
        turn.pid = 0
        os.write(self.orders, f"{turn.store.pk}\n".encode())

    def take(self, turn: Turn, report: dict) -> bool:
        """Whether the turn is over: a worker came to an end that was not its death."""
        if "pid" in report:
            turn.pid = report["pid"]
            return False
        turn.codes.append(report["code"])
        if report["code"] == KILLED and len(turn.codes) == 1:
            self.order(turn)
            return False
        if turn.rule:
            self.proxy.remove(turn.rule)
        turn.seconds = time.monotonic() - turn.seconds
        turn.store.refresh_from_db()
        return True

    def kill(self, turn: Turn, request: Request) -> None:
        """In the proxy's thread; the answer is passed on when the worker is dead."""
        while not turn.pid:  # it may write before we have read that it has begun
            time.sleep(0.005)
        turn.death = request
        handle = os.pidfd_open(turn.pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], 10)
        finally:
            os.close(handle)
        turn.passwords = turn.passwords or passwords(self.platform.admin, turn.store)

    def reports(self) -> list[dict]:
        with self.file.open() as file:
            file.seek(self.read)
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        self.read += len(whole)
        return [json.loads(line) for line in whole.splitlines()]

    def check(self, going: dict[str, Turn]) -> None:
        if self.process.ended:
            pytest.fail(f"the workers ended: {self.process.said[-3000:]}")
        for turn in going.values():
            if time.monotonic() > turn.seconds + TURN_SECONDS:
                pytest.fail(f"{turn.name} did not end: {turn.codes}, {turn.store.status}")
