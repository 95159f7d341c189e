"""How often a page asks the database: the same few times for everybody, however many stores there are."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from django.core.cache import caches
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.tests.conftest import browser_of
from portal.tests.test_fragments import asks
from stores.messages import Message
from stores.models import Consent, Heartbeat, Share, Store, User
from stores.services import pause_provisioning

FRAGMENT, PAGE = 3, 8
IN_LINE = Message("in-line", {"starting": 1}).as_json()


@pytest.fixture
def people(store: Store, bob: User, carol: User) -> dict[str, Client]:
    """Everybody who may open alice's store, at their browsers."""
    manager = User.objects.create_user("dora", "dora@example.com")
    for user, role in ((bob, "viewer"), (manager, "manager")):
        Share.objects.create(
            store=store, email=user.email, role=role, user=user, accepted_at=timezone.now()
        )
    Consent.objects.create(store=store, given_at=Now(), ends_at=timezone.now() + timedelta(hours=3))
    users = {"owner": store.owner, "viewer": bob, "manager": manager, "support": carol}
    return {who: browser_of(user) for who, user in users.items()}


@pytest.fixture
def waits(store: Store, make_store, settings) -> Store:
    """The most that a page can have to tell: the store waits in line, and others wait too."""
    settings.MAX_STORES_STARTING = 1
    make_store("provisioning", owner=User.objects.create_user("emil", max_stores=5))
    Store.objects.filter(pk=store.pk).update(status="requested", message=IN_LINE)
    Heartbeat.beat(Heartbeat.WATCHER)
    Heartbeat.beat(Heartbeat.WORKER)
    store.refresh_from_db()
    return store


@pytest.fixture
def kept(settings) -> None:
    """What all pages tell alike is known, as it is when somebody asked a moment ago."""
    settings.SHARED_SECONDS = 60
    caches["process"].clear()
    yield
    caches["process"].clear()


@pytest.fixture
def unknown(kept) -> None:
    """The same, where nobody has asked yet: the page has to."""
    caches["process"].clear()


@pytest.mark.parametrize("who", ["owner", "viewer", "manager", "support"])
def test_the_page_of_a_store_takes_at_most_eight_queries(
    who, people, store, unknown, django_assert_max_num_queries
):
    # That support looks into it is written down, once.
    people[who].get(store.get_absolute_url())
    caches["process"].clear()
    with django_assert_max_num_queries(PAGE):
        assert people[who].get(store.get_absolute_url()).status_code == 200


@pytest.mark.parametrize("who", ["owner", "viewer", "manager"])
def test_the_list_takes_at_most_eight_queries_with_search_filter_and_a_line(
    who, people, waits, unknown, django_assert_max_num_queries
):
    with django_assert_max_num_queries(PAGE):
        assert people[who].get("/stores/?q=anna&status=requested").status_code == 200


def test_a_store_that_waits_in_line_takes_no_more(
    people, waits, kept, django_assert_max_num_queries
):
    url = waits.get_absolute_url()
    page = people["owner"].get(url).content.decode()
    assert "Next in line" in page
    with django_assert_max_num_queries(PAGE):
        people["owner"].get(url)
    with django_assert_max_num_queries(FRAGMENT):
        assert people["owner"].get(asks(page)).status_code == 204


@pytest.mark.parametrize("who", ["owner", "viewer", "manager"])
@pytest.mark.parametrize("where", ["store", "list"])
def test_a_fragment_without_news_takes_at_most_three(
    who, where, people, store, kept, django_assert_max_num_queries
):
    url = store.get_absolute_url() if where == "store" else reverse("store-list")
    asked = asks(people[who].get(url).content.decode())
    with django_assert_max_num_queries(FRAGMENT):
        assert people[who].get(asked).status_code == 204


def test_what_all_pages_tell_alike_takes_one_query_more_and_is_kept_a_second(
    people, store, kept, django_assert_num_queries
):
    url = store.get_absolute_url()
    asked = {who: asks(people[who].get(url).content.decode()) for who in ("owner", "viewer")}
    caches["process"].clear()
    with django_assert_num_queries(FRAGMENT + 1):
        people["owner"].get(asked["owner"])
    with django_assert_num_queries(FRAGMENT):
        people["viewer"].get(asked["viewer"])


def test_what_is_kept_is_told_anew_after_that_time(people, store, settings, as_carol):
    asked = asks(people["owner"].get(store.get_absolute_url()).content.decode())
    caches["process"].clear()
    settings.SHARED_SECONDS = 0.2
    assert people["owner"].get(asked).status_code == 204
    pause_provisioning("New disks.", actor=as_carol)
    time.sleep(0.25)
    assert "New disks." in people["owner"].get(asked).content.decode()


# Of those that wait for something, there are few.
WHOLE = re.compile(r"SCAN (stores_\w+)(?! USING (COVERING )?INDEX store_waits)")
SMALL = {"stores_heartbeat", "stores_pause"}


@pytest.mark.parametrize("where", ["store", "list"])
def test_no_page_reads_a_whole_table(where, people, waits, unknown):
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL reads small tables whole, whatever indexes there are")
    url = waits.get_absolute_url() if where == "store" else "/stores/?q=anna&status=requested"
    with CaptureQueriesContext(connection) as captured:
        people["viewer"].get(url)
    read = {table: sql for sql in selects(captured) for table in read_whole(sql)}
    assert {table: sql for table, sql in read.items() if table not in SMALL} == {}


def selects(captured: CaptureQueriesContext) -> list[str]:
    return [query["sql"] for query in captured if query["sql"].startswith("SELECT")]


def read_whole(sql: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}".replace("%", "%%"), [])
        return {found[1] for row in cursor.fetchall() if (found := WHOLE.match(row[3]))}
