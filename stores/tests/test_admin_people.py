"""People in the support team's admin: who changes whom, and that it is written down."""

from __future__ import annotations

import io
import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from stores.apps import SUPPORT
from stores.audit import verify
from stores.models import AuditEvent, User
from stores.tests.admin_kit import REASON, allow, ask, run

NEW_PASSWORD = {
    "password1": "a-very-long-password-1",
    "password2": "a-very-long-password-1",
    "usable_password": "true",
}
DORA = {"username": "dora", **NEW_PASSWORD}


def password_of(user: User) -> str:
    return reverse("admin:auth_user_password_change", args=[user.pk])


def what_happened() -> list[tuple[str, dict[str, object]]]:
    events = AuditEvent.objects.exclude(action="access.denied").order_by("id")
    return [(event.action, event.details) for event in events]


def change_user(client: Client, user: User, **changed: object):
    """A quota with a reason, unless another one is given."""
    if "max_stores" in changed:
        changed = {"reason": REASON, **changed}
    url = reverse("admin:stores_user_change", args=[user.pk])
    form = client.get(url).context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value not in (None, False, [])}
    return client.post(url, {**data, **changed}, follow=True)


def test_a_quota_is_changed_through_the_service_and_audited(at_carol, alice, carol, store):
    assert change_user(at_carol, alice, max_stores=9, first_name="Alice").status_code == 200
    alice.refresh_from_db()
    assert (alice.max_stores, alice.first_name) == (9, "Alice")
    event = AuditEvent.objects.get(action="user.set_quota")
    assert (event.actor, event.via) == (carol, "admin")
    assert event.details == {"user": alice.pseudonym, "from": 3, "to": 9, "reason": REASON}


def test_support_changes_a_quota_and_nothing_else_is_written(at_erin, alice):
    change_user(at_erin, alice, max_stores=9)
    assert what_happened() == [
        ("user.set_quota", {"user": alice.pseudonym, "from": 3, "to": 9, "reason": REASON})
    ]


def test_a_change_of_a_person_is_written_down_with_what_was_and_what_is(at_erin, erin, alice):
    change_user(at_erin, alice, username="alicia", email="new@example.com")
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.via) == ("user.change", erin, "admin")
    assert event.origin.address == "127.0.0.1" and event.request_id
    assert event.details == {
        "user": alice.pseudonym,
        "changed": {
            "username": "changed",
            "email": "changed",
        },
    }
    assert verify() == ""


def test_rights_that_a_superuser_gives_are_written_down(at_carol, alice):
    group = Group.objects.get(name=SUPPORT)
    right = Permission.objects.get(codename="delete_user")
    change_user(at_carol, alice, is_staff="on", groups=[group.pk], user_permissions=[right.pk])
    assert list(alice.groups.all()) == [group]
    changed = {
        "is_staff": {"from": False, "to": True},
        "groups": {"from": [], "to": [SUPPORT]},
        "user_permissions": {"from": [], "to": [str(right)]},
    }
    assert what_happened() == [("user.change", {"user": alice.pseudonym, "changed": changed})]


def test_saving_without_a_change_writes_nothing(at_carol, alice):
    assert change_user(at_carol, alice).status_code == 200
    assert what_happened() == []


def test_a_refused_form_changes_and_writes_nothing(at_carol, alice):
    change_user(at_carol, alice, first_name="Alice", max_stores=1001)
    alice.refresh_from_db()
    assert alice.first_name == "" and what_happened() == []


def test_what_cannot_be_written_down_is_not_done(at_carol, alice, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no room")

    monkeypatch.setattr(AuditEvent, "record", refuse)
    at_carol.raise_request_exception = False
    before = alice.password
    assert change_user(at_carol, alice, first_name="Alice").status_code == 500
    assert at_carol.post(password_of(alice), NEW_PASSWORD).status_code == 500
    assert at_carol.post("/admin/stores/user/add/", DORA).status_code == 500
    alice.refresh_from_db()
    assert (alice.first_name, alice.password) == ("", before)
    assert not User.objects.filter(username="dora").exists()


def test_what_somebody_else_changed_meanwhile_stays(at_carol, alice, monkeypatch):
    clean = User.clean

    def clean_while_another_saves(user):
        User.objects.filter(pk=alice.pk).update(is_active=False, max_stores=7)
        clean(user)

    monkeypatch.setattr(User, "clean", clean_while_another_saves)
    change_user(at_carol, alice, first_name="Alice")
    alice.refresh_from_db()
    assert (alice.first_name, alice.is_active, alice.max_stores) == ("Alice", False, 7)
    assert [list(details["changed"]) for _, details in what_happened()] == [["first_name"]]


def test_a_new_password_is_written_down_but_not_what_it_is(at_erin, erin, alice):
    assert at_erin.post(password_of(alice), NEW_PASSWORD).status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW_PASSWORD["password1"])
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.via) == ("user.set_password", erin, "admin")
    assert event.origin.address == "127.0.0.1" and event.request_id
    assert event.details == {"user": alice.pseudonym, "usable": True}


def test_taking_a_password_away_is_written_down(at_carol, alice):
    data = {"usable_password": "false", "unset-password": "yes"}
    assert at_carol.post(password_of(alice), data).status_code == 302
    assert what_happened() == [("user.set_password", {"user": alice.pseudonym, "usable": False})]


def test_a_refused_password_leaves_no_trace(at_carol, alice):
    assert at_carol.post(password_of(alice), {**NEW_PASSWORD, "password2": "x"}).status_code == 200
    assert at_carol.get(password_of(alice)).status_code == 200
    assert at_carol.post("/admin/stores/user/999999/password/", NEW_PASSWORD).status_code == 404
    assert what_happened() == []


def test_staff_change_their_own_password_where_everybody_does(at_erin, erin):
    before = erin.password
    new = NEW_PASSWORD["password1"]
    data = {"old_password": "a long password", "new_password1": new, "new_password2": new}
    for answer in (
        at_erin.get(reverse("admin:password_change")),
        at_erin.post(reverse("admin:password_change"), data),
    ):
        assert answer.url == reverse("account_change_password")
    erin.refresh_from_db()
    assert erin.password == before


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    UserSession.objects.get_or_create(
        session_key=client.session.session_key,
        defaults={"user": user, "ip": "192.0.2.7", "user_agent": "test"},
    )
    return client


@pytest.mark.parametrize(
    "verb", ["deactivate", "reactivate", "end_sessions", "forget_second_factor"]
)
def test_an_account_is_shut_and_opened_with_a_reason_only(verb, at_erin, alice):
    sign_in(alice)
    User.objects.filter(pk=alice.pk).update(is_active=verb != "reactivate")
    assert 'name="reason"' in ask(at_erin, verb, alice)
    assert what_happened() == []
    run(at_erin, verb, alice)
    ((action, details),) = what_happened()
    assert action == f"user.{verb}"
    assert (details["user"], details["reason"]) == (alice.pseudonym, REASON)
    alice.refresh_from_db()
    assert alice.is_active == (verb != "deactivate")


def offered(client: Client, user: User) -> set[str]:
    page = client.get(reverse("admin:stores_user_change", args=[user.pk])).content.decode()
    return set(re.findall(r'name="action" value="(\w+)"', page))


def test_a_persons_page_offers_what_can_be_done_with_it_now(at_erin, alice):
    assert offered(at_erin, alice) == {"deactivate"}
    sign_in(alice)
    Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={})
    assert offered(at_erin, alice) == {"deactivate", "end_sessions", "forget_second_factor"}
    run(at_erin, "forget_second_factor", alice)
    run(at_erin, "deactivate", alice)
    assert offered(at_erin, alice) == {"reactivate"}
    User.objects.filter(pk=alice.pk).update(closed_at=Now())
    assert offered(at_erin, alice) == set()


def test_only_our_own_rights_can_be_given(at_carol, alice):
    page = at_carol.get(reverse("admin:stores_user_change", args=[alice.pk]))
    offers = page.context["adminform"].form.fields["user_permissions"].queryset
    assert {right.content_type.app_label for right in offers} == {"stores"}
    other = Permission.objects.get(codename="add_session")
    change_user(at_carol, alice, user_permissions=[other.pk])
    assert not alice.user_permissions.exists()
    pause = Permission.objects.get(codename="add_pause")
    change_user(at_carol, alice, user_permissions=[pause.pk])
    assert alice.user_permissions.get() == pause


@pytest.mark.parametrize("verb", ["deactivate", "end_sessions"])
def test_whoever_is_signed_in_is_thrown_out_for_good(verb, at_erin, alice):
    at_alice = sign_in(alice)
    assert at_alice.get("/stores/").status_code == 200
    run(at_erin, verb, alice)
    assert at_alice.get("/stores/").status_code == 302
    User.objects.filter(pk=alice.pk).update(is_active=True)
    assert at_alice.get("/stores/").status_code == 302, "also once it is active again"
    assert what_happened()[0][1]["sessions"] == 1


def test_stores_of_a_deactivated_account_run_on_under_supports_eyes(at_erin, alice, store):
    run(at_erin, "deactivate", alice)
    store.refresh_from_db()
    assert store.status == "ready" and store.slot is not None
    assert "annas-shop" in at_erin.get("/admin/stores/store/").content.decode()


def test_support_shuts_out_neither_colleagues_nor_itself(at_erin, at_carol, erin, carol):
    for verb in ("deactivate", "end_sessions"):
        assert "Only a superuser" in run(at_erin, verb, carol)
        assert "Only a superuser" in run(at_erin, verb, erin)
    assert "Nobody deactivates their own account" in run(at_carol, "deactivate", carol)
    assert what_happened() == []
    assert User.objects.filter(is_active=True, pk__in=[erin.pk, carol.pk]).count() == 2


def test_a_closed_account_is_opened_by_nobody(at_carol, alice):
    User.objects.filter(pk=alice.pk).update(is_active=False, closed_at=Now())
    assert "was closed by its owner" in run(at_carol, "reactivate", alice)
    alice.refresh_from_db()
    assert not alice.is_active


def test_whether_somebody_has_a_second_factor_is_shown(at_erin, alice):
    def shown() -> bool:
        page = at_erin.get("/admin/stores/user/", {"q": "alice"}).content.decode()
        cell = page.split('class="field-second_factor"')[1].split("</td>")[0]
        return 'alt="True"' in cell

    assert not shown()
    Authenticator.objects.create(user=alice, type=Authenticator.Type.RECOVERY_CODES, data={})
    assert not shown(), "codes alone are none"
    Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={})
    assert shown()


def test_no_name_is_kept_in_djangos_own_log(at_carol, alice):
    change_user(at_carol, alice, first_name="Alice")
    at_carol.post("/admin/stores/user/add/", DORA)
    assert LogEntry.objects.count() == 0


@pytest.mark.parametrize("wanted", [1001, -1, "many"])
def test_a_quota_that_makes_no_sense_is_refused_at_its_field(wanted, at_carol, alice):
    response = change_user(at_carol, alice, max_stores=wanted)
    assert "max_stores" in response.context["adminform"].form.errors
    alice.refresh_from_db()
    assert alice.max_stores == 3


def test_the_list_of_people_shows_what_they_use(at_carol, store):
    assert "1 of 3" in at_carol.get("/admin/stores/user/").content.decode()


@pytest.mark.parametrize("who", ["carol", "erin"])
def test_a_person_can_be_added_and_that_is_written_down(who, at_carol, at_erin):
    client = at_carol if who == "carol" else at_erin
    client.post("/admin/stores/user/add/", {**DORA, "is_superuser": "on", "is_staff": "on"})
    dora = User.objects.get(username="dora")
    assert (dora.max_stores, dora.is_staff, dora.is_superuser) == (3, False, False)
    assert what_happened() == [("user.add", {"user": dora.pseudonym})]
    assert AuditEvent.objects.get().actor.username == who


def test_support_gives_nobody_rights(at_erin, alice):
    group, right = Group.objects.get(name=SUPPORT), Permission.objects.first()
    rights = {"groups": [group.pk], "user_permissions": [right.pk]}
    change_user(at_erin, alice, is_superuser="on", is_staff="on", **rights)
    alice.refresh_from_db()
    assert not alice.is_superuser and not alice.is_staff
    assert not alice.groups.exists() and not alice.user_permissions.exists()
    assert what_happened() == []


@pytest.mark.parametrize("kind", ["itself", "staff", "superuser", "superuser who is not staff"])
def test_support_changes_neither_colleagues_nor_superusers(kind, at_erin, erin, carol, alice):
    User.objects.filter(pk=alice.pk).update(is_staff=True)
    if kind == "superuser who is not staff":
        User.objects.filter(pk=carol.pk).update(is_staff=False)
    user = {"itself": erin, "staff": alice}.get(kind, carol)
    user.refresh_from_db()
    before = (user.password, user.email)
    assert at_erin.get(password_of(user)).status_code == 403
    assert at_erin.post(password_of(user), NEW_PASSWORD).status_code == 403
    url = reverse("admin:stores_user_change", args=[user.pk])
    data = {"username": user.username, "email": "x@example.com", "max_stores": 3}
    assert at_erin.post(url, {**data, "is_superuser": "on"}).status_code == 403
    user.refresh_from_db()
    assert (user.password, user.email) == before
    assert what_happened() == []


def test_support_does_not_change_who_becomes_a_colleague_meanwhile(at_erin, alice, monkeypatch):
    clean = User.clean

    def clean_while_another_saves(user):
        User.objects.filter(pk=alice.pk).update(is_staff=True)
        clean(user)

    monkeypatch.setattr(User, "clean", clean_while_another_saves)
    assert change_user(at_erin, alice, email="x@example.com").status_code == 403
    alice.refresh_from_db()
    assert alice.email == "alice@example.com"


@pytest.mark.parametrize("who", ["carol", "erin"])
def test_nobody_deletes_a_person(who, at_carol, at_erin, erin, carol, alice):
    allow(erin, "delete_user")
    client = at_carol if who == "carol" else at_erin
    people = "/admin/stores/user/"
    assert "delete_selected" not in client.get(people).content.decode()
    for user in (alice, carol):
        url = reverse("admin:stores_user_delete", args=[user.pk])
        assert client.post(url, {"post": "yes"}).status_code == 403
        chosen = {"action": "delete_selected", "_selected_action": [user.pk], "post": "yes"}
        client.post(people, chosen)
    assert User.objects.filter(pk__in=[alice.pk, carol.pk]).count() == 2


def test_rights_are_given_to_people_and_not_through_groups(at_carol, at_erin, erin):
    allow(erin, "add_group", "change_group", "view_group")
    for client in (at_carol, at_erin):
        assert client.get("/admin/auth/group/").status_code == 404


def test_the_demos_staff_is_support_and_no_superuser(db, settings, tmp_path):
    settings.RUN_DIR = tmp_path
    for _ in range(2):
        call_command("demo_setup", stdout=io.StringIO())
    user = User.objects.get(username="staff")
    assert user.is_staff and not user.is_superuser
    assert [group.name for group in user.groups.all()] == [SUPPORT]
    assert not User.objects.get(username="demo").groups.exists()
