"""How soon a shop that stops serving is told so: in its row, and on a page that somebody has open."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.test import Client
from django.urls import reverse

from bench.errors import BenchError
from bench.portal import Portal
from provisioning.cluster.api import Api, path_of
from stores.lifecycle import Health
from stores.models import Heartbeat, Store

STORES = 5
# As long as a settled page waits before it asks again (templates/stores/_store.html).
PAGE_SECONDS = 3.0
LOOK_SECONDS = 0.004
# How long a fake kubelet leaves a pod as it is: longer than the page needs.
RECOVERY = "6s"
STATUS_PATCH = "application/strategic-merge-patch+json"


class Page:
    """A store's page that stays open: it asks for its fragment, version in hand, as a browser does."""

    def __init__(self, store: Store) -> None:
        self.client = Client(headers={"host": "localhost"})
        self.client.force_login(store.owner)
        self.url = reverse("store-status", args=[store.pk])
        self.query = ""
        self.ask()

    def ask(self) -> str:
        """The new fragment; empty if nothing is new."""
        answer = self.client.get(self.url + self.query)
        if answer.status_code == 204:
            return ""
        html = str(answer.content.decode())
        if version := re.search(r"version=([^\"&]+)", html):
            self.query = f"?version={version[1]}"
        return html


def unready_to_told(
    portal: Portal, kubeconfig: Path, events: int
) -> tuple[list[float], list[float]]:
    """Milliseconds from the pod's change in the cluster to the row, and to the page, of each event."""
    api = Api.connect(str(kubeconfig))
    ids = portal.create(STORES)
    portal.wait_ready(ids)
    portal.wait("the watcher to see", lambda: Heartbeat.seen(Heartbeat.WATCHER) is not None)
    stores = list(Store.objects.filter(pk__in=ids).select_related("owner"))
    pages = {store.pk: Page(store) for store in stores}
    rows, shown = [], []
    for number in range(events):
        store = stores[number % len(stores)]
        portal.wait("the shop to be healthy", lambda store=store: health(store) == Health.HEALTHY)
        # Pages do not ask in step with what happens.
        page_asks = time.monotonic() + PAGE_SECONDS * ((number * 0.618) % 1)
        to_row, to_page = one_event(api, store, pages[store.pk], page_asks)
        rows.append(to_row)
        shown.append(to_page)
    return rows, shown


def one_event(api: Api, store: Store, page: Page, page_asks: float) -> tuple[float, float]:
    page.ask()
    turn_unready(api, store)
    began = time.monotonic()
    to_row: float | None = None
    while time.monotonic() - began < 4 * PAGE_SECONDS:
        if to_row is None and health(store) == Health.DEGRADED:
            to_row = time.monotonic() - began
        if time.monotonic() >= page_asks:
            page_asks += PAGE_SECONDS
            if "does not serve" in page.ask():
                to_page = time.monotonic() - began
                return (to_row or to_page) * 1000, to_page * 1000
        time.sleep(LOOK_SECONDS)
    raise BenchError(f"The page of {store.address} did not say that its shop does not serve.")


def turn_unready(api: Api, store: Store) -> None:
    """As a kubelet does whose readiness probe fails. Returns when the API server has it."""
    (pod,) = api.objects("Pod", store.namespace, labelSelector="app.kubernetes.io/component=web")
    status = pod["status"]
    containers = [{**one, "ready": False} for one in status["containerStatuses"]]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    conditions: list[dict[str, Any]] = [
        {"type": kind, "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": now}
        for kind in ("Ready", "ContainersReady")
    ]
    api.request(
        "PATCH",
        path_of("Pod", pod["metadata"]["name"], store.namespace) + "/status",
        body={"status": {"conditions": conditions, "containerStatuses": containers}},
        content_type=STATUS_PATCH,
    )


def health(store: Store) -> str:
    return str(Store.objects.values_list("health", flat=True).get(pk=store.pk))
