"""What can happen to a request on its way to the API server and back: the faults of a `Proxy`.

A fault is a function of one `Exchange`; without one a request is just passed on.
"""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from devcluster.proxy import Answer, Exchange

Fault = Callable[["Exchange"], None]
WRITES = "POST|PUT|PATCH|DELETE"
WATCH = "WATCH"
# What the API server calls them; clients look at these and not only at the number.
REASONS = {
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


def passed_on(exchange: "Exchange") -> None:
    exchange.relay()


def answered(status: int, *, retry_after: int | None = None, message: str = "") -> Fault:
    """Refused without being asked of the API server."""
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    content = status_object(status, message or f"a fault: {HTTPStatus(status).phrase}")

    def fault(exchange: "Exchange") -> None:
        exchange.answer(status, json.dumps(content).encode(), headers)

    return fault


def slowed(seconds: float) -> Fault:
    def fault(exchange: "Exchange") -> None:
        exchange.linger(seconds)
        exchange.relay()

    return fault


def swallowed(exchange: "Exchange") -> None:
    """A black hole: the connection stays open, nothing is asked and nothing answered."""
    exchange.linger(None)
    exchange.drop()


def answer_lost(exchange: "Exchange") -> None:
    """Done by the API server; whoever asked learns only that the connection broke."""
    exchange.forward()
    exchange.drop()


def watch_stalled(exchange: "Exchange") -> None:
    """The stream is opened and stays silent: no event, no bookmark, no end."""
    exchange.begin_stream(200, {"Content-Type": "application/json"})
    exchange.linger(None)
    exchange.drop()


def watch_expired(exchange: "Exchange") -> None:
    """Accepted, and ended by an event that says: what you ask for is too long ago."""
    event = {"type": "ERROR", "object": status_object(410, "too old resource version")}
    exchange.begin_stream(200, {"Content-Type": "application/json"})
    exchange.stream(json.dumps(event).encode() + b"\n")
    exchange.end_stream()


def stale() -> Fault:
    """Every answer is the one that was given the first time to that very path: a cache's past."""
    known: dict[str, Answer] = {}
    lock = threading.Lock()

    def fault(exchange: "Exchange") -> None:
        path = exchange.request_seen.path
        with lock:
            if path not in known:
                known[path] = exchange.forward()
        exchange.give(known[path])

    return fault


def status_object(status: int, message: str) -> dict[str, object]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": REASONS.get(status, ""),
        "code": status,
    }
