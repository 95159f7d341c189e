"""A proxy in front of the API server that does to requests what rules say.

It speaks HTTP/1.1 over TLS with the API server's own certificate, passes bearer tokens through and
streams watches. It runs in threads of this process, so a rule can call any function of a test.
"""

import contextlib
import http.client
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import yaml

from devcluster.faults import WATCH, WRITES, Fault, passed_on
from devcluster.identity import write_kubeconfig

# They belong to one connection; this proxy has two.
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "upgrade"}


@dataclass
class Request:
    """One that came by. `verb` is WATCH for a watch; `status` is 0 while there is no answer."""

    verb: str
    path: str
    agent: str = ""
    status: int = 0

    @property
    def written(self) -> bool:
        """Something may be different in the cluster because of it."""
        return re.fullmatch(WRITES, self.verb) is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Rule:
    """Concerns requests by verb (whole) and path with query (anywhere), both regular expressions.

    With `nth` only the nth of those, counted from 1 since the rule was made, else every one.
    """

    what: Callable[[Any], None]
    verb: str = ".*"
    path: str = ""
    nth: int | None = None
    seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def takes(self, request: Request) -> bool:
        if not re.fullmatch(self.verb, request.verb) or not re.search(self.path, request.path):
            return False
        with self._lock:
            self.seen += 1
            return self.nth is None or self.seen == self.nth


class Proxy:
    """`kubeconfig` is a copy of another one, with this proxy as its server."""

    def __init__(self, server: str, identities: Path, kubeconfig: Path, original: Path) -> None:
        self.upstream = urlsplit(server)
        self.tls = ssl.create_default_context(cafile=str(identities / "ca.crt"))
        self.requests: list[Request] = []
        self.closed = threading.Event()
        self._rules: list[Rule] = []
        self._callbacks: list[Rule] = []
        self._exchanges: set[Exchange] = set()
        self._lock = threading.Lock()
        self._listener = _Listener(("127.0.0.1", 0), self._exchange)
        self._listener.socket = _server_side(identities).wrap_socket(
            # The handshake is for the connection's own thread, not for the one that accepts.
            self._listener.socket, server_side=True, do_handshake_on_connect=False
        )  # fmt: skip
        self.server = f"https://127.0.0.1:{self._listener.server_port}"
        self.kubeconfig = kubeconfig
        user = yaml.safe_load(original.read_text())["users"][0]["user"]
        write_kubeconfig(kubeconfig, self.server, identities / "ca.crt", user)
        self._thread = threading.Thread(
            target=self._listener.serve_forever, args=[0.1], daemon=True, name="fault-proxy"
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.closed.set()
        self._listener.shutdown()
        self._listener.server_close()
        self.cut()

    # --- Rules ---------------------------------------------------------------------------

    def rule(
        self, fault: Fault, *, verb: str = ".*", path: str = "", nth: int | None = None
    ) -> Rule:
        """From now on; where several rules take a request, the newest one decides."""
        rule = Rule(fault, verb, path, nth)
        with self._lock:
            self._rules.insert(0, rule)
        return rule

    def after_answer(
        self, call: Callable[[Request], None], *, verb: str = WRITES, path: str = "",
        nth: int | None = None,
    ) -> Rule:  # fmt: skip
        """Call when the API server has done (2xx) what was asked, before who asked learns of it."""
        rule = Rule(call, verb, path, nth)
        with self._lock:
            self._callbacks.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        with self._lock:
            for rules in (self._rules, self._callbacks):
                if rule in rules:
                    rules.remove(rule)

    @contextlib.contextmanager
    def ruled(self, fault: Fault, **where: Any) -> Iterator[Rule]:
        """A rule for as long as the block runs."""
        rule = self.rule(fault, **where)
        try:
            yield rule
        finally:
            self.remove(rule)

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()
            self._callbacks.clear()

    def cut(self) -> None:
        """Break every connection there is, watches included."""
        with self._lock:
            exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.cut()

    # --- What came by --------------------------------------------------------------------

    def seen(self, *, verb: str = ".*", path: str = "") -> list[Request]:
        with self._lock:
            requests = list(self.requests)
        rule = Rule(print, verb, path)
        return [request for request in requests if rule.takes(request)]

    def writes(self, path: str = "") -> list[Request]:
        """What was really done, in order."""
        return [request for request in self.seen(verb=WRITES, path=path) if request.written]

    # --- For the exchanges ---------------------------------------------------------------

    def fault_for(self, request: Request) -> Fault:
        with self._lock:
            self.requests.append(request)
            rules = list(self._rules)
        # All of them count, also those that an other one outdoes.
        taking = [rule for rule in rules if rule.takes(request)]
        return taking[0].what if taking else passed_on

    def answered(self, request: Request) -> None:
        with self._lock:
            callbacks = list(self._callbacks)
        if 200 <= request.status < 300:
            for callback in callbacks:
                if callback.takes(request):
                    callback.what(request)

    def _exchange(self, *arguments: Any) -> "Exchange":
        return Exchange(self, *arguments)

    def opened(self, exchange: "Exchange") -> None:
        with self._lock:
            self._exchanges.add(exchange)

    def ended(self, exchange: "Exchange") -> None:
        with self._lock:
            self._exchanges.discard(exchange)


class Exchange(BaseHTTPRequestHandler):
    """One connection of a client, with one of its own to the API server, request by request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # Head and body in one packet.
    request_seen: Request

    def __init__(self, proxy: Proxy, *arguments: Any) -> None:
        self.proxy = proxy
        self._body = b""
        self._upstream = http.client.HTTPSConnection(
            proxy.upstream.hostname or "", proxy.upstream.port, context=proxy.tls
        )
        super().__init__(*arguments)

    def handle(self) -> None:
        self.proxy.opened(self)
        try:
            super().handle()
        finally:
            self.proxy.ended(self)
            self._upstream.close()

    def serve(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        watch = "watch=true" in self.path or "watch=1" in self.path
        verb = WATCH if watch and self.command == "GET" else self.command
        self.request_seen = Request(verb, self.path, self.headers.get("User-Agent", ""))
        try:
            self.proxy.fault_for(self.request_seen)(self)
        except (OSError, http.client.HTTPException, ValueError):
            # Whichever side went away: the other one is told by the same.
            self.drop()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

    def relay(self) -> None:
        """Pass it on and pass the answer back, piece by piece where it is a stream."""
        if self.request_seen.verb != WATCH and "follow=true" not in self.path:
            return self.give(self.forward())
        response = self._ask()
        self.begin_stream(response.status, dict(response.getheaders()))
        while piece := response.read1(65536):
            self.stream(piece)
        self.end_stream()

    def forward(self) -> Answer:
        response = self._ask()
        answer = Answer(response.status, dict(response.getheaders()), response.read())
        self.proxy.answered(self.request_seen)
        return answer

    def _ask(self) -> http.client.HTTPResponse:
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP
        }
        self._upstream.request(self.command, self.path, self._body or None, headers)
        response = self._upstream.getresponse()
        self.request_seen.status = response.status
        return response

    def give(self, answer: Answer) -> None:
        self.answer(answer.status, answer.body, answer.headers)

    def answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.request_seen.status = status
        self._head(status, {"Content-Type": "application/json", **headers})
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def begin_stream(self, status: int, headers: Mapping[str, str]) -> None:
        self.request_seen.status = status
        self._head(status, headers)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def stream(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.flush()

    def end_stream(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)

    def linger(self, seconds: float | None) -> None:
        """Do nothing for so long, or until the proxy is closed."""
        self.proxy.closed.wait(seconds)

    def drop(self) -> None:
        self.close_connection = True

    def cut(self) -> None:
        """Called by another thread: whatever this one waits for ends in an error."""
        # There is no connection to the API server before something was asked of it.
        for end in filter(None, (self.connection, self._upstream.sock)):
            with contextlib.suppress(OSError, AttributeError):
                # Of the socket below TLS: a goodbye would wait for whoever is busy with it.
                socket.socket.shutdown(end, socket.SHUT_RDWR)

    def log_message(self, *arguments: Any) -> None:
        """Requests are kept, not printed."""


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle of a handshake is nothing to report."""


def _server_side(identities: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identities / "apiserver.crt", identities / "apiserver.key")
    return context
