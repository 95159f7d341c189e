"""The pages beside the cluster: how soon an open page shows a change there, and a crowd at the pages.

A whole platform runs: control plane, worker, watcher, web. What a page shows is noted by the page
itself, in Chromium, at the moment its content changes.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.children import give_way
from bench.errors import BenchError
from bench.ground import Ground, Options, facts
from devcluster.cluster import DevCluster

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext
    from playwright.sync_api import Page as Tab

    from bench.portal import Portal
    from bench.report import Latency
    from bench.serving import Web
    from bench.visitors import Answers, Ask
    from stores.models import Store

# Pages that are open at once, each of a store of its own.
PAGES = 5
READY_AFTER, RECOVERY = "2s", "6s"
# Notes when the words that a screen reader would be told first say so.
NOTE = """
(wanted) => {
  const told = () => document.querySelector("[data-announce]")?.dataset.announce ?? "";
  window.shown = null;
  const look = () => { if (window.shown === null && told().includes(wanted)) window.shown = Date.now(); };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
  look();
}
"""
WELL = "() => !document.querySelector('[data-announce]').dataset.announce.includes('degraded')"
LOOK_MILLISECONDS = 100
UNDER_WAY, SETTLED = 1500, 4000


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    # The browser's library has a loop of its own in this thread; queries here are meant to block.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    ground = Ground(folder, options(arguments))
    ground.prepare()
    from bench.portal import Portal
    from bench.report import latency_lines
    from bench.serving import web

    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(DevCluster())
        niceness = NICE if arguments.crowd else 0
        if arguments.crowd:
            # In service it is on other machines.
            for process in cluster.processes.values():
                give_way(process.pid, NICE)
        portal = stack.enter_context(Portal(ground, cluster.portal_kubeconfig, niceness))
        server = stack.enter_context(web(folder))
        if arguments.crowd:
            told = crowd_lines(facts(), crowd(portal, server, arguments))
        else:
            found = on_open_pages(cluster, portal, server, arguments.events)
            told = [said(facts()), "", *latency_lines(found)]
    print("\n".join(told))


def options(arguments: argparse.Namespace) -> Options:
    # Beside open pages no store waits for a worker that is busy with another one.
    workers = 2 if arguments.crowd else PAGES + 1
    return Options(
        stores=arguments.stores, workers=workers, starting=10, ready_after="0s", samples=0, rings=0,
        seconds=arguments.patience,
    )  # fmt: skip


def said(known: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in known.items())


# --- Open pages --------------------------------------------------------------------------


def on_open_pages(cluster: DevCluster, portal: Portal, server: Web, events: int) -> list[Latency]:
    from bench.report import Latency
    from portal.tests.browser_kit import a_browser

    with a_browser() as browser:
        cluster.set_ready_after(READY_AFTER)
        under_way = while_under_way(cluster, portal, server, browser, events)
        cluster.set_ready_after(RECOVERY)
        settled = while_settled(cluster, portal, server, browser, events)
    return [
        Latency("last workload ready -> an open page says so", under_way, aim=UNDER_WAY),
        Latency("a pod turns unready -> an open page says so", settled, aim=SETTLED),
    ]


@contextlib.contextmanager
def tabs(browser: Browser, server: Web, stores: Sequence[Store]) -> Iterator[list[Tab]]:
    """The page of each store, open at its owner's."""
    from bench.visitors import cookie_of

    opened: list[BrowserContext] = []
    try:
        pages = []
        for store in stores:
            context = browser.new_context(base_url=f"http://127.0.0.1:{server.port}")
            opened.append(context)
            name, _, value = cookie_of(store.owner).partition("=")
            where = {"domain": "127.0.0.1", "path": "/"}
            context.add_cookies([{"name": name, "value": value, **where}])  # type: ignore[list-item]
            page = context.new_page()
            page.goto(store.get_absolute_url())
            pages.append(page)
        yield pages
    finally:
        for context in opened:
            context.close()


def shown_at(tab: Tab, seconds: float) -> float:
    """When the page showed what it was asked to note, in seconds of this machine's clock."""
    return float(until(tab, "() => window.shown", seconds)) / 1000


def until(tab: Tab, ask: str, seconds: float) -> Any:
    """The first true answer. (Playwright's own way of waiting is refused by the page's policy.)"""
    deadline = time.monotonic() + seconds
    while not (answer := tab.evaluate(ask)):
        if time.monotonic() > deadline:
            raise BenchError(f"A page was waited for in vain: {tab.url}")
        tab.wait_for_timeout(LOOK_MILLISECONDS)
    return answer


def while_under_way(
    cluster: DevCluster, portal: Portal, server: Web, browser: Browser, events: int
) -> list[float]:
    """Milliseconds from a new store's last workload being ready, as a watch of ours sees it."""
    from bench.observer import Observer
    from stores.models import Store

    observer = Observer(cluster.kubeconfig, portal.ground.options.seconds)
    observer.start()
    found: list[float] = []
    while len(found) < events:
        ids = portal.create(min(PAGES, events - len(found)))
        stores = list(Store.objects.filter(pk__in=ids).select_related("owner"))
        with tabs(browser, server, stores) as pages:
            for tab in pages:
                tab.evaluate(NOTE, ": Ready")
            for tab, store in zip(pages, stores, strict=True):
                shown = shown_at(tab, portal.ground.options.seconds)
                found.append((shown - observer.last_ready(str(store.pk))) * 1000)
        portal.wait_idle()
    return found


def while_settled(
    cluster: DevCluster, portal: Portal, server: Web, browser: Browser, events: int
) -> list[float]:
    """Milliseconds from the API server's answer to the page telling of it."""
    from bench.health import health, turn_unready
    from provisioning.cluster.api import Api
    from stores.lifecycle import Health, Status
    from stores.models import Store

    api = Api.connect(str(cluster.kubeconfig))
    ready = Store.objects.filter(status=Status.READY).select_related("owner")
    stores = list(ready.order_by("-created_at")[:PAGES])
    found: list[float] = []
    with tabs(browser, server, stores) as pages:
        for number in range(events):
            store, tab = stores[number % PAGES], pages[number % PAGES]
            portal.wait("the shop to be well", lambda s=store: health(s) == Health.HEALTHY)
            until(tab, WELL, portal.ground.options.seconds)
            # Pages do not ask in step with what happens.
            time.sleep(3 * (number * 0.618 % 1))
            tab.evaluate(NOTE, "degraded")
            turn_unready(api, store)
            began = time.time()
            found.append((shown_at(tab, portal.ground.options.seconds) - began) * 1000)
    return found


# --- A crowd -----------------------------------------------------------------------------

# Each person asks for the live part of a page every second, and for a whole page now and then.
EVERY_SECONDS, WHOLE_PAGE_EVERY = 1.0, 5
IDLE_SECONDS = 20.0
# As docs/operating.md advises where workers share a machine with the web processes.
NICE = 10


@dataclass
class Crowd:
    people: int
    stores: int
    seconds: float
    idle: Answers
    busy: Answers
    polls: Answers


def crowd(portal: Portal, server: Web, arguments: argparse.Namespace) -> Crowd:
    from stores.lifecycle import Status
    from stores.models import Store

    asks = asks_of_crowd(server, arguments.people)
    idle_until = time.monotonic() + IDLE_SECONDS
    idle, _ = poll(server.port, asks, lambda: time.monotonic() < idle_until)
    began = time.monotonic()
    ids = portal.create(arguments.stores)

    def under_way() -> bool:
        return Store.objects.filter(pk__in=ids).exclude(status=Status.READY).exists()

    over = threading.Event()
    watch = threading.Thread(target=wait_for, args=(portal, ids, over), daemon=True)
    watch.start()
    busy, polls = poll(server.port, asks, lambda: not over.is_set())
    if under_way():
        raise BenchError("Not all stores became ready.")
    return Crowd(arguments.people, arguments.stores, time.monotonic() - began, idle, busy, polls)


def wait_for(portal: Portal, ids: Sequence[Any], over: threading.Event) -> None:
    try:
        portal.wait_ready(ids)
    finally:
        over.set()


def asks_of_crowd(server: Web, people: int) -> list[tuple[Ask, Ask]]:
    """For each person the live part and the whole page: of the list, or of a store of theirs."""
    from bench.portal import owner
    from bench.visitors import Ask, cookie_of
    from stores.models import Store

    asks = []
    for number in range(people):
        person = owner(number % 4)
        store = Store.objects.filter(owner=person).first()
        cookie = cookie_of(person)
        if store and number % 2:
            page = store.get_absolute_url()
            live = f"{page}status/"
        else:
            page, live = "/stores/", "/stores/rows/"
        asks.append((Ask(live, cookie), Ask(page, cookie)))
    return asks


def poll(
    port: int, asks: Sequence[tuple[Ask, Ask]], go_on: Callable[[], bool]
) -> tuple[Answers, Answers]:
    """Whole pages, and live parts."""
    from bench.visitors import Answers, Visitor

    pages, parts, lock = Answers(), Answers(), threading.Lock()

    def person(number: int, live: Ask, page: Ask) -> None:
        visitor = Visitor(port)
        time.sleep(EVERY_SECONDS * (number * 0.618 % 1))
        for turn in itertools.count(number):
            if not go_on():
                return
            whole = turn % WHOLE_PAGE_EVERY == 0
            began = time.monotonic()
            status, _ = visitor.ask(page if whole else live)
            took = time.monotonic() - began
            with lock:
                (pages if whole else parts).note(status, took * 1000)
            time.sleep(max(EVERY_SECONDS - took, 0))

    threads = [
        threading.Thread(target=person, args=(number, *each), daemon=True)
        for number, each in enumerate(asks)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return pages, parts


def crowd_lines(known: dict[str, Any], found: Crowd) -> list[str]:
    from bench.latency import percentile
    from bench.report import line

    table = [said(known), ""]
    table.append(
        f"{found.people} people poll, {found.stores} stores are set up in {found.seconds:.0f} s"
    )
    table.append(line("milliseconds", ["p50", "p95", "answers", "wrong"]))
    for name, answers in (
        ("a whole page, idle", found.idle),
        ("a whole page meanwhile", found.busy),
        ("a live part meanwhile", found.polls),
    ):
        times = answers.milliseconds
        cells = [f"{percentile(times, percent):.1f}" for percent in (50, 95)]
        table.append(line(name, [*cells, str(len(times)), str(len(answers.wrong))]))
    ratio = percentile(found.busy.milliseconds, 95) / percentile(found.idle.milliseconds, 95)
    table.append(line("p95 of a whole page (aim: x 2 at most)", [f"x {ratio:.2f}"]))
    return table
