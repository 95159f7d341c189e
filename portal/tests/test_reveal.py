"""The initial password: shown once, to whoever may see it and knows their own password."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from portal.tests.conftest import browser_of, long_after
from stores.models import AuditEvent, Consent, Inquiry, Share, Store, User
from stores.tests.people import PASSWORD

if TYPE_CHECKING:
    from portal.tests.shops import Shop

pytest_plugins = ["portal.tests.shops"]
REVEALS = {"action__startswith": "store.reveal"}


def url(store: Store) -> str:
    return reverse("store-reveal", args=[store.pk])


def token(client: Client, store: Store) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get(url(store)).content.decode())
    assert found
    return found[1]


def ask(client: Client, store: Store, password: str = PASSWORD) -> HttpResponse:
    return client.post(url(store), {"token": token(client, store), "password": password})


def events() -> list[str]:
    found = AuditEvent.objects.filter(**REVEALS).order_by("id")
    return list(found.values_list("action", flat=True))


# --- Shown once --------------------------------------------------------------------------


def test_the_owner_sees_user_name_and_initial_password_and_how_to_reset_it(
    shop: Shop, answering: None, at_alice: Client
) -> None:
    page = ask(at_alice, shop.store)
    text = page.content.decode()
    assert page.status_code == 200
    assert shop.secret["admin-user"] in text
    assert shop.secret["admin-password"] in text
    assert "Lost your password?" in text and "Users" in text
    assert "Initial password" in text


def test_nobody_keeps_a_copy_of_the_page(shop: Shop, answering: None, at_alice: Client) -> None:
    page = ask(at_alice, shop.store)
    assert "no-store" in page["Cache-Control"] and "private" in page["Cache-Control"]
    # Off the screen after a minute, without any script too.
    assert page["Refresh"] == f"60; url={url(shop.store)}"
    # Nor do cookies, the session or the next page.
    session = str(dict(at_alice.session))
    after = at_alice.get(url(shop.store)).content.decode()
    for secret in shop.secret.values():
        assert secret not in session + after + str(at_alice.cookies)
    # "alice@example.com" is in there, too, which is no secret.


def test_what_was_shown_is_not_shown_again_by_the_same_form(
    shop: Shop, answering: None, at_alice: Client
) -> None:
    form = {"token": token(at_alice, shop.store), "password": PASSWORD}
    assert at_alice.post(url(shop.store), form).status_code == 200
    again = at_alice.post(url(shop.store), form)
    assert again.status_code == 410
    assert "shown once already" in again.content.decode()
    assert shop.secret["admin-password"] not in again.content.decode()
    assert events() == ["store.reveal"]
    # But asked for again it is.
    assert shop.secret["admin-password"] in ask(at_alice, shop.store).content.decode()


def test_looking_is_in_the_history_once_and_nothing_of_the_secret_is_anywhere(
    shop: Shop, answering: None, at_alice: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        ask(at_alice, shop.store)
    assert events() == ["store.reveal"]
    assert not Inquiry.objects.exists()
    assert shop.secret["admin-password"] not in caplog.text
    assert "asked to see the initial password" in at_alice.get(
        reverse("store-history", args=[shop.store.pk])
    ).content.decode()  # fmt: skip


def test_the_form_itself_holds_no_secret_and_takes_a_post(shop: Shop, at_alice: Client) -> None:
    page = at_alice.get(url(shop.store)).content.decode()
    assert shop.secret["admin-password"] not in page
    assert 'method="post"' in page
    assert 'autocomplete="current-password"' in page
    assert events() == []


# --- Who may -----------------------------------------------------------------------------


def test_another_password_shows_nothing_and_is_in_the_history(
    shop: Shop, answering: None, at_alice: Client
) -> None:
    page = ask(at_alice, shop.store, "not my password")
    assert page.status_code == 200
    assert "That is not your password" in page.content.decode()
    assert "not my password" not in page.content.decode()
    assert events() == ["store.reveal_refused"]
    assert not Inquiry.objects.exists()


def test_after_some_wrong_passwords_the_right_one_is_not_looked_at_either(
    shop: Shop, answering: None, at_alice: Client, settings: Any
) -> None:
    settings.HOURLY_LIMITS = {**settings.HOURLY_LIMITS, "store.reveal_refused": 2}
    for _ in range(2):
        assert ask(at_alice, shop.store, "wrong").status_code == 200
    limited = ask(at_alice, shop.store)
    assert limited.status_code == 429
    assert int(limited["Retry-After"]) > 3000
    assert shop.secret["admin-password"] not in limited.content.decode()
    assert events() == ["store.reveal_refused"] * 2


def test_it_is_shown_only_so_often_within_an_hour(
    shop: Shop, answering: None, at_alice: Client, settings: Any
) -> None:
    settings.HOURLY_LIMITS = {**settings.HOURLY_LIMITS, "store.reveal": 1}
    assert ask(at_alice, shop.store).status_code == 200
    limited = ask(at_alice, shop.store)
    assert (limited.status_code, "Retry-After" in limited) == (429, True)
    assert events() == ["store.reveal"]
    assert not Inquiry.objects.exists()


def share(store: Store, user: User, role: str) -> None:
    Share.objects.create(
        store=store, email=user.email, role=role, user=user, accepted_at=store.ready_at
    )


def test_a_manager_may_look_and_a_viewer_may_not(
    shop: Shop, answering: None, bob: User, at_bob: Client
) -> None:
    share(shop.store, bob, "viewer")
    assert at_bob.get(url(shop.store)).status_code == 403
    assert at_bob.post(url(shop.store), {"password": PASSWORD}).status_code == 403
    Share.objects.update(role="manager")
    assert shop.secret["admin-password"] in ask(at_bob, shop.store).content.decode()


def test_support_may_look_with_the_owners_consent_only(
    shop: Shop, answering: None, at_carol: Client
) -> None:
    assert at_carol.get(url(shop.store)).status_code == 404
    now = shop.store.ready_at
    Consent.objects.create(store=shop.store, given_at=now, ends_at=now.replace(year=now.year + 1))
    assert shop.secret["admin-password"] in ask(at_carol, shop.store).content.decode()
    event = AuditEvent.objects.get(action="store.reveal")
    assert event.actor.username == "carol"


def test_a_right_that_is_taken_away_while_somebody_waits_is_gone(
    shop: Shop, answering: None, bob: User, at_bob: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    share(shop.store, bob, "manager")
    form = {"token": token(at_bob, shop.store), "password": PASSWORD}
    get = shop.cluster.get

    def taken_away(*args: Any) -> Any:
        Share.objects.all().delete()
        return get(*args)

    monkeypatch.setattr(shop.cluster, "get", taken_away)
    page = at_bob.post(url(shop.store), form)
    assert page.status_code == 503
    monkeypatch.undo()
    assert shop.secret["admin-password"] not in page.content.decode()
    assert events() == ["store.reveal", "store.reveal_unanswered"]


@pytest.fixture
def without_password(alice: User) -> User:
    alice.set_unusable_password()
    alice.save()
    return alice


def test_who_signs_in_elsewhere_must_have_done_so_a_moment_ago(
    shop: Shop, answering: None, without_password: User
) -> None:
    client = long_after(browser_of(without_password))
    for asked in (client.get(url(shop.store)), client.post(url(shop.store), {"token": "x"})):
        assert asked.status_code == 403
        assert "Log out, log in again" in asked.content.decode()
    assert events() == []
    client = browser_of(without_password)
    form = {"token": token(client, shop.store)}
    assert shop.secret["admin-password"] in client.post(url(shop.store), form).content.decode()


def test_who_has_a_second_factor_and_no_password_shows_that_again(
    shop: Shop, answering: None, without_password: User
) -> None:
    Authenticator.objects.create(user=without_password, type=Authenticator.Type.TOTP, data={})
    asked = long_after(browser_of(without_password)).get(url(shop.store))
    assert asked.status_code == 302
    assert asked.url.startswith(reverse("mfa_reauthenticate"))
    assert parse_qs(urlsplit(asked.url).query)["next"] == [url(shop.store)]


# --- Nobody answers ----------------------------------------------------------------------


def test_where_nobody_answers_that_is_said_and_nothing_stays(
    shop: Shop, at_alice: Client, settings: Any
) -> None:
    settings.REVEAL_WAIT_SECONDS = 0.3
    began = time.monotonic()
    page = ask(at_alice, shop.store)
    assert time.monotonic() - began < 5
    assert page.status_code == 503
    assert "Nobody has answered in time" in page.content.decode()
    assert not Inquiry.objects.exists()
    assert events() == ["store.reveal", "store.reveal_unanswered"]


def test_no_transaction_is_held_while_a_page_waits(
    shop: Shop, at_alice: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REVEAL_WAIT_SECONDS = 0.3
    held = []
    monkeypatch.setattr(time, "sleep", lambda seconds: held.append(connection.in_atomic_block))
    ask(at_alice, shop.store)
    assert held and not any(held)


@pytest.mark.parametrize("status", ["requested", "provisioning", "closing", "deleting", "deleted"])
def test_a_store_without_a_shop_that_answers_has_no_password_to_show(
    status: str, make_store: Callable[..., Store], at_alice: Client
) -> None:
    store = make_store(status)
    page = at_alice.get(url(store)).content.decode()
    assert 'name="password"' not in page
    assert at_alice.post(url(store), {"token": "x", "password": PASSWORD}).status_code == 410
    assert events() == []
