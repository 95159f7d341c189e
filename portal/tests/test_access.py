"""Who gets to see what, on every address there is."""

import re

import pytest
from django.apps import apps
from django.test import Client
from django.urls import reverse

from portal.tests.conftest import browser_of
from portal.tests.routes import address, names_of_store_routes
from stores.tests.people import PASSWORD

STORE_ROUTES = names_of_store_routes()


def body(response) -> str:
    """Without what differs between any two answers: the reference and the masked token."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "REFERENCE", response.content.decode())
    return re.sub(r'value="\w{64}"', "TOKEN", text)


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


@pytest.mark.parametrize(
    "url", ["admin:stores_store_changelist", "admin:stores_auditevent_changelist"]
)
def test_looking_in_the_admin_changes_nothing(url, store, at_carol):
    before = rows()
    assert at_carol.get(reverse(url)).status_code == 200
    assert at_carol.get(reverse("admin:stores_store_change", args=[store.pk])).status_code == 200
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
