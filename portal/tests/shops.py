"""A shop that really is in the (simulated) cluster, and somebody who answers what pages ask about it:
a plugin, named by each file that wants one. The database is shared with threads, so its tests commit.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning import runner
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.tests.conftest import Clock, deliver
from provisioning.watcher import Watcher
from stores.actor import Actor
from stores.models import Inquiry, Store, User
from stores.services import create_store


class Shop:
    def __init__(self, store: Store, cluster: SimulatedCluster, clock: Clock) -> None:
        self.store, self.cluster, self.clock = store, cluster, clock

    def work(self) -> None:
        """Until nothing changes any more."""
        for _ in range(120):
            deliver(self.cluster)
            self.store.refresh_from_db()
            if self.store.is_settled:
                return
            self.clock.passes(1)
            Store.objects.update(due_at=None)
            runner.reconcile()

    @property
    def secret(self) -> dict[str, str]:
        found = self.cluster.get("Secret", "store-wordpress", self.store.namespace) or {}
        return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


@pytest.fixture
def shop(transactional_db: None, alice: User, as_alice: Actor, tmp_path: Path) -> Shop:
    """Ready."""
    clock = Clock()
    cluster = SimulatedCluster(tmp_path / "shop.sqlite3", clock=clock)
    store = create_store(actor=as_alice, owner=alice, name="Anna", address="anna")
    shop = Shop(store, cluster, clock)
    shop.work()
    assert store.status == "ready"
    return shop


@pytest.fixture
def answering(shop: Shop, settings: Any) -> Iterator[None]:
    """The watcher, as far as questions go."""
    settings.INQUIRY_POLL_SECONDS = 0.02
    settings.LOGS_WAIT_SECONDS = settings.REVEAL_WAIT_SECONDS = 20
    over = threading.Event()
    watcher = Watcher(shop.cluster)
    threads = [
        threading.Thread(target=watcher.answer, args=(kind, over)) for kind in Inquiry.Kind.values
    ]
    for thread in threads:
        thread.start()
    yield
    over.set()
    for thread in threads:
        thread.join()
