"""The live parts: how often they ask, what they send, and when they stop."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from stores.actor import SYSTEM
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Store, User
from stores.services import pause_provisioning, resume_provisioning, set_quota

AWAY = Message("cluster-unavailable").as_json()
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/stores/?status=ready"}


def asks(html: str) -> str:
    """The address that the fragment in this page asks, version included; empty for none."""
    found = re.search(r'data-live[^>]*?hx-get="([^"]+)"', html)
    return found[1].replace("&amp;", "&") if found else ""


def interval(html: str) -> str:
    found = re.search(r'data-live[^>]*hx-trigger="every (\w+)"', html)
    return found[1] if found else "never"


@pytest.mark.parametrize(
    ("status", "every"),
    [
        ("requested", "1s"),
        ("provisioning", "1s"),
        ("updating", "1s"),
        ("closing", "1s"),
        ("deleting", "1s"),
        ("ready", "3s"),
        ("failed", "3s"),
        ("deleted", "never"),
    ],
)
def test_a_store_is_asked_for_every_second_under_way_less_when_settled_never_when_gone(
    status, every, at_alice, make_store
):
    store = make_store(status)
    page = at_alice.get(store.get_absolute_url()).content.decode()
    alone = at_alice.get(reverse("store-status", args=[store.pk])).content.decode()
    assert interval(page) == interval(alone) == every
    if every == "never":
        assert 'hx-get="' not in alone


def test_a_list_is_asked_for_every_second_while_any_store_is_under_way(at_alice, make_store):
    make_store("ready")
    assert interval(at_alice.get("/stores/").content.decode()) == "3s"
    make_store("provisioning")
    assert interval(at_alice.get("/stores/").content.decode()) == "1s"


@pytest.mark.parametrize("page", ["/stores/", "/stores/?q=anna&status=ready", "detail"])
def test_a_version_that_is_current_gets_an_empty_204(page, at_alice, store):
    url = store.get_absolute_url() if page == "detail" else page
    response = at_alice.get(asks(at_alice.get(url).content.decode()))
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("page", ["/stores/", "detail"])
def test_what_changed_comes_as_a_fragment_alone(page, at_alice, store):
    url = store.get_absolute_url() if page == "detail" else page
    asked = asks(at_alice.get(url).content.decode())
    store.move_to(Status.UPDATING, actor=SYSTEM)
    response = at_alice.get(asked)
    html = response.content.decode()
    assert response.status_code == 200 and "Updating" in html
    assert "<html" not in html and html.count("data-live") == 1
    assert asks(html) != asked


def test_a_changed_quota_is_a_new_version_of_the_list(at_alice, store, alice, as_carol):
    asked = asks(at_alice.get("/stores/").content.decode())
    set_quota(alice, 7, actor=as_carol)
    assert "1 of 7 stores" in at_alice.get(asked).content.decode()


def test_a_new_store_is_a_new_version_of_an_empty_list(at_alice, make_store):
    asked = asks(at_alice.get("/stores/").content.decode())
    make_store("requested", name="Brand new")
    assert "Brand new" in at_alice.get(asked).content.decode()


@pytest.mark.parametrize("page", ["/stores/", "detail"])
def test_an_outage_comes_and_goes_without_a_reload(page, at_alice, store, bob, make_store):
    other = make_store("provisioning", owner=bob)
    url = store.get_absolute_url() if page == "detail" else page
    asked = asks(at_alice.get(url).content.decode())
    Store.objects.filter(pk=other.pk).update(outage_since=timezone.now(), message=AWAY)
    html = at_alice.get(asked).content.decode()
    assert "The cluster cannot be reached" in html
    Store.objects.filter(pk=other.pk).update(outage_since=None)
    assert "The cluster cannot be reached" not in at_alice.get(asks(html)).content.decode()


@pytest.mark.parametrize("page", ["/stores/", "detail"])
def test_a_pause_comes_changes_and_goes_without_a_reload(page, at_alice, store, as_carol):
    url = store.get_absolute_url() if page == "detail" else page
    asked = asks(at_alice.get(url).content.decode())
    for reason in ("New disks.", "Newer disks."):
        pause_provisioning(reason, actor=as_carol)
        html = at_alice.get(asked).content.decode()
        assert f"“{reason}”" in html
        asked = asks(html)
        assert at_alice.get(asked).status_code == 204
    resume_provisioning(actor=as_carol)
    assert "disks" not in at_alice.get(asked).content.decode()


def test_what_is_said_once_costs_the_same_however_many_say_it(
    at_alice, alice, make_store, django_assert_num_queries
):
    User.objects.filter(pk=alice.pk).update(max_stores=100)
    alice.refresh_from_db()
    asked = asks(at_alice.get(make_store("ready").get_absolute_url()).content.decode())
    with CaptureQueriesContext(connection) as alone:
        at_alice.get(asked)
    queries = len(alone)
    for _ in range(5):
        waiting = make_store("provisioning")
        Store.objects.filter(pk=waiting.pk).update(outage_since=timezone.now(), message=AWAY)
    html = at_alice.get(asked).content.decode()
    assert html.count("notice-outage") == 1
    with django_assert_num_queries(queries):
        assert at_alice.get(asks(html)).status_code == 204


def test_the_fragment_keeps_search_filter_and_page(at_alice, alice, make_store):
    User.objects.filter(pk=alice.pk).update(max_stores=100)
    alice.refresh_from_db()
    for number in range(26):
        make_store("ready", name=f"Shop {number}")
    page = at_alice.get("/stores/?q=shop&status=ready&page=2").content.decode()
    assert "q=shop&status=ready&page=2&version=" in asks(page)


@pytest.mark.parametrize("route", ["store-status", "store-rows", "address-check"])
def test_an_expired_login_sends_the_whole_page_to_the_login(route, store):
    args = [store.pk] if route == "store-status" else []
    response = Client().get(reverse(route, args=args), headers=HTMX)
    assert response["HX-Redirect"] == "/account/login/?next=/stores/%3Fstatus%3Dready"
    assert response.content == b""
