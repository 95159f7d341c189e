"""What each page costs: queries, time at a bounded rate, CPU, and how many a second there can be."""

from __future__ import annotations

import argparse
import gzip
import html
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from bench.errors import BenchError
from bench.latency import percentile
from bench.populace import Populace, some_of
from bench.serving import Web, web
from bench.visitors import Answers, Ask, Visitor, at_once, cookie_of, in_time
from bench.wire import first_and_second
from stores.models import Store

PEOPLE = 40
# The highest rates are measured in turns, so that a busy moment hits both.
ROUNDS, ROUND_SECONDS = 3, 3.0
FRAGMENT, PAGE = "fragment of a store, no news", "page of a store"
LIVE = re.compile(r'data-live[^>]*?hx-get="([^"]+)"')


@dataclass(frozen=True)
class Page:
    """``cpu``: milliseconds of the web processes for each."""

    name: str
    queries: int
    p50: float
    p95: float
    cpu: float
    asked: int


@dataclass
class Figures:
    stores: int
    pages: list[Page] = field(default_factory=list)
    # The highest rates, requests a second.
    fragment_rate: float = 0
    page_rate: float = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def measure(folder: Path, populace: Populace, arguments: argparse.Namespace) -> Figures:
    found = Figures(len(populace.stores))
    with web(folder) as server:
        asks = asks_of(server.port, some_of(populace, PEOPLE))
        for name, some in asks.items():
            warm_up(server, some)
            found.pages.append(measure_page(server, name, some, arguments))
        found.fragment_rate, found.page_rate = highest(server.port, asks[FRAGMENT], asks[PAGE])
    return found


def asks_of(port: int, stores: Sequence[Store]) -> dict[str, list[Ask]]:
    """For each kind of page what its visitors ask for: all of them owners, each with a store."""
    asks: dict[str, list[Ask]] = {}
    visitor = Visitor(port)
    for store in stores:
        cookie = cookie_of(store.owner)
        live, rows = (
            live_part(visitor, Ask(path, cookie))
            for path in (store.get_absolute_url(), reverse("store-list"))
        )
        # The history has been sent already, as to every open page.
        changed = re.sub(r"version=[^-&]*", "version=older", live)
        history = reverse("store-history", args=[store.pk])
        for name, path, right in (
            ("list", reverse("store-list"), 200),
            ("list, searched", reverse("store-list") + "?q=number", 200),
            (PAGE, store.get_absolute_url(), 200),
            (FRAGMENT, live, 204),
            ("fragment of a store, changed", changed, 200),
            ("fragment of the list, no news", rows, 204),
            ("history of a store", history, 200),
            ("form for a new store", reverse("store-create"), 200),
        ):
            asks.setdefault(name, []).append(Ask(path, cookie, right))
    return asks


def live_part(visitor: Visitor, ask: Ask) -> str:
    """The address that the page asks again and again, with its version."""
    status, body = visitor.ask(ask)
    if body[:2] == b"\x1f\x8b":
        body = gzip.decompress(body)
    if not (found := LIVE.search(body.decode())):
        raise BenchError(f"{ask.path} answered {status}, without a live part.")
    return html.unescape(found[1])


def warm_up(server: Web, asks: Sequence[Ask]) -> None:
    """Each worker has its templates and connections then."""
    at_once(server.port, asks, 1.0, connections=8)


def measure_page(
    server: Web, name: str, asks: Sequence[Ask], arguments: argparse.Namespace
) -> Page:
    queries = max(count_queries(ask) for ask in asks[:5])
    before = server.cpu()
    answers = in_time(server.port, asks, arguments.rate, arguments.seconds)
    cpu = server.cpu() - before
    refuse_wrong(name, answers)
    times = answers.milliseconds
    return Page(
        name, queries, percentile(times, 50), percentile(times, 95),
        cpu * 1000 / len(times), len(times),
    )  # fmt: skip


def refuse_wrong(name: str, answers: Answers) -> None:
    if answers.wrong:
        raise BenchError(f"{name}: {len(answers.wrong)} answers were {set(answers.wrong)}.")


def count_queries(ask: Ask) -> int:
    """In this process, on the same database: what all pages share has just been read, as it is
    within a second of any request."""
    name, _, value = ask.cookie.partition("=")
    client = Client(headers={"host": "localhost", "hx-request": "true"})
    client.cookies[name] = value
    client.get(ask.path)
    with CaptureQueriesContext(connection) as queries:
        status = client.get(ask.path).status_code
    if status != ask.right:
        raise BenchError(f"{ask.path} answered {status} to a test client.")
    return len(queries)


def highest(port: int, fragment: Sequence[Ask], page: Sequence[Ask]) -> tuple[float, float]:
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for asks, found in zip((fragment, page), rates, strict=True):
            answers = at_once(port, asks, ROUND_SECONDS)
            refuse_wrong("as fast as possible", answers)
            found.append(answers.rate)
    fragments, pages = (sum(found) / ROUNDS for found in rates)
    return fragments, pages


# --- The table ---------------------------------------------------------------------------


def lines(report: dict[str, Any]) -> list[str]:
    from bench.report import line

    few, many = report["measured"]
    said = [", ".join(f"{name} {value}" for name, value in report["facts"].items()), ""]
    head = [f"{one['stores']} stores" for one in (few, many)]
    said.append(line("", ["queries", head[0], "", "", head[1], "", "", "change"]))
    said.append(line("ms at 20 requests a second", ["", *["p50", "p95", "CPU"] * 2, "of CPU"]))
    for small, big in zip(few["pages"], many["pages"], strict=True):
        numbers = [small["p50"], small["p95"], small["cpu"], big["p50"], big["p95"], big["cpu"]]
        cells = [str(big["queries"]), *(f"{value:.1f}" for value in numbers)]
        said.append(line(small["name"], [*cells, f"x {big['cpu'] / small['cpu']:.2f}"]))
    said.append("")
    for one in (few, many):
        ratio = one["fragment_rate"] / one["page_rate"]
        rates = [f"{one['fragment_rate']:.0f}/s", f"{one['page_rate']:.0f}/s", f"x {ratio:.1f}"]
        said.append(line(f"at most, {one['stores']} stores: fragment, page", rates))
    for name, transferred in report["visits"].items():
        said.append(line(name, [f"{transferred / 1000:.1f} kB"]))
    return said


# --- Bytes -------------------------------------------------------------------------------


def visits(folder: Path, populace: Populace) -> dict[str, int]:
    """The list and the page of a store, by somebody who is logged in."""
    [store] = some_of(populace, 1)
    paths = (reverse("store-list"), store.get_absolute_url())
    cookie = cookie_of(store.owner)
    with web(folder) as server:
        first, second = first_and_second(server.port, cookie, paths)
    return {"first visit (aim: < 150 kB)": first, "second visit (aim: < 15 kB)": second}
