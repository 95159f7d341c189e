"""Logging in at a company's own identity provider: a small real one that listens on loopback."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from portal.invitations import path_of
from portal.tests.conftest import brought_to, long_after
from portal.tests.test_headers import check
from stores.models import Store, User
from stores.tests.people import PASSWORD, enrol

LOGIN = "/account/oidc/oidc/login/"


class Provider(ThreadingHTTPServer):
    """Says of whoever comes what ``claims`` holds; ``asked``: what was sent for the token."""

    claims: dict[str, Any]
    asked: dict[str, list[str]]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        here = self.server.address
        if self.path == "/.well-known/openid-configuration":
            return self.say(
                {
                    "issuer": here,
                    "authorization_endpoint": f"{here}/authorize",
                    "token_endpoint": f"{here}/token",
                    "userinfo_endpoint": f"{here}/userinfo",
                    "jwks_uri": f"{here}/jwks",
                }
            )
        assert self.path == "/userinfo" and self.headers["Authorization"] == "Bearer a-token"
        return self.say(self.server.claims)

    def do_POST(self) -> None:
        assert self.path == "/token"
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked = parse_qs(sent)
        self.say({"access_token": "a-token", "token_type": "Bearer"})

    def say(self, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def provider(settings) -> Iterator[Provider]:
    server = Provider(("127.0.0.1", 0), Answer)
    server.claims = {"sub": "1", "email": "erik@example.com", "email_verified": True}
    app = {
        "provider_id": "oidc",
        "name": "Example Ltd",
        "client_id": "storeyard",
        "secret": "a secret",
        "settings": {"server_url": server.address},
    }
    settings.OIDC_ISSUER, settings.OIDC_SIGNUP = server.address, "open"
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}
    }
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def log_in(client: Client, address: str = LOGIN) -> HttpResponse:
    """As a browser: away to the provider, which sends it back with a code."""
    away = client.post(address)
    asked = {key: value[0] for key, value in parse_qs(urlsplit(away.url).query).items()}
    assert asked["code_challenge_method"] == "S256"
    back = urlsplit(asked["redirect_uri"]).path
    return client.get(back, {"code": "a-code", "state": asked["state"]})


def is_in(client: Client) -> bool:
    return client.get("/stores/").status_code == 200


def test_a_new_person_gets_an_account_and_is_in_and_the_next_time_is_the_same_one(
    provider, client, db
):
    log_in(client)
    assert is_in(client)
    assert provider.asked["code_verifier"]
    (erik,) = User.objects.all()
    again = Client()
    log_in(again)
    assert is_in(again)
    assert User.objects.get() == erik


def test_a_get_sends_nobody_away(provider, client, db):
    assert client.get(LOGIN).status_code == 200
    assert not SocialAccount.objects.exists()


def test_an_answer_that_nobody_asked_for_lets_nobody_in(provider, client, db):
    client.get(f"{LOGIN}callback/", {"code": "a-code", "state": "made-up"})
    assert not is_in(client) and not User.objects.exists()


@pytest.mark.parametrize("who", ["closed", "invitation"])
def test_a_new_person_gets_no_account_where_nobody_may_make_one(
    who, provider, client, db, settings
):
    settings.OIDC_SIGNUP = who
    log_in(client)
    assert not is_in(client) and not User.objects.exists()


@pytest.mark.parametrize(
    ("invited", "verified", "let_in"),
    [
        ("erik@example.com", True, True),
        ("erik@example.com", False, False),
        ("frida@example.com", True, False),
    ],
)
def test_an_invitation_is_good_for_its_own_address_as_the_provider_has_proved_it(
    invited, verified, let_in, provider, client, db, settings
):
    settings.OIDC_SIGNUP = "invitation"
    provider.claims["email_verified"] = verified
    client.get(path_of(invited))
    log_in(client)
    assert is_in(client) is let_in
    assert User.objects.exists() is let_in


def test_who_has_an_account_there_gets_in_although_no_new_ones_are_made(
    provider, client, db, settings
):
    log_in(client)
    settings.OIDC_SIGNUP = "closed"
    again = Client()
    log_in(again)
    assert is_in(again)


@pytest.mark.parametrize("verified", [True, False])
@pytest.mark.parametrize("confirmed", [True, False])
def test_a_known_address_is_not_taken_over(verified, confirmed, provider, client, alice):
    if confirmed:
        EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    provider.claims = {"sub": "2", "email": "Alice@example.com", "email_verified": verified}
    log_in(client)
    assert not is_in(client)
    assert User.objects.get() == alice
    assert not SocialAccount.objects.exists()
    alice.refresh_from_db()
    assert alice.check_password(PASSWORD)


def test_an_address_that_the_provider_has_not_proved_is_confirmed_by_a_letter(provider, client, db):
    provider.claims["email_verified"] = False
    log_in(client)
    assert not is_in(client)
    assert [letter.to for letter in mail.outbox] == [["erik@example.com"]]
    assert not EmailAddress.objects.filter(verified=True).exists()


def test_the_second_factor_is_asked_for_all_the_same(provider, client, db):
    log_in(client)
    enrol(User.objects.get())
    again = Client()
    assert log_in(again).url.startswith("/account/2fa/")
    assert not is_in(again)


# --- Showing once more who one is --------------------------------------------------------


@pytest.fixture
def at_erik(provider: Provider, client: Client, db: None) -> Client:
    """Of somebody who has neither a password nor a second factor, and logged in long ago."""
    log_in(client)
    return long_after(client)


@pytest.fixture
def eriks(at_erik: Client) -> Store:
    erik = User.objects.get()
    erik.max_stores = 1
    erik.save()
    return brought_to("ready", "Erik’s Kayaks", erik, "eriks-kayaks")


def deletion_of(store: Store) -> str:
    return reverse("store-delete", args=[store.pk])


def again(client: Client, page: str) -> HttpResponse:
    """As a person: the button of the page that asks, and what the provider answers to that."""
    shown = client.get(page)
    check(shown)
    (address,) = re.findall(r'action="(/account/oidc/[^"]+)"', shown.content.decode())
    return log_in(client, address.replace("&amp;", "&"))


@pytest.mark.parametrize("route", ["store-delete", "store-reveal"])
def test_who_logs_in_there_only_is_sent_there_again_and_led_back(route, at_erik, eriks):
    page = reverse(route, args=[eriks.pk])
    asks = at_erik.get(page)
    assert asks.url == f"{reverse('account-prove-elsewhere')}?next={page.replace('/', '%2F')}"
    assert again(at_erik, asks.url).url == page
    assert at_erik.get(page).status_code == 200


def test_the_provider_is_told_to_ask_although_it_still_knows_them(at_erik, eriks):
    shown = at_erik.get(at_erik.get(deletion_of(eriks)).url).content.decode()
    (address,) = re.findall(r'action="(/account/oidc/[^"]+)"', shown)
    away = at_erik.post(address.replace("&amp;", "&")).url
    assert parse_qs(urlsplit(away).query)["prompt"] == ["login"]


def test_without_that_nothing_is_deleted_and_nobody_let_in(at_erik, eriks):
    at_erik.post(deletion_of(eriks), {"address": eriks.address})
    people = reverse("store-people", args=[eriks.pk])
    answer = at_erik.post(people, {"email": "dora@example.com", "role": "manager"})
    assert answer.url.startswith(reverse("account-prove-elsewhere"))
    eriks.refresh_from_db()
    assert eriks.status == "ready" and not eriks.shares.exists()


@pytest.mark.parametrize("route", ["account_set_password", "mfa_activate_totp"])
def test_nobody_gets_a_first_password_or_factor_out_of_an_open_browser(route, at_erik):
    answer = at_erik.get(reverse(route))
    assert answer.url.startswith(reverse("account-prove-elsewhere"))
    assert again(at_erik, answer.url).url == reverse(route)
    assert at_erik.get(reverse(route)).status_code == 200


def test_another_address_needs_it_too(at_erik):
    wanted = {"action_add": "", "email": "new@example.com"}
    answer = at_erik.post(reverse("account_email"), wanted)
    assert answer.url.startswith(reverse("account-prove-elsewhere"))
    assert not EmailAddress.objects.filter(email="new@example.com").exists()


def test_who_comes_back_as_somebody_else_is_somebody_else(provider, at_erik, eriks):
    provider.claims = {"sub": "2", "email": "frida@example.com", "email_verified": True}
    page = deletion_of(eriks)
    again(at_erik, at_erik.get(page).url)
    assert at_erik.get(page).status_code == 404


def test_whose_provider_is_no_more_logs_out_and_in_again(at_erik, eriks, settings):
    settings.SOCIALACCOUNT_PROVIDERS = {}
    assert at_erik.get(deletion_of(eriks)).url.startswith(reverse("account_logout"))
    assert at_erik.get(reverse("account-prove-elsewhere")).status_code == 404
