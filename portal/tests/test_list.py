"""The list: what is searched, filtered and sorted, whose stores it shows, and what an open one is sent."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.tests.test_fragments import asks
from stores.actor import SYSTEM
from stores.lifecycle import Health, Status
from stores.models import Heartbeat, Share, Store, User

LIST = "/stores/"


@pytest.fixture
def room(alice) -> User:
    User.objects.filter(pk=alice.pk).update(max_stores=100)
    alice.refresh_from_db()
    return alice


@pytest.fixture
def shared(make_store, bob, alice) -> Store:
    """A store of bob's that alice manages."""
    store = make_store("ready", name="Bob’s Board Games", owner=bob)
    Share.objects.create(
        store=store, email=alice.email, role="manager", user=alice, accepted_at=timezone.now()
    )
    return store


def names(client, query: str = "") -> list[str]:
    page = client.get(LIST + query).content.decode()
    return re.findall(r'class="store-name"[^>]*>([^<]*)<', page)


def told(store: Store, health: str, ago: int = 0) -> None:
    at = timezone.now() - timedelta(seconds=ago)
    known = {"health": health, "health_since": at, "observed_at": at, "ready_at": at}
    Store.objects.filter(pk=store.pk).update(**known)


# --- Sorted, filtered --------------------------------------------------------------------


def test_sorting_is_in_the_address_and_turns_round(at_alice, room, make_store):
    for name, status in (("beta", "ready"), ("Alpha", "failed"), ("gamma", "provisioning")):
        make_store(status, name=name)
    assert names(at_alice) == ["gamma", "Alpha", "beta"]
    assert names(at_alice, "?sort=-created") == ["beta", "Alpha", "gamma"]
    assert names(at_alice, "?sort=name") == ["Alpha", "beta", "gamma"]
    assert names(at_alice, "?sort=-name") == ["gamma", "beta", "Alpha"]
    # What somebody should look at stands first.
    assert names(at_alice, "?sort=status") == ["Alpha", "gamma", "beta"]
    page = at_alice.get(LIST + "?sort=name").content.decode()
    assert 'aria-sort="ascending"' in page and "?sort=-name" in page


def test_the_sick_stand_before_the_well_and_before_those_nobody_looks_at(
    at_alice, room, make_store
):
    Heartbeat.beat(Heartbeat.WATCHER)
    for health in ("healthy", "degraded", "lost"):
        told(make_store("ready", name=health), health)
    make_store("requested", name="none")
    assert names(at_alice, "?sort=health") == ["lost", "degraded", "healthy", "none"]


@pytest.mark.parametrize("watched", [True, False])
def test_the_filter_by_health_shows_what_the_badges_say(watched, at_alice, room, make_store):
    if watched:
        Heartbeat.beat(Heartbeat.WATCHER)
    for health in ("healthy", "degraded", "lost", ""):
        for age in (0, 3600):
            told(make_store("ready", name=f"{health} {age}"), health, age)
    make_store("requested", name="not of interest")
    page = at_alice.get(LIST).content.decode()
    for health in Health:
        said = len(re.findall(rf'class="health [^>]*>.*?{health.label}</span>', page))
        assert len(names(at_alice, f"?health={health.value}")) == said, health
    everybody = [names(at_alice, f"?health={health.value}") for health in Health]
    assert sum(map(len, everybody)) == 8


def test_what_is_not_sortable_or_filterable_is_ignored(at_alice, store):
    for query in ("?sort=owner__password", "?health=bad", "?whose=nobody", "?sort=--name"):
        assert names(at_alice, query) == [store.name.replace("'", "&#x27;")]


def test_everything_that_was_asked_for_stays_in_the_links(at_alice, room, make_store):
    for number in range(26):
        told(make_store("ready", name=f"Shop {number}"), "healthy")
    Heartbeat.beat(Heartbeat.WATCHER)
    asked = "?q=shop&status=ready&health=healthy&sort=name"
    page = at_alice.get(LIST + asked).content.decode().replace("&amp;", "&")
    assert f'href="{LIST}{asked}&page=2"' in page
    assert f"{asked}&version=" in asks(page)
    assert f'href="{LIST}?q=shop&health=healthy&sort=name"' in page  # the tab "All"
    assert '<input type="hidden" name="status" value="ready">' in page
    assert re.search(r'<option value="healthy" selected>', page)


# --- Mine and others' ---------------------------------------------------------------------


def test_a_shared_store_says_whose_it_is_and_what_one_may(at_alice, shared, make_store):
    page = at_alice.get(LIST).content.decode()
    assert "bob&#x27;s, you manage it" in page or "bob's, you manage it" in page
    Share.objects.update(role="viewer")
    page = at_alice.get(LIST).content.decode()
    assert "you may look at it" in page


def test_a_shared_store_takes_no_place_in_the_quota(at_alice, shared, make_store):
    make_store("ready", name="Mine")
    page = at_alice.get(LIST).content.decode()
    assert "1 of 3 stores" in page and 'value="1"></progress>' in page


def test_whose_is_asked_only_where_it_makes_a_difference(at_alice, shared, make_store):
    make_store("ready", name="Mine")
    assert names(at_alice, "?whose=mine") == ["Mine"]
    assert names(at_alice, "?whose=shared") == ["Bob’s Board Games"]
    assert 'name="whose"' in at_alice.get(LIST).content.decode()
    Share.objects.all().delete()
    assert 'name="whose"' not in at_alice.get(LIST).content.decode()


# --- An open list ---------------------------------------------------------------------------


def test_only_the_row_that_changed_is_sent(at_alice, room, make_store):
    stores = [make_store("ready", name=f"Shop {number}") for number in range(25)]
    page = at_alice.get(LIST).content.decode()
    stores[7].move_to(Status.UPDATING, actor=SYSTEM)
    answer = at_alice.get(asks(page))
    html = answer.content.decode()
    assert names_in(html) == ["Shop 7"] and "Updating" in html
    assert "HX-Retarget" not in answer
    # With it the counts, which changed too; all of it far less than the list.
    assert 'id="list-head" hx-swap-oob="morph"' in html
    assert len(html) < len(page) / 4
    # And then there is no news.
    assert at_alice.get(asks(html)).status_code == 204


def names_in(html: str) -> list[str]:
    return re.findall(r'class="store-name"[^>]*>([^<]*)<', html)


def test_what_happens_on_another_page_sends_no_row(at_alice, room, make_store):
    stores = [make_store("ready", name=f"Shop {number}") for number in range(26)]
    asked = asks(at_alice.get(LIST).content.decode())
    stores[0].move_to(Status.UPDATING, actor=SYSTEM)
    html = at_alice.get(asked).content.decode()
    assert names_in(html) == [] and "Updating <span>1</span>" in html


@pytest.mark.parametrize("sort", ["created", "status"])
def test_other_stores_or_another_order_send_the_whole_list(sort, at_alice, room, make_store):
    first, _ = make_store("ready", name="One"), make_store("ready", name="Two")
    asked = asks(at_alice.get(f"{LIST}?sort={sort}").content.decode())
    if sort == "created":
        make_store("requested", name="Three")
    else:
        first.move_to(Status.UPDATING, actor=SYSTEM)
    answer = at_alice.get(asked)
    assert answer["HX-Retarget"] == "#stores"
    assert len(names_in(answer.content.decode())) == (3 if sort == "created" else 2)


@pytest.mark.parametrize("rows", ["", "nonsense", "x" * 500, "0" * 12])
def test_a_page_that_says_nonsense_about_itself_gets_it_whole(rows, at_alice, store):
    answer = at_alice.get(f"{LIST}rows/?version=old&rows={rows}")
    assert answer["HX-Retarget"] == "#stores" and store.host in answer.content.decode()


def test_a_place_in_line_and_a_health_that_turned_unknown_are_news(
    at_alice, room, make_store, settings
):
    Heartbeat.beat(Heartbeat.WATCHER)
    store = make_store("ready", name="Sleepy")
    told(store, "healthy")
    asked = asks(at_alice.get(LIST).content.decode())
    long_ago = timezone.now() - timedelta(hours=1)
    Heartbeat.objects.update(at=long_ago)
    Store.objects.update(observed_at=long_ago)
    html = at_alice.get(asked).content.decode()
    assert names_in(html) == ["Sleepy"] and "Unknown" in html


def test_an_open_list_hears_when_somebody_last_looked(at_alice, store):
    Heartbeat.beat(Heartbeat.WATCHER)
    answer = at_alice.get(asks(at_alice.get(LIST).content.decode()))
    at = Heartbeat.objects.get(pk=Heartbeat.WATCHER).at
    assert (answer.status_code, answer["X-Seen-At"]) == (204, at.isoformat(timespec="seconds"))


def test_filters_and_shares_take_no_more_queries(at_alice, room, shared, make_store):
    def queries(query: str) -> int:
        with CaptureQueriesContext(connection) as asked:
            at_alice.get(LIST + query)
        return len(asked)

    make_store("provisioning")
    few = queries("?q=shop&health=unknown&whose=shared&sort=health")
    for _ in range(10):
        make_store("provisioning")
    assert queries("?q=shop&health=unknown&whose=shared&sort=health") == few <= 8
