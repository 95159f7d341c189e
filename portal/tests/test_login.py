"""Getting in: by name or address, not by guessing, and without telling who has an account."""

from __future__ import annotations

import re
from unittest.mock import patch

import pytest
from allauth.account.models import EmailAddress
from django.contrib.auth import hashers
from django.core import mail
from django.core.cache import caches
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from stores.models import AuditEvent, User
from stores.tests.people import PASSWORD

LOGIN = "/account/login/"


def log_in(client: Client, name: str = "alice", password: str = PASSWORD, **more) -> HttpResponse:
    return client.post(LOGIN, {"login": name, "password": password}, **more)


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


def body(response: HttpResponse) -> str:
    """Without what differs between any two answers."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "REFERENCE", response.content.decode())
    return re.sub(r'value="\w{64}"', "TOKEN", text)


# --- Who gets in -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alice", "alice@example.com", "ALICE@example.com"])
def test_a_person_gets_in_by_name_or_address(name, client, alice):
    assert log_in(client, name).url == reverse("store-list")
    assert client.get(reverse("store-list")).status_code == 200


def test_the_account_that_support_made_needs_no_confirmed_address(client, alice):
    assert not EmailAddress.objects.filter(user=alice).exists()
    assert log_in(client).url == reverse("store-list")


def test_the_admin_knows_no_other_way_in(client, carol):
    answer = client.post("/admin/login/?next=/admin/", {"username": "carol", "password": PASSWORD})
    assert answer.url == f"{LOGIN}?next=%2Fadmin%2F"
    assert "_auth_user_id" not in client.session


def test_an_owner_is_told_that_the_admin_is_not_theirs(at_alice):
    assert at_alice.get("/admin/login/?next=/admin/").status_code == 403


# --- Guessing ----------------------------------------------------------------------------


def test_after_some_wrong_passwords_the_right_one_is_refused_too(client, alice):
    for _ in range(5):
        assert log_in(client, password="wrong").status_code == 200
    refused = log_in(client)
    assert refused.status_code == 429 and refused["Retry-After"] == "300"
    assert "wait 5 minutes" in refused.content.decode()
    assert "_auth_user_id" not in client.session


def test_others_at_the_same_address_are_not_held_up(client, alice, bob):
    for _ in range(6):
        log_in(client, password="wrong")
    assert log_in(Client(), "bob").status_code == 302


def test_nobody_locks_a_person_out_from_somewhere_else(client, alice):
    for _ in range(6):
        log_in(client, password="wrong", REMOTE_ADDR="203.0.113.9")
    assert log_in(client, REMOTE_ADDR="203.0.113.9").status_code == 429
    assert log_in(client).status_code == 302


def test_the_wait_is_over_after_a_while_and_no_longer_for_trying(client, alice, monkeypatch):
    now = 1_800_000_000.0
    monkeypatch.setattr("time.time", lambda: now)
    for _ in range(5):
        log_in(client, password="wrong")
    for later in (100.0, 200.0, 299.0):
        monkeypatch.setattr("time.time", lambda later=later: now + later)
        assert log_in(client).status_code == 429
    monkeypatch.setattr("time.time", lambda: now + 301)
    assert log_in(client).status_code == 302


@pytest.mark.django_db
def test_an_unknown_name_is_held_up_in_the_same_way(client):
    answers = [log_in(client, "nobody", "wrong").status_code for _ in range(6)]
    assert answers == [200] * 5 + [429]


@pytest.mark.django_db
def test_the_limits_are_counted_in_the_database_that_all_processes_share(settings):
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.db.DatabaseCache",
            "LOCATION": "storeyard_cache",
        }
    }
    caches["default"].set("counted", 5)
    del caches["default"]  # as another process would have it
    assert caches["default"].get("counted") == 5


# --- What is written down ----------------------------------------------------------------


def test_a_login_is_one_event_of_the_person(client, alice):
    log_in(client)
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.details) == (
        "account.login",
        alice,
        {"by": ["password"]},
    )
    assert event.origin.address == "127.0.0.1"


def test_a_failed_login_names_whose_account_it_was_but_not_who_tried(client, alice):
    log_in(client, password="wrong")
    event = AuditEvent.objects.get()
    assert (event.action, event.actor_name) == ("account.login_failed", "anonymous")
    assert event.actor is None and event.details == {"user": alice.pseudonym}


@pytest.mark.django_db
def test_a_failed_login_of_nobody_keeps_no_name(client):
    log_in(client, "secret-person", "wrong")
    event = AuditEvent.objects.get()
    assert (event.action, event.details) == ("account.login_failed", {})
    assert "secret-person" not in str(AuditEvent.objects.values())


def test_a_lockout_is_one_event_however_often_it_is_tried(client, alice):
    for _ in range(9):
        log_in(client, password="wrong")
    assert actions() == ["account.login_failed"] * 5 + ["account.lockout"]


def test_a_logout_is_one_event(client, alice):
    log_in(client)
    client.post(reverse("account_logout"))
    assert actions() == ["account.login", "account.logout"]


def test_the_admins_logout_is_the_same(client, carol, at_carol):
    at_carol.post("/admin/logout/")
    assert actions() == ["account.logout"]
    assert at_carol.get("/admin/").status_code == 302


# --- Nobody is told who has an account ---------------------------------------------------


def computed(action) -> int:
    """How many passwords were computed: what takes the time that could be measured."""
    with patch.object(
        hashers.PBKDF2PasswordHasher, "encode", autospec=True,
        side_effect=lambda self, password, salt, iterations=None: f"pbkdf2_sha256$1${salt}$x",
    ) as encode:  # fmt: skip
        action()
    return encode.call_count


@pytest.mark.parametrize("known", ["alice", "alice@example.com"])
def test_an_unknown_name_takes_as_long_as_a_known_one(known, alice, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    alice.set_password(PASSWORD)
    alice.save()
    unknown = known.replace("alice", "nobody")
    counts = {
        name: computed(lambda name=name: log_in(Client(), name, "wrong"))
        for name in (known, unknown)
    }
    assert counts == {known: 1, unknown: 1}


def test_a_known_and_an_unknown_address_get_the_same_answer(alice):
    answers = {
        body(log_in(Client(), name, "wrong")).replace(name, "NAME")
        for name in ("alice@example.com", "nobody@example.com")
    }
    assert len(answers) == 1


def test_a_reset_for_a_known_and_an_unknown_address_looks_the_same_and_sends_one_letter(alice):
    answers, letters = set(), []
    for email in ("alice@example.com", "nobody@example.com"):
        response = Client().post(reverse("account_reset_password"), {"email": email}, follow=True)
        answers.add((response.status_code, body(response).replace(email, "ADDRESS")))
        letters.append([letter.to for letter in mail.outbox])
        mail.outbox.clear()
    assert len(answers) == 1
    assert letters == [[["alice@example.com"]], [["nobody@example.com"]]]


def test_signing_up_with_a_taken_address_looks_the_same_and_sends_one_letter(alice, settings):
    settings.SIGNUP = "open"
    answers, letters = set(), []
    for email in ("alice@example.com", "nobody@example.com"):
        data = {"email": email, "password1": "a long and unusual one"}
        response = Client().post(reverse("account_signup"), data, follow=True)
        answers.add((response.redirect_chain[-1], body(response).replace(email, "ADDRESS")))
        letters.append([letter.to for letter in mail.outbox])
        mail.outbox.clear()
    assert len(answers) == 1
    assert letters == [[["alice@example.com"]], [["nobody@example.com"]]]
    assert User.objects.filter(email="alice@example.com").get() == alice


def test_signing_up_with_a_taken_address_computes_as_many_passwords(alice, settings):
    settings.SIGNUP = "open"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    counts = [
        computed(
            lambda email=email: Client().post(
                reverse("account_signup"), {"email": email, "password1": "a long and unusual one"}
            )
        )
        for email in ("alice@example.com", "nobody@example.com")
    ]
    assert counts == [1, 1]


def test_a_mail_server_that_is_away_changes_nothing_of_the_answer(alice, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", 1, 1
    answers = {
        body(Client().post(reverse("account_reset_password"), {"email": email}, follow=True))
        for email in ("alice@example.com", "nobody@example.com")
    }
    assert len(answers) == 1 and "Letters cannot be sent at the moment" in answers.pop()


# --- Passwords ---------------------------------------------------------------------------


def sign_up(password: str) -> str:
    data = {"email": "new@example.com", "password1": password}
    return Client().post(reverse("account_signup"), data).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["elevenchars", "password1234", "qwertyuiop123"])
def test_short_and_common_passwords_are_refused(password, settings):
    settings.SIGNUP = "open"
    assert "field-error" in sign_up(password)
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("password", ["twelve small", "ä" * 12 + "öß", "x y" * 42 + "zz"])
def test_long_ones_are_taken_whatever_they_are_made_of(password, settings):
    settings.SIGNUP = "open"
    assert len(password) <= 128
    sign_up(password)
    assert User.objects.get().check_password(password)
