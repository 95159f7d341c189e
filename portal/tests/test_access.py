"""Who gets to see what, on every address there is."""

import re
import uuid

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from portal.tests.conftest import browser_of
from portal.tests.routes import address, all_addresses, names_of_plain_routes, names_of_store_routes
from stores.models import AuditEvent
from stores.tests.people import PASSWORD

STORE_ROUTES = names_of_store_routes()
METHODS = ("get", "post")
PUBLIC = {"healthz", "home"}


def test_the_walk_finds_the_routes():
    assert {"store-detail", "store-status", "store-delete"} <= set(STORE_ROUTES)


def body(response) -> str:
    """Without what differs between any two answers: the reference and the masked token."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "REFERENCE", response.content.decode())
    return re.sub(r'value="\w{64}"', "TOKEN", text)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", STORE_ROUTES)
def test_a_strangers_store_is_as_unknown_as_none_at_all(route, method, store, at_bob):
    before = AuditEvent.objects.count()
    foreign = getattr(at_bob, method)(address(route, store.pk))
    unknown = getattr(at_bob, method)(address(route, uuid.uuid4()))
    assert foreign.status_code == unknown.status_code
    assert foreign.status_code == 404 or foreign.status_code == 405
    assert body(foreign) == body(unknown)
    assert store.name not in body(foreign)
    store.refresh_from_db()
    assert (store.status, AuditEvent.objects.count()) == ("ready", before)


@pytest.mark.parametrize("route", STORE_ROUTES)
def test_every_route_answers_a_stranger_with_404_by_the_method_it_takes(route, store, at_bob):
    answers = {getattr(at_bob, method)(address(route, store.pk)).status_code for method in METHODS}
    assert 404 in answers


@pytest.mark.parametrize("route", sorted(set(STORE_ROUTES) - {"consent-ask"}))
def test_staff_do_not_see_a_merchants_store_in_the_portal(route, store, at_carol):
    answers = {getattr(at_carol, m)(address(route, store.pk)).status_code for m in METHODS}
    assert 404 in answers and answers <= {404, 405}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("route", STORE_ROUTES)
def test_who_is_not_logged_in_is_asked_to(route, method, store):
    response = getattr(Client(), method)(address(route, store.pk))
    if response.status_code != 405:
        assert response.status_code == 302
        assert response.url.startswith(reverse("account_login") + "?next=")


@pytest.mark.parametrize("route", sorted(set(names_of_plain_routes()) - PUBLIC))
def test_a_page_about_no_store_asks_for_a_login_too(route, db):
    response = Client().get(reverse(route))
    assert response.status_code == 302 and response.url.startswith(reverse("account_login"))


def test_after_logging_in_for_a_post_one_lands_on_the_stores_page(store):
    response = Client().post(reverse("store-retry", args=[store.pk]))
    assert response.url.endswith("?next=" + store.get_absolute_url())


def rows() -> dict[str, list[tuple]]:
    """All there is in the database, but for sessions."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values_list())
        for model in apps.get_models()
        if model._meta.label != "sessions.Session"
    }


def test_looking_at_anything_changes_nothing(make_store, at_alice, alice):
    stores = [make_store("failed"), make_store("ready"), make_store("deleting")]
    before = rows()
    for store in stores:
        for url in all_addresses(store.pk):
            assert at_alice.get(url).status_code < 500, url
    assert rows() == before


@pytest.mark.parametrize(
    "url", ["admin:stores_store_changelist", "admin:stores_auditevent_changelist"]
)
def test_looking_in_the_admin_changes_nothing(url, store, at_carol):
    before = rows()
    assert at_carol.get(reverse(url)).status_code == 200
    assert at_carol.get(reverse("admin:stores_store_change", args=[store.pk])).status_code == 200
    assert rows() == before


@pytest.mark.parametrize(
    "route", [*STORE_ROUTES, "store-create", "account_login", "account_logout"]
)
def test_a_post_without_its_token_is_refused_and_changes_nothing(route, store, alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    before = rows()
    url = address(route, store.pk) if route in STORE_ROUTES else reverse(route)
    response = client.post(url, {"address": store.address, "name": "New"})
    assert response.status_code in (403, 405)
    if response.status_code == 403:
        assert "This form is out of date" in response.content.decode()
    assert rows() == before


def test_logging_out_takes_a_post(at_alice):
    assert "Log out" in at_alice.get(reverse("account_logout")).content.decode()
    assert at_alice.get(reverse("store-list")).status_code == 200
    assert at_alice.post(reverse("account_logout")).url == reverse("account_login")
    assert at_alice.get(reverse("store-list")).status_code == 302


def test_logging_in_leads_to_the_stores(alice):
    client = Client()
    response = client.post(reverse("account_login"), {"login": "alice", "password": PASSWORD})
    assert response.url == reverse("store-list")


def test_a_login_never_leads_to_another_site(alice):
    data = {"login": "alice", "password": PASSWORD, "next": "https://evil.example/"}
    assert Client().post(reverse("account_login"), data).url == reverse("store-list")


def test_a_wrong_password_and_an_unknown_name_get_the_same_answer(alice):
    answers = {
        body(Client().post(reverse("account_login"), {"login": name, "password": "wrong"})).replace(
            name, "NAME"
        )
        for name in ("alice", "nobody")
    }
    assert len(answers) == 1


def test_a_locked_account_cannot_go_on(alice, store):
    client = browser_of(alice)
    alice.is_active = False
    alice.save()
    assert client.get(store.get_absolute_url()).status_code == 302


def test_no_copy_of_a_persons_pages_is_kept(store, at_alice):
    for route in STORE_ROUTES:
        response = at_alice.get(address(route, store.pk))
        if response.status_code == 200:
            kept = response["Cache-Control"]
            assert "no-store" in kept and "private" in kept


def test_the_health_page_asks_no_database(client):
    # No fixture gives this test a database: any query would fail it.
    response = client.get(reverse("healthz"))
    assert (response.status_code, response.content) == (200, b"ok\n")
