"""Second factors: who must have one, how one gets it, and that it is asked for."""

from __future__ import annotations

import io
import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from portal.accounts import fernet
from portal.tests.conftest import browser_of, long_after
from stores import accounts
from stores.models import AuditEvent, User
from stores.tests.people import PASSWORD, enrol

SET_UP = reverse("mfa_index")
# What is told of a new factor is told after the transaction.
COMMITTED = pytest.mark.django_db(transaction=True)


def code(secret: str) -> str:
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


def log_in(client: Client, name: str) -> HttpResponse:
    return client.post("/account/login/", {"login": name, "password": PASSWORD})


def prove(client: Client) -> None:
    client.post(reverse("account_reauthenticate"), {"password": PASSWORD, "next": SET_UP})


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


@pytest.fixture
def erin(db) -> User:
    """Staff without a second factor."""
    return User.objects.create_user("erin", "erin@example.com", PASSWORD, is_staff=True)


# --- The support team --------------------------------------------------------------------


@pytest.mark.parametrize("url", ["/admin/", "/admin/stores/store/", "/stores/"])
def test_staff_without_one_are_sent_to_set_it_up(url, erin):
    answer = browser_of(erin).get(url)
    assert (answer.status_code, answer.url) == (302, SET_UP)
    page = browser_of(erin).get(url, follow=True).content.decode()
    assert "The support team needs a second factor" in page


def test_an_open_page_of_staff_without_one_goes_there_as_a_whole(erin, store):
    url = reverse("store-status", args=[store.pk])
    assert browser_of(erin).get(url, headers={"hx-request": "true"})["HX-Redirect"] == SET_UP


def test_a_post_of_staff_without_one_changes_nothing(erin, store):
    assert browser_of(erin).post("/admin/stores/store/", {"action": "retry"}).url == SET_UP
    assert not AuditEvent.objects.filter(actor=erin).exists()


def test_recovery_codes_alone_are_no_second_factor(erin):
    Authenticator.objects.create(user=erin, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert browser_of(erin).get("/admin/").url == SET_UP


def test_staff_with_one_get_to_work_and_it_is_asked_for_once(at_carol, django_assert_num_queries):
    assert at_carol.get("/admin/").status_code == 200
    carol = at_carol.session
    assert carol["second_factor"]


def test_owners_need_none(at_alice):
    assert at_alice.get("/stores/").status_code == 200


def test_where_it_is_not_wanted_it_is_not_needed(erin, settings):
    settings.STAFF_NEEDS_SECOND_FACTOR = False
    assert browser_of(erin).get("/admin/").status_code == 200


def test_staff_cannot_remove_the_last_one(carol, at_carol):
    prove(at_carol)
    page = at_carol.post(reverse("mfa_deactivate_totp")).content.decode()
    assert "Add another one before you remove this" in page
    assert Authenticator.objects.filter(user=carol, type="totp").exists()


def test_who_lost_it_is_helped_by_a_colleague_and_is_out_everywhere(carol, as_carol, erin):
    enrol(erin)
    accounts.forget_second_factor(erin, "Phone in the lake", actor=as_carol)
    assert not Authenticator.objects.filter(user=erin).exists()
    event = AuditEvent.objects.get()
    assert (event.action, event.details["reason"]) == (
        "user.forget_second_factor",
        "Phone in the lake",
    )


def test_an_operator_can_help_from_the_command_line(carol):
    call_command("forget_second_factor", "carol", reason="Seen her pass", stdout=io.StringIO())
    assert not Authenticator.objects.filter(user=carol).exists()
    with pytest.raises(CommandError, match="no user “nobody”"):
        call_command("forget_second_factor", "nobody", reason="x")


# --- The admin's own host ----------------------------------------------------------------


@pytest.fixture
def admin_host(settings) -> str:
    settings.ADMIN_HOST = "desk.example.com"
    settings.ALLOWED_HOSTS = ["shop.example.com", "desk.example.com"]
    return settings.ADMIN_HOST


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/stores/user/"])
def test_on_the_public_host_there_is_no_admin(path, at_carol, admin_host):
    assert at_carol.get(path, headers={"host": "shop.example.com"}).status_code == 404
    assert at_carol.get(path, headers={"host": "shop.example.com:8443"}).status_code == 404


def test_on_its_own_host_there_is(at_carol, admin_host):
    assert at_carol.get("/admin/", headers={"host": admin_host}).status_code == 200
    assert at_carol.get("/admin/", headers={"host": f"{admin_host}:8443"}).status_code == 200


def test_the_portal_leads_the_team_there(at_carol, admin_host):
    page = at_carol.get("/stores/", headers={"host": "shop.example.com"}).content.decode()
    assert f'href="//{admin_host}/admin/"' in page


# --- An authenticator app ----------------------------------------------------------------


def set_up_app(client: Client) -> str:
    """As a person does who types the key. Returns it."""
    prove(client)
    page = client.get(reverse("mfa_activate_totp")).content.decode()
    secret = re.search(r"<code>([A-Z2-7]+)</code>", page)[1]
    assert client.post(reverse("mfa_activate_totp"), {"code": code(secret)}).status_code == 302
    return secret


def test_setting_up_an_app_needs_a_fresh_proof_of_who_one_is(at_alice):
    answer = long_after(at_alice).get(reverse("mfa_activate_totp"))
    assert answer.url.startswith(reverse("account_reauthenticate"))


@COMMITTED
def test_an_app_is_set_up_and_asked_for_at_the_next_login(at_alice, alice):
    secret = set_up_app(at_alice)
    assert actions() == ["account.add_second_factor", "account.make_recovery_codes"]
    client = Client()
    assert log_in(client, "alice").url == reverse("mfa_authenticate")
    assert client.get("/stores/").status_code == 302, "the password alone gets nobody in"
    assert client.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
    assert AuditEvent.objects.filter(action="account.second_factor_failed").count() == 1
    assert client.post(reverse("mfa_authenticate"), {"code": code(secret)}).url == "/stores/"
    assert AuditEvent.objects.get(action="account.login").details == {"by": ["password", "mfa"]}


@COMMITTED
def test_who_sits_in_an_older_session_of_the_teams_does_not_gain_by_the_new_factor(db):
    User.objects.create_user("erin", "erin@example.com", PASSWORD, is_staff=True)
    thief, erin = Client(), Client()
    log_in(thief, "erin")
    log_in(erin, "erin")
    assert thief.get("/stores/").url == SET_UP
    set_up_app(erin)
    assert erin.get("/stores/").status_code == 200
    assert thief.get("/stores/").url.startswith(reverse("account_login"))


def test_a_recovery_code_gets_one_in_once(at_alice, alice):
    set_up_app(at_alice)
    codes = Authenticator.objects.get(user=alice, type="recovery_codes").wrap().get_unused_codes()
    answers = []
    for _ in range(2):
        client = Client()
        log_in(client, "alice")
        answers.append(client.post(reverse("mfa_authenticate"), {"code": codes[0]}).status_code)
    assert answers == [302, 200]


def test_codes_cannot_be_guessed_for_long(at_alice):
    secret = set_up_app(at_alice)
    client = Client()
    log_in(client, "alice")
    for _ in range(5):
        client.post(reverse("mfa_authenticate"), {"code": "000000"})
    client.post(reverse("mfa_authenticate"), {"code": code(secret)})
    assert client.get("/stores/").status_code == 302


@COMMITTED
def test_removing_the_app_is_one_event_and_takes_the_codes_along(at_alice, alice):
    set_up_app(at_alice)
    at_alice.post(reverse("mfa_deactivate_totp"))
    assert actions()[2:] == ["account.remove_second_factor"]
    assert not Authenticator.objects.filter(user=alice).exists()


@COMMITTED
def test_new_recovery_codes_are_one_event(at_alice):
    set_up_app(at_alice)
    at_alice.post(reverse("mfa_generate_recovery_codes"))
    assert actions()[2:] == ["account.make_recovery_codes"]


def test_what_makes_the_codes_cannot_be_read_from_the_database(alice, settings):
    secret = enrol(alice)
    kept = Authenticator.objects.get(user=alice)
    assert secret not in str(kept.data)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one" * 5
    assert fernet().decrypt(kept.data["secret"].encode()).decode() == secret


# --- The pages ---------------------------------------------------------------------------


def test_a_passkey_can_be_used_right_away_at_the_login(client, db):
    page = client.get("/account/login/").content.decode()
    assert 'id="passkey_login"' in page and "/static/mfa/js/webauthn.js" in page
    options = client.get(reverse("mfa_login_webauthn"), headers={"accept": "application/json"})
    assert options.json()["request_options"]["publicKey"]["rpId"] == "testserver"


def test_adding_a_key_needs_a_fresh_proof_of_who_one_is(at_alice):
    url = reverse("mfa_add_webauthn")
    assert long_after(at_alice).get(url).url.startswith(reverse("account_reauthenticate"))
    prove(at_alice)
    assert "creation_options" in at_alice.get(url).content.decode()
