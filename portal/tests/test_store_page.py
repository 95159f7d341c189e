"""What the page of a store holds, and how little of it is sent again."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.tests.conftest import browser_of
from portal.tests.test_fragments import asks
from stores.lifecycle import Status
from stores.models import Share, Store, User
from stores.services import refresh_store

STATUSES = [status.value for status in Status]
USAGE = {
    "requests.cpu": {"used": "1500m", "hard": "4"},
    "limits.memory": {"used": "8Gi", "hard": "8Gi"},
}


@pytest.fixture
def dora(db) -> User:
    return User.objects.create_user("dora", "dora@example.com")


def share(store: Store, person: User, role: str) -> Client:
    Share.objects.create(
        store=store, email=person.email, user=person, role=role, accepted_at=timezone.now()
    )
    return browser_of(person)


def read(client: Client, store: Store) -> str:
    return client.get(store.get_absolute_url()).content.decode()


# --- What it holds -------------------------------------------------------------------------


def test_the_addresses_come_first(at_alice, store):
    page = read(at_alice, store)
    order = ["Addresses", store.admin_url, "What you can do", "Facts"]
    assert [page.index(text) for text in order] == sorted(page.index(text) for text in order)


def test_each_address_can_be_copied(at_alice, store):
    page = read(at_alice, store)
    assert f'data-copy="{store.url}"' in page and f'data-copy="{store.admin_url}"' in page


@pytest.mark.parametrize("status", STATUSES)
def test_headings_go_down_one_level_at_a_time(status, at_alice, make_store, as_alice):
    store = make_store(status)
    if status == "ready":
        refresh_store(store, actor=as_alice)
    levels = [int(level) for level in re.findall(r"<h([1-6])", read(at_alice, store))]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


@pytest.mark.parametrize("status", STATUSES)
def test_every_id_is_there_once_and_every_reference_leads_to_one(status, at_alice, make_store):
    page = read(at_alice, make_store(status))
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    named = re.findall(r' (?:aria-labelledby|aria-describedby|for)="([^"]+)"', page)
    assert {word for names in named for word in names.split()} <= set(ids)


@pytest.mark.parametrize("status", STATUSES)
def test_whatever_can_have_the_focus_has_a_name_that_stays(status, at_alice, make_store):
    """A fragment is morphed into the page: by its id an element is the same one as before."""
    store = make_store(status)
    fragment = at_alice.get(reverse("store-status", args=[store.pk])).content.decode()
    focusable = re.findall(r"<(?:a|button|summary|input)\b[^>]*>", fragment)
    # What is off or hidden takes no focus; a summary is found through its details.
    never = re.compile(r"^<summary|\bdisabled\b|type=\"hidden\"")
    assert [tag for tag in focusable if " id=" not in tag and not never.search(tag)] == []
    assert all("id=" in tag for tag in re.findall(r"<details\b[^>]*>", fragment))


def test_what_is_used_is_a_bar_with_its_value_in_words(at_alice, store):
    assert 'id="usage"' not in read(at_alice, store)
    Store.objects.filter(pk=store.pk).update(usage=USAGE)
    page = read(at_alice, store)
    assert "1.5 of 4" in page and 'value="38" aria-labelledby="usage-1"' in page
    assert "8 GiB of 8 GiB" in page and 'class="meter tone-going"' in page


def test_what_is_over_and_went_well_is_folded(at_alice, make_store):
    ready, failed = read(at_alice, make_store("ready")), read(at_alice, make_store("failed"))
    assert '<details id="steps-' in ready and "how long each took" not in failed
    assert '<details id="steps-' not in failed


def test_an_operation_says_how_long_it_took(at_alice, store):
    operation = store.operations.get()
    ended = operation.requested_at + timezone.timedelta(minutes=2, seconds=5)
    store.operations.update(finished_at=ended)
    assert "took 2 min 5 s" in read(at_alice, store)


def test_a_step_under_way_shows_how_far_the_operation_is(at_alice, make_store):
    page = read(at_alice, make_store("provisioning"))
    assert "1 of 6 steps" in page and '<progress class="meter tone-busy" max="6" value="1"' in page


# --- The initial password ------------------------------------------------------------------


@pytest.mark.parametrize("role", ["manager", "viewer"])
def test_only_who_may_read_the_password_is_offered_it(role, store, dora):
    Store.objects.filter(pk=store.pk).update(ready_at=timezone.now())
    page = read(share(store, dora, role), store)
    assert ('id="do-reveal"' in page) is (role == "manager")
    if role == "viewer":
        assert 'disabled aria-describedby="why-reveal"' in page
        assert "Ask its owner to make you a manager." in page


@pytest.mark.parametrize(
    ("status", "why_not"),
    [
        ("provisioning", "there is a password as soon as the store is ready"),
        ("closing", "Keep the store first"),
        ("deleting", "The shop is closed"),
    ],
)
def test_where_there_is_no_password_the_button_says_why(status, why_not, at_alice, make_store):
    page = read(at_alice, make_store(status))
    assert 'disabled aria-describedby="why-reveal"' in page and why_not in page


# --- How little is sent --------------------------------------------------------------------


def test_what_went_on_before_is_not_sent_again_while_it_is_the_same(at_alice, make_store):
    store = make_store("provisioning")
    page = read(at_alice, store)
    assert "asked for this store" in page
    Store.objects.filter(pk=store.pk).update(revision=1000)
    fragment = at_alice.get(asks(page)).content.decode()
    assert 'id="past" hx-preserve></div>' in fragment and "asked for this store" not in fragment
    # The versions go on from there.
    assert at_alice.get(asks(fragment)).status_code == 204


def test_what_went_on_before_is_sent_when_there_is_something_new(at_alice, store, as_alice):
    page = read(at_alice, store)
    refresh_store(store, actor=as_alice)
    fragment = at_alice.get(asks(page)).content.decode()
    assert "hx-preserve" not in fragment
    assert "asked for a refresh" in fragment and "What went on earlier (1)" in fragment


def test_the_page_itself_is_always_whole(at_alice, store):
    assert "hx-preserve" not in read(at_alice, store)
    alone = at_alice.get(reverse("store-status", args=[store.pk])).content.decode()
    assert "hx-preserve" not in alone and "asked for this store" in alone


def test_nothing_of_the_past_is_asked_for_when_nothing_changed(at_alice, store):
    asked = asks(read(at_alice, store))
    with CaptureQueriesContext(connection) as queries:
        assert at_alice.get(asked).status_code == 204
    sql = " ".join(query["sql"] for query in queries)
    for table in ("stores_auditevent", "stores_operation", "stores_operationstep"):
        assert f'"{table}"' not in sql


def test_another_role_is_another_page(store, dora):
    at_dora = share(store, dora, "viewer")
    asked = asks(read(at_dora, store))
    assert at_dora.get(asked).status_code == 204
    Share.objects.update(role="manager")
    assert 'id="do-refresh"' in at_dora.get(asked).content.decode()
