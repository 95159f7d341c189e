"""The pages about one's own account, and signing up for one."""

from __future__ import annotations

import io
import re

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from portal import invitations
from portal.tests.conftest import long_after
from portal.tests.test_headers import check
from stores.models import AuditEvent, Letter, User
from stores.tests.people import PASSWORD

PROFILE = reverse("account")
NEW = {"email": "new@example.com", "password1": "a long and unusual one"}


def actions() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("action", flat=True))


def link_in_letter() -> str:
    return re.search(r"https?://testserver(/\S+)", mail.outbox[-1].body)[1]


# --- Choices -----------------------------------------------------------------------------


def test_a_person_chooses_language_and_time_zone(at_alice, alice, store):
    at_alice.post(PROFILE, {"first_name": "Al", "language": "de", "time_zone": "Asia/Tokyo"})
    alice.refresh_from_db()
    assert (alice.first_name, alice.language, alice.time_zone) == ("Al", "de", "Asia/Tokyo")
    page = at_alice.get(PROFILE)
    assert page["Content-Language"] == "de" and '<html lang="de"' in page.content.decode()


def test_the_choice_goes_before_the_browsers(at_alice, alice):
    assert at_alice.get(PROFILE, headers={"accept-language": "de"})["Content-Language"] == "de"
    User.objects.update(language="en")
    assert at_alice.get(PROFILE, headers={"accept-language": "de"})["Content-Language"] == "en"


@pytest.mark.parametrize("field", [{"time_zone": "Mars/Base"}, {"language": "xx"}])
def test_what_there_is_not_cannot_be_chosen(field, at_alice, alice):
    assert "field-error" in at_alice.post(PROFILE, field).content.decode()
    alice.refresh_from_db()
    assert (alice.time_zone, alice.language) == ("", "")


def test_a_zone_that_is_not_known_any_more_breaks_no_page(at_alice):
    User.objects.update(time_zone="Gone/Away")
    assert at_alice.get(PROFILE).status_code == 200


def test_nothing_else_can_be_set_on_the_way(at_alice, alice):
    at_alice.post(PROFILE, {"max_stores": 99, "is_staff": "on", "username": "root"})
    alice.refresh_from_db()
    assert (alice.max_stores, alice.is_staff, alice.username) == (3, False, "alice")


def test_letters_can_be_switched_off_one_by_one(at_alice, alice):
    at_alice.post(reverse("account-notifications"), {"mail_failed": "on"})
    alice.refresh_from_db()
    assert (alice.mail_ready, alice.mail_failed, alice.mail_degraded) == (False, True, False)
    assert actions() == ["account.change"]


ROUTES = (
    "account",
    "account-notifications",
    "account-close",
    "account_email",
    "account_change_password",
    "account_logout",
    "account_reauthenticate",
    "mfa_index",
    "mfa_activate_totp",
    "mfa_add_webauthn",
    "mfa_list_webauthn",
    "usersessions_list",
)
ENTRANCES = ("account_login", "account_signup", "account_reset_password", "account_inactive",
             "account_email_verification_sent", "account_reset_password_done")  # fmt: skip


@pytest.mark.parametrize("route", ROUTES)
def test_each_page_is_ours_and_holds_nothing_inline(route, at_alice):
    page = at_alice.get(reverse(route))
    assert page.status_code == 200
    check(page)
    text = page.content.decode()
    assert text.count("<h1") == 1 and '<main id="main"' in text and '<html lang="en"' in text


@pytest.mark.parametrize(
    "route",
    ["mfa_view_recovery_codes", "mfa_generate_recovery_codes", "mfa_deactivate_totp",
     "mfa_reauthenticate"],
)  # fmt: skip
def test_the_pages_about_a_second_factor_are_ours_too(route, at_carol, carol):
    RecoveryCodes.activate(carol)
    page = at_carol.get(reverse(route))
    assert page.status_code == 200
    check(page)
    assert page.content.decode().count("<h1") == 1


def test_at_the_second_step_of_a_login_nothing_is_inline(carol):
    client = Client()
    client.post("/account/login/", {"login": "carol", "password": PASSWORD})
    page = client.get(reverse("mfa_authenticate"))
    check(page)
    assert "One more thing" in page.content.decode()


def test_a_key_can_be_renamed_and_removed(at_alice, alice):
    key = Authenticator.objects.create(
        user=alice, type="webauthn", data={"name": "Laptop", "credential": {}}
    )
    for route in ("mfa_edit_webauthn", "mfa_remove_webauthn"):
        page = at_alice.get(reverse(route, args=[key.pk]))
        check(page)
        assert page.content.decode().count("<h1") == 1


@pytest.mark.django_db
@pytest.mark.parametrize("route", ENTRANCES)
def test_each_page_on_the_way_in_is_ours_and_holds_nothing_inline(route, client):
    page = client.get(reverse(route))
    assert page.status_code == 200
    check(page)
    assert page.content.decode().count("<h1") == 1


@pytest.mark.parametrize("route", [*ROUTES[:5], *ROUTES[7:]])
def test_none_of_them_is_for_who_is_not_logged_in(route, client, db):
    assert client.get(reverse(route)).url.startswith("/account/")


# --- E-mail ------------------------------------------------------------------------------


def test_another_address_counts_once_it_is_confirmed(at_alice, alice):
    EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
    at_alice.post(reverse("account_email"), {"email": "a2@example.com", "action_add": ""})
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"
    at_alice.post(link_in_letter())
    alice.refresh_from_db()
    assert alice.email == "a2@example.com"
    assert actions() == ["account.change_email"]
    assert "a2@example" not in str(AuditEvent.objects.values())


def test_changing_the_address_needs_a_fresh_proof(at_alice):
    data = {"email": "a2@example.com", "action_add": ""}
    answer = long_after(at_alice).post(reverse("account_email"), data)
    assert answer.url.startswith(reverse("account_reauthenticate"))
    assert mail.outbox == []


# --- Signing up --------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_stranger_signs_up_confirms_the_address_and_is_in(client, settings):
    settings.SIGNUP = "open"
    assert client.post(reverse("account_signup"), NEW).url == reverse(
        "account_email_verification_sent"
    )
    assert client.get("/stores/").status_code == 302, "not before the address is confirmed"
    refused = Client().post(
        "/account/login/", {"login": NEW["email"], "password": NEW["password1"]}
    )
    assert refused.url == reverse("account_email_verification_sent")
    page = client.get(link_in_letter()).content.decode()
    assert "Is new@example.com yours?" in page
    assert client.post(link_in_letter()).url == "/stores/"
    assert client.get("/stores/").status_code == 200
    user = User.objects.get()
    assert (user.username, user.email, user.is_staff) == ("new", "new@example.com", False)
    assert sorted(actions()) == ["account.confirm_email", "account.login", "account.sign_up"]


@pytest.mark.django_db
@pytest.mark.parametrize("mode", ["closed", "invitation"])
def test_where_it_is_not_open_nobody_signs_up(mode, client, settings):
    settings.SIGNUP = mode
    assert "not open to everybody" in client.get(reverse("account_signup")).content.decode()
    client.post(reverse("account_signup"), NEW)
    assert not User.objects.exists()


@pytest.mark.django_db
def test_who_was_invited_signs_up_and_is_in_at_once(client, settings):
    settings.SIGNUP = "invitation"
    page = client.get(invitations.path_of("New@example.com"), follow=True).content.decode()
    assert 'value="new@example.com"' in page
    assert client.post(reverse("account_signup"), NEW).url == "/stores/"
    assert EmailAddress.objects.get().verified


@pytest.mark.django_db
def test_an_invitation_is_for_one_address(client, settings):
    settings.SIGNUP = "invitation"
    client.get(invitations.path_of("somebody@example.com"))
    page = client.post(reverse("account_signup"), NEW).content.decode()
    assert "Your invitation is for somebody@example.com" in page
    assert not User.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("age", [8 * 86400, 0])
def test_an_old_or_forged_invitation_lets_nobody_in(age, client, settings, monkeypatch):
    settings.SIGNUP = "invitation"
    path = invitations.path_of("new@example.com")
    if age:
        real = invitations.signing.time.time
        monkeypatch.setattr(invitations.signing.time, "time", lambda: real() + age)
    else:
        path = path[:-3] + "xx/"
    assert client.get(path).url == reverse("account_login")
    client.post(reverse("account_signup"), NEW)
    assert not User.objects.exists()


# --- A forgotten password ----------------------------------------------------------------


def test_a_forgotten_password_is_replaced_by_a_letter(alice):
    client = Client()
    client.post(reverse("account_reset_password"), {"email": "alice@example.com"})
    link = link_in_letter()
    page = client.get(link, follow=True)
    new = {"password1": "another long password", "password2": "another long password"}
    client.post(page.redirect_chain[-1][0], new)
    alice.refresh_from_db()
    assert alice.check_password("another long password")
    assert actions() == ["account.reset_password"]
    assert "too old, or was used" in Client().get(link, follow=True).content.decode()


# --- Closing -----------------------------------------------------------------------------


def test_closing_needs_a_fresh_proof(at_alice):
    answer = long_after(at_alice).get(reverse("account-close"))
    assert answer.url.startswith(reverse("account_reauthenticate"))


def test_with_stores_the_page_names_them_and_closes_nothing(at_alice, alice, store):
    page = at_alice.post(reverse("account-close"), {"sure": "on"}).content.decode()
    assert store.name in page
    alice.refresh_from_db()
    assert alice.is_active


def test_without_being_sure_nothing_is_closed(at_alice, alice):
    assert "Tick this" in at_alice.post(reverse("account-close")).content.decode()
    alice.refresh_from_db()
    assert alice.is_active


def test_a_closed_account_is_out_and_gone(at_alice, alice):
    page = at_alice.post(reverse("account-close"), {"sure": "on"}, follow=True).content.decode()
    assert "Your account is closed" in page
    assert at_alice.get("/stores/").status_code == 302
    alice.refresh_from_db()
    assert alice.closed_at and alice.email == ""
    assert actions() == ["account.close"]
    assert (
        Client().post("/account/login/", {"login": "alice", "password": PASSWORD}).status_code
        == 200
    )


# --- Inviting ----------------------------------------------------------------------------


def test_an_operator_invites_and_the_history_names_nobody(db, settings):
    settings.SIGNUP = "invitation"
    call_command("invite_user", "New@example.com", stdout=io.StringIO())
    letter = Letter.objects.get()
    assert (letter.code, letter.email) == ("invitation", "new@example.com")
    assert letter.params == {"language": "en"}, "nothing that lets anybody in"
    event = AuditEvent.objects.get()
    assert event.action == "account.invite" and "new@" not in str(event.details)


def test_nobody_is_invited_in_vain(db, settings):
    settings.SIGNUP = "closed"
    with pytest.raises(CommandError, match="SIGNUP is “closed”"):
        call_command("invite_user", "new@example.com")
    settings.SIGNUP = "invitation"
    with pytest.raises(CommandError, match="no e-mail address"):
        call_command("invite_user", "new")
    assert not Letter.objects.exists()
