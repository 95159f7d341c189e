"""How long one stays logged in, and how it ends."""

from __future__ import annotations

import time

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.sessions import WRITE_SECONDS
from stores import accounts
from stores.actor import SYSTEM
from stores.audit import verify
from stores.models import AuditEvent
from stores.tests.people import PASSWORD

LIST = reverse("store-list")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def log_in(name: str = "alice", **headers: str) -> Client:
    client = Client(headers={"user-agent": FIREFOX} | headers)
    answer = client.post("/account/login/", {"login": name, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def is_in(client: Client) -> bool:
    return bool(client.get(LIST).status_code == 200)


@pytest.fixture
def clock(monkeypatch):
    """Seconds that can be made to pass."""
    real, ahead = time.time, [0.0]
    monkeypatch.setattr("portal.sessions.time.time", lambda: real() + ahead[0])

    def wait(seconds: float) -> None:
        ahead[0] += seconds

    return wait


def test_the_key_is_another_one_after_the_login(alice):
    client = Client()
    client.get("/account/login/")
    session = client.session
    session["planted"] = True
    session.save()
    before = session.session_key
    client.cookies["sessionid"] = before
    client.post("/account/login/", {"login": "alice", "password": PASSWORD})
    assert client.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()


def test_a_cookie_from_before_the_logout_is_worth_nothing(alice):
    client = log_in()
    cookie = client.cookies["sessionid"].value
    client.post(reverse("account_logout"))
    replayed = Client()
    replayed.cookies["sessionid"] = cookie
    assert not is_in(replayed)


def test_who_does_nothing_for_long_is_out_and_told_so(alice, clock, settings):
    client = log_in()
    clock(settings.SESSION_IDLE_SECONDS - 60)
    assert is_in(client)
    clock(settings.SESSION_IDLE_SECONDS + 60)
    assert "You were away for a while" in client.get(LIST, follow=True).content.decode()
    assert not UserSession.objects.exists()


def test_who_is_busy_all_the_time_is_out_in_the_end(alice, clock, settings):
    settings.SESSION_IDLE_SECONDS, settings.SESSION_ABSOLUTE_SECONDS = 1000, 3000
    client = log_in()
    for _ in range(4):
        clock(700)
        assert is_in(client)
    clock(700)
    assert not is_in(client)


def test_an_open_page_that_asks_by_itself_is_nobody_at_the_desk(alice, store, clock, settings):
    client = log_in()
    status = reverse("store-status", args=[store.pk])
    for _ in range(3):
        clock(settings.SESSION_IDLE_SECONDS / 2.5)
        answer = client.get(status, headers={"hx-request": "true"})
    assert "/account/login/" in answer["HX-Redirect"]


def writes(queries: CaptureQueriesContext) -> list[str]:
    return [q["sql"] for q in queries if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]


def test_looking_again_within_a_minute_writes_nothing_and_asks_nothing_more(alice, clock):
    client = log_in()
    client.get(reverse("account"))
    clock(WRITE_SECONDS / 2)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        client.get(reverse("account"))
    about = [q["sql"] for q in queries if "session" in q["sql"].lower()]
    assert writes(queries) == [] and len(about) == 1


def test_an_hour_of_asking_by_itself_writes_nothing(alice, store, clock):
    client = log_in()
    for _ in range(3):
        clock(1200)
        with CaptureQueriesContext(connection) as queries:
            client.get(reverse("store-status", args=[store.pk]), headers={"hx-request": "true"})
        assert writes(queries) == []


def test_a_status_fragment_asks_once_for_the_session_and_once_for_the_person(alice, store):
    client = log_in()
    with CaptureQueriesContext(connection) as queries:
        client.get(reverse("store-status", args=[store.pk]), headers={"hx-request": "true"})
    of_account = [q for q in queries if "_session" in q["sql"] or 'FROM "stores_user"' in q["sql"]]
    assert len(of_account) == 2


# --- Ending them -------------------------------------------------------------------------


def test_a_deactivated_person_is_out_everywhere_at_once(alice, as_carol):
    here, there = log_in(), log_in()
    accounts.deactivate_user(alice, "Asked to by phone", actor=as_carol)
    assert not is_in(here) and not is_in(there)
    assert not Session.objects.filter(session_key__in=[here.session.session_key]).exists()
    assert (
        "is not active"
        in Client()
        .post("/account/login/", {"login": "alice", "password": PASSWORD}, follow=True)
        .content.decode()
    )


def test_another_password_ends_all_other_sessions(alice):
    here, there = log_in(), log_in()
    new = "another long password"
    data = {"oldpassword": PASSWORD, "password1": new, "password2": new}
    assert here.post(reverse("account_change_password"), data).status_code == 302
    assert is_in(here) and not is_in(there)
    assert AuditEvent.objects.filter(action="account.change_password").count() == 1


def test_the_list_says_which_browser_and_from_where(alice):
    page = log_in().get(reverse("usersessions_list")).content.decode()
    assert "Firefox on Linux" in page and "127.0.0.1" in page and "this one" in page


def test_one_session_can_be_ended_from_another(alice):
    here, there = log_in(), log_in()
    number = UserSession.objects.get(session_key=there.session.session_key).pk
    here.post(reverse("account-session-end", args=[number]))
    assert is_in(here) and not is_in(there)
    event = AuditEvent.objects.get(action="account.end_sessions")
    assert event.actor == alice and event.details == {"user": alice.pseudonym, "sessions": 1}


def test_nobody_ends_the_sessions_of_somebody_else(alice, bob):
    theirs = log_in("bob")
    number = UserSession.objects.get(user=bob).pk
    assert log_in().post(reverse("account-session-end", args=[number])).status_code == 404
    assert is_in(theirs)


def test_all_others_can_be_ended_at_once(alice):
    here, there, elsewhere = log_in(), log_in(), log_in()
    here.post(reverse("usersessions_list"))
    assert is_in(here) and not is_in(there) and not is_in(elsewhere)
    assert AuditEvent.objects.get(action="account.end_sessions").details["sessions"] == 2


def test_sessions_that_are_over_are_forgotten_with_their_entries(alice):
    old, new = log_in(), log_in()
    key = old.session.session_key
    Session.objects.filter(session_key=key).update(expire_date="2020-01-01T00:00Z")
    UserSession.objects.filter(session_key=key).update(created_at="2020-01-01T00:00Z")
    accounts.prune_sessions()
    assert list(UserSession.objects.values_list("session_key", flat=True)) == [
        new.session.session_key
    ]
    assert is_in(new) and not is_in(old)


def test_ending_what_is_not_there_is_nothing_to_write_down(alice):
    assert accounts.end_sessions(alice, actor=SYSTEM) == 0
    assert not AuditEvent.objects.exists() and verify() == ""
