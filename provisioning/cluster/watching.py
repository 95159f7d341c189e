"""One watch per kind over all stores, raw JSON, each in a thread, merged into one stream.

A watch goes on from where it was cut off. When that is not possible, or after the cluster was away,
everything is listed again and an empty Change says that anything may have happened meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from provisioning.cluster import seen
from provisioning.cluster.api import Api, path_of
from provisioning.cluster.base import STORE_LABEL, Change, Seen
from provisioning.errors import ClusterUnavailable

log = logging.getLogger(__name__)
# Namespaces first: a picture of what is in them is judged by what is known of them.
KINDS = ("Namespace", *seen.KINDS)
PAGE = 250
LISTING = threading.Lock()
# The server ends a watch after this long; it sends a bookmark about every minute, so silence of
# more than that means that the connection is dead although nobody said so.
WATCH_SECONDS = 300
SILENCE_SECONDS = 75.0
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0)
# When whoever takes them is slower than the cluster, the server waits, or ends the watch.
MOST_WAITING = 1000
Object = dict[str, Any]


class Gone(Exception):
    """The server no longer knows the version to go on from (410), or the stream made no sense."""


def watch(api: Api, stopped: Callable[[], bool]) -> Iterator[Change]:
    changes: queue.Queue[Change] = queue.Queue(MOST_WAITING)
    over = threading.Event()
    watchers = [KindWatch(api, kind, changes, over) for kind in KINDS]
    for watcher in watchers:
        threading.Thread(target=watcher.run, name=f"watch-{watcher.kind}", daemon=True).start()
    try:
        while not stopped():
            try:
                yield changes.get(timeout=0.5)
            except queue.Empty:
                continue
    finally:
        over.set()


class KindWatch:
    """All objects of one kind that belong to stores, each reduced as it was last seen."""

    def __init__(
        self, api: Api, kind: str, changes: queue.Queue[Change], over: threading.Event
    ) -> None:
        self.api, self.kind, self.changes, self.over = api, kind, changes, over
        self.seen: dict[str, Seen] = {}

    def run(self) -> None:
        failures = 0
        version = ""
        while not self.over.is_set():
            try:
                if not version:
                    version = self.list()
                version = self.follow(version)
                failures = 0
            except Gone:
                version = ""
                # To be told so again and again must not become a storm of listing.
                self.over.wait(RETRY_SECONDS[0])
            # Whatever it was: a watch that ends is a doorbell that nobody hears any more.
            except Exception as error:
                if not failures:
                    log.warning("watch of %s interrupted: %r", self.kind, error)
                    self.tell(Change("", self.kind))
                self.over.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                version = ""

    def list(self) -> str:
        found: dict[str, Seen] = {}
        version = ""
        # One at a time: a page is many times larger than what is kept of it.
        with LISTING:
            for page in self.api.pages(self.kind, labelSelector=STORE_LABEL, limit=PAGE):
                found.update((item["metadata"]["uid"], reduced(item)) for item in page["items"])
                version = page.get("metadata", {}).get("resourceVersion", "")
        self.seen = found
        self.tell(seen.picture(self.kind, found.values()))
        return version

    def follow(self, version: str) -> str:
        """Events from ``version`` until the server ends the watch; the version it got to."""
        response = self.api.open(
            "GET",
            path_of(self.kind),
            query={
                "watch": "true",
                "allowWatchBookmarks": "true",
                "resourceVersion": version,
                "labelSelector": STORE_LABEL,
                "timeoutSeconds": WATCH_SECONDS,
            },
            timeout=(3.0, SILENCE_SECONDS),
        )
        if response.status != 200:
            response.read()
            if response.status == 410:
                raise Gone
            raise ClusterUnavailable(f"watch of {self.kind}: HTTP {response.status}")
        for event in lines(response):
            if self.over.is_set():
                break
            version = self.take(event)
        return version

    def take(self, event: Object) -> str:
        """Report what one event means; the version it stands for."""
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise Gone
        metadata = item["metadata"]
        if kind != "BOOKMARK":
            self.report({**item, "kind": self.kind}, gone=kind == "DELETED")
        return str(metadata["resourceVersion"])

    def report(self, item: Object, *, gone: bool) -> None:
        uid, now = item["metadata"]["uid"], reduced(item)
        before = self.seen.pop(uid, None)
        if gone:
            # A label that was taken away looks like an end too: whose it was is known from before.
            self.tell(seen.change(before or now, None))
            return
        self.seen[uid] = now
        if now != before:
            self.tell(seen.change(before, now))

    def tell(self, change: Change) -> None:
        """Waits for room, unless nobody takes anything any more."""
        while not self.over.is_set():
            with contextlib.suppress(queue.Full):
                return self.changes.put(change, timeout=0.5)


def reduced(item: Object) -> Seen:
    return seen.namespace(item) if item["kind"] == "Namespace" else seen.thing(item)


def lines(response: Any) -> Iterator[Object]:
    """The JSON documents of a watch as they arrive. Raises ClusterUnavailable when it is cut off."""
    from urllib3.exceptions import HTTPError

    rest = b""
    try:
        for chunk in response.response.stream(65536):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                if line.strip():
                    yield json.loads(line)
    except (HTTPError, OSError) as error:
        raise ClusterUnavailable(f"watch: {error}") from error
    except ValueError as error:
        raise Gone from error
    finally:
        response.response.release_conn()
        response.response.close()
