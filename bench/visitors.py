"""People at their browsers, in as many threads: they ask in time, or as fast as they are answered."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.conf import settings
from django.test import Client

from stores.models import User

HEADERS = {"Accept-Encoding": "gzip, br", "Accept-Language": "en"}
CONNECTIONS = 8


@dataclass(frozen=True)
class Ask:
    """What one visitor asks for: an address with a cookie, and the answer's number that is right."""

    path: str
    cookie: str
    right: int = 200


@dataclass
class Answers:
    """``milliseconds`` of the right ones; ``wrong``: the numbers of the others."""

    milliseconds: list[float] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, status: int, took: float, right: Sequence[int] = (200, 204)) -> None:
        if status in right:
            self.milliseconds.append(took)
        else:
            self.wrong.append(status)

    @property
    def rate(self) -> float:
        return len(self.milliseconds) / self.seconds


def cookie_of(user: User) -> str:
    """Logged in, as after the form."""
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return f"{name}={client.cookies[name].value}"


class Visitor:
    """A connection that is kept."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def ask(self, ask: Ask) -> tuple[int, bytes]:
        headers = {**HEADERS, "Cookie": ask.cookie, "HX-Request": "true"}
        try:
            self.connection.request("GET", ask.path, headers=headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # The server closes a connection that was idle: a browser asks once more too.
            self.connection.close()
            self.connection.request("GET", ask.path, headers=headers)
            answer = self.connection.getresponse()
            return answer.status, answer.read()


def in_time(port: int, asks: Sequence[Ask], rate: float, seconds: float) -> Answers:
    """So many a second, whether those before were answered or not; a late start counts as waiting."""
    began = time.monotonic() + 0.2
    turns = itertools.count()
    lock = threading.Lock()

    def next_turn() -> float | None:
        with lock:
            turn = next(turns) / rate
        return began + turn if turn < seconds else None

    return crowd(port, asks, next_turn, CONNECTIONS)


def at_once(port: int, asks: Sequence[Ask], seconds: float, connections: int = 4) -> Answers:
    """As fast as they are answered."""
    ends = time.monotonic() + seconds

    def next_turn() -> float | None:
        now = time.monotonic()
        return now if now < ends else None

    return crowd(port, asks, next_turn, connections)


def crowd(
    port: int, asks: Sequence[Ask], next_turn: Callable[[], float | None], connections: int
) -> Answers:
    found, whose = Answers(), itertools.cycle(asks)
    lock = threading.Lock()

    def visit() -> None:
        visitor = Visitor(port)
        while (turn := next_turn()) is not None:
            time.sleep(max(turn - time.monotonic(), 0))
            with lock:
                ask = next(whose)
            status, _ = visitor.ask(ask)
            took = (time.monotonic() - turn) * 1000
            with lock:
                found.note(status, took, (ask.right,))

    began = time.monotonic()
    threads = [threading.Thread(target=visit, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found.seconds = time.monotonic() - began
    return found
