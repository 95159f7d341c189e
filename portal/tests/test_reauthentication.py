"""What needs a fresh proof of who one is, and how it is asked for."""

from __future__ import annotations

import time

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django_htmx.middleware import HtmxDetails

from portal.access import reauthenticated
from portal.tests.conftest import browser_of, long_after
from stores.models import User
from stores.tests.people import PASSWORD

SECRET = "the secret"


@pytest.fixture
def at_alice(alice: User) -> Client:
    return long_after(browser_of(alice))


@reauthenticated
def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(SECRET)


def asked(client: Client, user: User, **headers: str) -> HttpResponse:
    """What the page answers in this browser's session."""
    request = RequestFactory().get("/secret/?tab=2", headers=headers)
    request.session, request.user, request.htmx = client.session, user, HtmxDetails(request)
    return page(request)


def test_a_login_is_a_proof_for_a_while(client, alice, monkeypatch, settings):
    client.post(reverse("account_login"), {"login": alice.username, "password": PASSWORD})
    assert asked(client, alice).content.decode() == SECRET
    assert client.get(reverse("mfa_activate_totp")).status_code == 200
    later = time.time() + settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert asked(client, alice).status_code == 302
    assert client.get(reverse("mfa_activate_totp")).status_code == 302


def test_being_logged_in_is_not_enough(at_alice, alice):
    answer = asked(at_alice, alice)
    assert answer.url == reverse("account_reauthenticate") + "?next=%2Fsecret%2F%3Ftab%3D2"


def test_a_fragment_sends_the_whole_page_there(at_alice, alice):
    answer = asked(at_alice, alice, hx_request="true")
    assert answer["HX-Redirect"].startswith(reverse("account_reauthenticate"))


def prove(client: Client, password: str = PASSWORD, **more: str) -> HttpResponse:
    data = {"password": password, "next": "/secret/", **more}
    return client.post(reverse("account_reauthenticate"), data)


def test_the_password_opens_the_page_and_leads_back_to_it(at_alice, alice):
    assert prove(at_alice).url == "/secret/"
    assert asked(at_alice, alice).content.decode() == SECRET


def test_a_wrong_password_opens_nothing(at_alice, alice):
    assert prove(at_alice, "wrong").status_code == 200
    assert asked(at_alice, alice).status_code == 302


def test_after_a_while_it_is_asked_again(at_alice, alice, monkeypatch, settings):
    prove(at_alice)
    later = time.time() + settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert asked(at_alice, alice).status_code == 302


def test_a_proof_never_leads_to_another_site(at_alice):
    assert "evil.example" not in prove(at_alice, next="https://evil.example/").url


def test_another_address_is_added_only_after_the_password(at_alice, alice):
    wanted = {"action_add": "", "email": "new@example.com"}
    answer = at_alice.post(reverse("account_email"), wanted)
    assert answer.url.startswith(reverse("account_reauthenticate"))
    assert not alice.emailaddress_set.filter(email="new@example.com").exists()
    prove(at_alice)
    at_alice.post(reverse("account_email"), wanted)
    assert alice.emailaddress_set.filter(email="new@example.com").exists()
