"""Logging in at a company's own identity provider: a small real one that listens on loopback."""

from __future__ import annotations

import json
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

from portal.invitations import path_of
from stores.models import User
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


def log_in(client: Client) -> HttpResponse:
    """As a browser: away to the provider, which sends it back with a code."""
    away = client.post(LOGIN)
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
