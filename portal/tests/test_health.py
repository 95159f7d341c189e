"""What the pages say about a store's health, and that they never say it longer than it is known."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from portal.tests.test_fragments import asks
from stores.health import told
from stores.lifecycle import Health
from stores.messages import Message
from stores.models import Heartbeat, Store

WHY = Message("workload-starting", {"name": "<b>db", "ready": 0, "wanted": 1})
LIST = "/stores/"


def ago(**length: Any) -> datetime:
    return timezone.now() - timedelta(**length)


def looked(at: datetime) -> None:
    Heartbeat.beat(Heartbeat.SWEEP)
    Heartbeat.objects.update(at=at)


@pytest.fixture
def observed(make_store):
    """A store that has been ready, with a health; looked at just now."""

    def make(health: str = "healthy", message: Message | None = None, **more: Any) -> Store:
        store = make_store(more.pop("status", "ready"))
        Store.objects.filter(pk=store.pk).update(
            health=health,
            health_since=ago(minutes=3),
            health_message=message.as_json() if message else {},
            **{"ready_at": ago(hours=1), "observed_at": timezone.now(), **more},
        )
        store.refresh_from_db()
        return store

    return make


def read(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def page_of(client: Client, store: Store) -> str:
    return read(client, store.get_absolute_url())


def test_a_healthy_store_says_so_and_when_it_was_seen(at_alice, observed):
    store = observed()
    page = page_of(at_alice, store)
    assert "Healthy</span>" in page and "data-seen>just now</time>" in page
    assert "data-ago>3 minutes ago</time>, seen " in page
    assert "Healthy</span>" in read(at_alice, LIST)


def test_a_degraded_store_says_why_and_since_when(at_alice, observed):
    store = observed("degraded", WHY)
    page = page_of(at_alice, store)
    assert "The shop has been degraded since" in page and escape(str(WHY)) in page
    assert f"{store.health_since:%Y-%m-%d %H:%M:%S} UTC" in page and "<b>db" not in page
    assert 'data-announce="Anna’s Ceramics: Ready, degraded"' in page
    assert "Degraded</span>" in read(at_alice, LIST)


def test_a_lost_store_is_told_first_and_with_a_reference(at_alice, observed):
    lost = Message("namespace-lost", {"namespace": "store-anna"})
    page = page_of(at_alice, observed("lost", lost))
    assert page.index("This store is lost") < page.index("Addresses")
    assert escape(str(lost)) in page


@pytest.mark.parametrize("status", ["requested", "provisioning", "closing", "deleting", "deleted"])
def test_where_nobody_looks_no_health_is_told(status, at_alice, observed):
    page = page_of(at_alice, observed(status=status))
    assert 'class="health' not in page


def test_a_store_that_has_never_been_ready_has_no_health(at_alice, observed):
    assert 'class="health' not in page_of(at_alice, observed(status="failed", ready_at=None))


@pytest.mark.parametrize("health", ["healthy", "degraded"])
def test_health_is_unknown_when_nobody_has_looked_for_too_long(
    health, at_alice, observed, settings
):
    settings.UNKNOWN_SECONDS = 90
    store = observed(health, observed_at=ago(seconds=200))
    looked(ago(seconds=80))
    assert f"{health.capitalize()}</span>" in page_of(at_alice, store)
    looked(ago(seconds=100))
    page = page_of(at_alice, store)
    assert "Unknown</span>" in page and "nobody has looked since" in page
    assert f"Before that it was {health}." in page
    assert "Unknown</span>" in read(at_alice, LIST)


def test_where_nobody_has_ever_looked_health_is_unknown(at_alice, observed):
    page = page_of(at_alice, observed("", observed_at=None))
    assert "Unknown</span>" in page and "never looked at" in page


def test_what_is_lost_stays_so_without_anybody_looking(observed):
    store = observed("lost", observed_at=ago(hours=2))
    assert told(store, None).health == Health.LOST


@pytest.mark.parametrize("where", [LIST, "detail"])
def test_turning_unknown_and_known_again_is_news_for_an_open_page(where, at_alice, observed):
    store = observed(observed_at=ago(seconds=200))
    url = store.get_absolute_url() if where == "detail" else where
    looked(timezone.now())
    asked = asks(read(at_alice, url))
    assert at_alice.get(asked).status_code == 204
    looked(ago(seconds=100))
    html = read(at_alice, asked)
    assert "Unknown</span>" in html
    asked = asks(html)
    assert at_alice.get(asked).status_code == 204
    looked(timezone.now())
    assert "Healthy</span>" in read(at_alice, asked)


def test_one_of_the_list_turning_unknown_is_news_although_nobody_looks_at_any(at_alice, observed):
    """Each was last seen at a time of its own, by the pass that made it ready."""
    first = observed(observed_at=ago(seconds=50))
    observed(observed_at=ago(seconds=10))
    asked = asks(read(at_alice, LIST))
    assert at_alice.get(asked).status_code == 204
    Store.objects.filter(pk=first.pk).update(observed_at=F("observed_at") - timedelta(seconds=50))
    assert read(at_alice, asked).count("Unknown</span>") == 1


def test_an_answer_without_news_says_when_the_store_was_last_looked_at(at_alice, observed):
    store = observed()
    asked = asks(page_of(at_alice, store))
    later = timezone.now() + timedelta(seconds=30)
    looked(later)
    response = at_alice.get(asked)
    assert response.status_code == 204
    assert response["X-Seen-At"] == later.isoformat(timespec="seconds")
    gone = observed(status="deleting")
    assert "X-Seen-At" not in at_alice.get(reverse("store-status", args=[gone.pk]))
