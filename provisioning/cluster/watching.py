"""One watch per kind over all stores, raw JSON, each in a thread, merged into one stream.

A watch goes on from where it was cut off. When that is not possible, or after the cluster was away,
everything is listed again and an empty Change says that anything may have happened meanwhile.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from provisioning.cluster import readiness
from provisioning.cluster.api import Api, path_of
from provisioning.cluster.base import STORE_LABEL, Change
from provisioning.errors import ClusterUnavailable

log = logging.getLogger(__name__)
KINDS = (*readiness.WATCHED, "Namespace")
# The server ends a watch after this long; it sends a bookmark about every minute, so silence of
# more than that means that the connection is dead although nobody said so.
WATCH_SECONDS = 300
SILENCE_SECONDS = 75.0
RETRY_SECONDS = (0.2, 0.5, 1.0, 2.0)
Object = dict[str, Any]


class Gone(Exception):
    """The server no longer knows the version to go on from (410), or the stream made no sense."""


def watch(api: Api, stopped: Callable[[], bool]) -> Iterator[Change]:
    changes: queue.Queue[Change] = queue.Queue()
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
    """All objects of one kind that belong to stores, and which of them were up when last seen."""

    def __init__(
        self, api: Api, kind: str, changes: queue.Queue[Change], over: threading.Event
    ) -> None:
        self.api, self.kind, self.changes, self.over = api, kind, changes, over
        self.up: dict[str, bool] = {}

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
            # Whatever it was: a watch that ends is a doorbell that nobody hears any more.
            except Exception as error:
                if not failures:
                    log.warning("watch of %s interrupted: %r", self.kind, error)
                self.over.wait(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                failures += 1
                version = ""

    def list(self) -> str:
        items, version = self.api.objects_with_version(self.kind, labelSelector=STORE_LABEL)
        self.up = {
            item["metadata"]["uid"]: readiness.is_over({**item, "kind": self.kind})
            for item in items
            if self.kind != "Namespace"
        }
        self.changes.put(Change("", self.kind))
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
        uid = item["metadata"]["uid"]
        if gone:
            self.up.pop(uid, None)
        elif self.kind == "Namespace":
            return  # what happens to a namespace before its end is our own doing
        else:
            before, now = self.up.get(uid, False), readiness.is_over(item)
            self.up[uid] = now
            if before == now:
                return
        store_id = item["metadata"].get("labels", {}).get(STORE_LABEL, "")
        if store_id:
            self.changes.put(Change(store_id, self.kind, item["metadata"]["name"]))


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
