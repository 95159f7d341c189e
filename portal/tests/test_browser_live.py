"""On the real control plane: what changes there is soon on a page that is open, and a crowd is served.

How soon exactly is measured by `make bench-web`; here the bounds are wide, for a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from bench.health import turn_unready
from bench.live import NOTE, WELL, poll, shown_at, until
from bench.visitors import Ask
from portal.tests.browser_kit import SESSION, at_browser, create
from portal.tests.platforms import Person, Platform
from provisioning.cluster.api import Api

pytestmark = [pytest.mark.browser, pytest.mark.cluster, pytest.mark.slow]

PATIENCE, POLLED = 90.0, 15.0
UNDER_WAY, SETTLED = 8.0, 12.0
ROW = """
from stores.models import Store
store = Store.objects.get(address={address!r})
print({what})
"""
CREATE = """
from stores.actor import SYSTEM
from stores.models import User
from stores.services import create_store
owner = User.objects.get(username={name!r})
for number in range({count}):
    create_store(actor=SYSTEM, owner=owner, name=f"Crowd {{number}}", address=f"{name}-{{number}}")
"""
UNFINISHED = """
from stores.models import Store
print(Store.objects.filter(owner__username={name!r}).unsettled().count())
"""


def row(platform: Platform, address: str, what: str) -> str:
    return platform.shell(ROW.format(address=address, what=what))


@pytest.fixture
def slowly_ready(devcluster: Any) -> Iterator[None]:
    """A pod that turned unready stays so for longer than a page needs."""
    devcluster.set_ready_after("15s")
    yield
    devcluster.set_ready_after("0s")


def test_what_changes_in_the_cluster_is_soon_on_an_open_page(
    kubernetes: Platform, devcluster: Any, chromium: Any, request: Any
) -> None:
    alice = kubernetes.person("alice")
    address = f"live-{alice.name}"
    with at_browser(chromium, kubernetes, alice) as page:
        create(page, "Anna’s Ceramics", address)
        page.evaluate(NOTE, ": Ready")
        shown = shown_at(page, PATIENCE)
        assert shown - float(row(kubernetes, address, "store.status_since.timestamp()")) < UNDER_WAY

        until(page, WELL, PATIENCE)
        request.getfixturevalue("slowly_ready")
        page.evaluate(NOTE, "degraded")
        shop = SimpleNamespace(namespace=row(kubernetes, address, "store.namespace"))
        turn_unready(Api.connect(str(devcluster.kubeconfig)), shop)
        began = time.time()
        assert shown_at(page, PATIENCE) - began < SETTLED


def test_people_who_poll_are_all_served_while_stores_are_set_up(kubernetes: Platform) -> None:
    people = [kubernetes.person("emil") for _ in range(6)]
    owner = people[0]
    kubernetes.shell(CREATE.format(name=owner.name, count=4))
    ends, polled = time.monotonic() + PATIENCE, time.monotonic() + POLLED
    unfinished = UNFINISHED.format(name=owner.name)
    port = int(kubernetes.url.rpartition(":")[2])

    crowd = [asks(person) for person in people]
    pages, parts = poll(port, crowd, lambda: time.monotonic() < polled)
    assert pages.wrong == parts.wrong == []
    assert len(pages.milliseconds) >= len(people)
    assert len(parts.milliseconds) > len(pages.milliseconds)
    while kubernetes.shell(unfinished) != "0":
        assert time.monotonic() < ends
        time.sleep(0.2)


def asks(person: Person) -> tuple[Ask, Ask]:
    cookie = f"{SESSION}={person.session}"
    return Ask("/stores/rows/", cookie), Ask("/stores/", cookie)
