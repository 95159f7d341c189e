"""What the support team sees and may do in the admin, and that it is written down."""

from __future__ import annotations

import io

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from stores.actor import SYSTEM, Actor
from stores.apps import SUPPORT, SUPPORT_MAY
from stores.audit import verify
from stores.lifecycle import Status
from stores.models import AuditEvent, Heartbeat, Operation, Snapshot, Store, User
from stores.services import create_store
from stores.tests.people import enrol

STORES = "/admin/stores/store/"
OWNED_BY_US = ("store", "operation", "auditevent")


@pytest.fixture
def store(alice: User, as_alice: Actor) -> Store:
    store = create_store(actor=as_alice, owner=alice, name="Anna’s <b>", address="annas-shop")
    store.move_to(Status.PROVISIONING, actor=SYSTEM)
    store.operations.open().update(finished_at=Now(), outcome="succeeded")
    store.move_to(Status.READY, actor=SYSTEM)
    return store


@pytest.fixture
def at_carol(carol: User) -> Client:
    client = Client()
    client.force_login(carol)
    return client


@pytest.fixture
def erin(db) -> User:
    """Staff in the group that is shipped, not a superuser."""
    erin = User.objects.create_user("erin", "erin@example.com", "a long password", is_staff=True)
    erin.groups.add(Group.objects.get(name=SUPPORT))
    enrol(erin)
    return erin


def allow(user: User, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


@pytest.fixture
def at_erin(erin: User) -> Client:
    client = Client()
    client.force_login(erin)
    return client


def run(client: Client, action: str, *stores: Store, **more: str) -> str:
    data = {"action": action, "_selected_action": [str(store.pk) for store in stores], **more}
    response = client.post(STORES, data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def test_a_merchant_has_no_way_in(alice, store):
    client = Client()
    client.force_login(alice)
    for url in ("/admin/", STORES, f"{STORES}{store.pk}/change/"):
        assert client.get(url).url.startswith("/admin/login/")


@pytest.mark.parametrize("query", ["annas", "alice", "alice@example.com", "store-annas-shop", "id"])
def test_staff_find_a_store_by_what_a_merchant_tells_them(query, at_carol, store):
    page = at_carol.get(STORES, {"q": store.pk if query == "id" else query}).content.decode()
    assert "annas-shop" in page and "Anna’s &lt;b&gt;" in page
    assert "annas-shop" not in at_carol.get(STORES, {"q": "nothing-like-it"}).content.decode()


def test_a_stores_page_shows_all_and_changes_nothing(at_carol, store):
    page = at_carol.get(f"{STORES}{store.pk}/change/").content.decode()
    assert store.namespace in page and "Create" in page
    assert f"?store__id__exact={store.pk}" in page
    assert 'name="_save"' not in page
    refused = at_carol.post(f"{STORES}{store.pk}/change/", {"name": "Other", "status": "failed"})
    assert refused.status_code == 403
    store.refresh_from_db()
    assert (store.name, store.status) == ("Anna’s <b>", "ready")


@pytest.mark.parametrize("model", OWNED_BY_US)
def test_nobody_adds_or_deletes_rows_that_are_a_record(model, at_carol, store):
    first = apps.get_model("stores", model).objects.first()
    assert at_carol.get(f"/admin/stores/{model}/add/").status_code == 403
    assert at_carol.post(f"/admin/stores/{model}/{first.pk}/delete/").status_code == 403
    page = at_carol.get(f"/admin/stores/{model}/").content.decode()
    assert "delete_selected" not in page


@pytest.mark.parametrize("model", OWNED_BY_US)
def test_the_built_in_delete_action_is_not_there_either(model, at_carol, store):
    rows = apps.get_model("stores", model).objects
    before = rows.count()
    data = {"action": "delete_selected", "_selected_action": [rows.first().pk], "post": "yes"}
    at_carol.post(f"/admin/stores/{model}/", data)
    assert rows.count() == before


@pytest.mark.parametrize("model", [*OWNED_BY_US, "user"])
def test_every_list_opens_with_its_filters_and_a_search(model, at_carol, store):
    assert at_carol.get(f"/admin/stores/{model}/?q=anna").status_code == 200
    first = apps.get_model("stores", model).objects.first()
    assert at_carol.get(f"/admin/stores/{model}/{first.pk}/change/").status_code == 200


def test_the_trail_of_a_store_can_be_opened_from_its_page(at_carol, store):
    page = at_carol.get(f"/admin/stores/auditevent/?store__id__exact={store.pk}")
    assert "store.ask_create" in page.content.decode()


def test_refresh_is_done_and_written_down_under_the_staff_members_name(at_carol, store, carol):
    assert "is looked at again" in run(at_carol, "refresh", store)
    store.refresh_from_db()
    assert store.status == "updating"
    event = AuditEvent.objects.get(action="store.ask_refresh")
    assert (event.actor, event.via, event.origin.address) == (carol, "admin", "127.0.0.1")
    assert event.request_id


def test_what_the_service_refuses_is_said_for_each_store(at_carol, store, bob, as_alice):
    other = create_store(actor=Actor(bob, "test"), owner=bob, name="Bob’s", address="bobs-shop")
    page = run(at_carol, "refresh", store, other)
    assert "“Bob’s”: Only a ready store can be refreshed; this one is requested." in page
    assert "is looked at again" in page


def test_retry_tries_a_failed_store_again(at_carol, store):
    Store.objects.filter(pk=store.pk).update(status="failed")
    assert "is tried again" in run(at_carol, "retry", store)
    store.refresh_from_db()
    assert store.status == "requested"


def test_deleting_asks_first(at_carol, store):
    page = run(at_carol, "delete_stores", store)
    assert "This destroys, for good" in page and store.host in page and "of alice" in page
    store.refresh_from_db()
    assert store.status == "ready"
    assert "is being deleted" in run(at_carol, "delete_stores", store, confirmed="yes")
    store.refresh_from_db()
    assert store.status == "deleting"
    assert store.operations.get(kind=Operation.Kind.DELETE).actor.username == "carol"


def test_deleting_closes_first_unless_it_is_to_be_at_once(at_carol, store, settings):
    settings.GRACE_SECONDS = 90
    assert "only closed, for 1.5 minutes" in run(at_carol, "delete_stores", store)
    assert "is being closed" in run(at_carol, "delete_stores", store, confirmed="yes")
    store.refresh_from_db()
    assert store.status == "closing"
    assert "is being deleted" in run(
        at_carol, "delete_stores", store, confirmed="yes", at_once="on"
    )
    store.refresh_from_db()
    assert store.status == "deleting"


def test_a_store_that_is_being_closed_can_be_kept(at_carol, store, settings):
    assert "Only a store that is being closed" in run(at_carol, "undo_delete", store)
    settings.GRACE_SECONDS = 600
    run(at_carol, "delete_stores", store, confirmed="yes")
    assert "is kept and set up again" in run(at_carol, "undo_delete", store)
    store.refresh_from_db()
    assert store.status == "requested"
    assert AuditEvent.objects.get(action="store.ask_undo").actor.username == "carol"


def test_a_grace_period_is_ended_only_when_confirmed(at_carol, store, settings):
    settings.GRACE_SECONDS = 600
    run(at_carol, "delete_stores", store, confirmed="yes")
    assert "destroyed at once and for good" in run(at_carol, "delete_now", store)
    store.refresh_from_db()
    assert store.status == "closing"
    assert "is being deleted" in run(at_carol, "delete_now", store, confirmed="yes")
    assert AuditEvent.objects.get(action="store.skip_grace").actor.username == "carol"


def test_ending_the_grace_period_deletes_no_store_that_is_not_being_closed(at_carol, store):
    assert "Only a store that is being closed" in run(
        at_carol, "delete_now", store, confirmed="yes"
    )
    store.refresh_from_db()
    assert store.status == "ready"


def test_a_place_is_released_with_a_reason(at_carol, store, alice):
    run(at_carol, "delete_stores", store, confirmed="yes")
    assert 'name="reason"' in run(at_carol, "release_slot", store)
    assert "Give a reason" in run(at_carol, "release_slot", store, reason="  ")
    assert alice.stores_used == 1
    assert "no longer takes a place" in run(at_carol, "release_slot", store, reason="It hangs.")
    assert alice.stores_used == 0
    event = AuditEvent.objects.get(action="store.release_slot")
    assert (event.actor.username, event.details) == ("carol", {"reason": "It hangs."})


def test_support_reads_diagnosis_evidence_and_receipt_as_text(at_erin, store):
    attack = "<script>alert(1)</script>"
    cause = {"code": "chart-refused", "params": {"reason": attack}}
    operation = store.operations.get()
    operation.diagnosis = {"cause": cause, "kind": "chart", "move": "support", "lines": [attack]}
    operation.evidence = {"logs": {"web-0/web": attack}}
    operation.findings = [cause]
    operation.receipt = {"items": [{"kind": "Secret", "name": attack}], "hash": "ab12"}
    operation.save()
    page = at_erin.get(f"/admin/stores/operation/{operation.pk}/change/").content.decode()
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert(1)") == 5
    assert "support, chart" in page and "ab12" in page


def test_support_sees_who_was_heard_from_and_what_the_cluster_has(at_erin, store):
    Heartbeat.beat(Heartbeat.SWEEP, stores=3)
    Snapshot.objects.create(pk=1, facts={"nodes": "<b>3</b>"})
    assert "sweep" in at_erin.get("/admin/stores/heartbeat/").content.decode()
    assert at_erin.get("/admin/stores/heartbeat/sweep/change/").status_code == 200
    page = at_erin.get("/admin/stores/snapshot/1/change/").content.decode()
    assert "&lt;b&gt;3&lt;/b&gt;" in page


def test_who_may_only_look_has_no_actions(at_erin, erin, store):
    erin.groups.clear()
    allow(erin, "view_store")
    assert "annas-shop" in at_erin.get(STORES).content.decode()
    run(at_erin, "delete_stores", store, confirmed="yes")
    store.refresh_from_db()
    assert store.status == "ready"


def test_the_support_group_may_do_the_job_and_nothing_else(erin):
    rights = "view_user add_user change_user view_store change_store view_operation"
    records = "view_operationstep view_auditevent view_heartbeat view_snapshot"
    assert erin.get_all_permissions() == {
        f"stores.{right}" for right in f"{rights} {records}".split()
    }


def test_migrating_again_puts_the_support_group_right(erin):
    group = Group.objects.get(name=SUPPORT)
    group.permissions.set(Permission.objects.filter(codename="delete_user"))
    for _ in range(2):
        call_command("migrate", verbosity=0)
    assert Group.objects.get() == group
    assert erin.has_perm("stores.view_store") and not erin.has_perm("stores.delete_user")


@pytest.mark.django_db(transaction=True)
def test_an_emptied_database_has_the_support_group_too():
    call_command("flush", interactive=False, verbosity=0)
    assert Group.objects.get(name=SUPPORT).permissions.count() == len(SUPPORT_MAY)


def test_support_sees_a_store_with_its_steps_and_its_trail(at_erin, store):
    store.operations.get().steps.create(name="install_release", position=1)
    assert "Create" in at_erin.get(f"{STORES}{store.pk}/change/").content.decode()
    for model in (*OWNED_BY_US, "user"):
        assert at_erin.get(f"/admin/stores/{model}/").status_code == 200
    operation = store.operations.get()
    page = at_erin.get(f"/admin/stores/operation/{operation.pk}/change/").content.decode()
    assert "Install release" in page


def test_support_retries_refreshes_and_deletes(at_erin, store):
    assert "is looked at again" in run(at_erin, "refresh", store)
    Store.objects.filter(pk=store.pk).update(status="failed")
    store.operations.open().update(finished_at=Now(), outcome="failed")
    assert "is tried again" in run(at_erin, "retry", store)
    assert "is being deleted" in run(at_erin, "delete_stores", store, confirmed="yes")


# --- People ------------------------------------------------------------------------------


NEW_PASSWORD = {
    "password1": "a-very-long-password-1",
    "password2": "a-very-long-password-1",
    "usable_password": "true",
}
DORA = {"username": "dora", **NEW_PASSWORD}


def password_of(user: User) -> str:
    return reverse("admin:auth_user_password_change", args=[user.pk])


def what_happened() -> list[tuple[str, dict[str, object]]]:
    return [(event.action, event.details) for event in AuditEvent.objects.order_by("id")]


def change_user(client: Client, user: User, **changed: object):
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
    assert event.details == {"user": alice.pseudonym, "from": 3, "to": 9}


def test_support_changes_a_quota_and_nothing_else_is_written(at_erin, alice):
    change_user(at_erin, alice, max_stores=9)
    assert what_happened() == [("user.set_quota", {"user": alice.pseudonym, "from": 3, "to": 9})]


def test_a_change_of_a_person_is_written_down_with_what_was_and_what_is(at_erin, erin, alice):
    change_user(at_erin, alice, username="alicia", email="new@example.com", is_active="")
    event = AuditEvent.objects.get()
    assert (event.action, event.actor, event.via) == ("user.change", erin, "admin")
    assert event.origin.address == "127.0.0.1" and event.request_id
    assert event.details == {
        "user": alice.pseudonym,
        "changed": {
            "username": "changed",
            "email": "changed",
            "is_active": {"from": True, "to": False},
        },
    }
    assert not User.objects.get(username="alicia").is_active
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


# --- The platform ------------------------------------------------------------------------


def test_staff_are_told_of_a_simulated_cluster_and_of_an_outage(at_carol, store, settings):
    page = at_carol.get(STORES).content.decode()
    assert "no real store is made" in page and "cannot be reached" not in page
    settings.CLUSTER = "kubernetes"
    away = {"code": "cluster-unavailable"}
    Store.objects.filter(pk=store.pk).update(outage_since=Now(), message=away)
    page = at_carol.get(STORES).content.decode()
    assert "no real store is made" not in page and "cannot be reached since" in page


def test_no_link_leads_staff_to_a_page_they_may_not_see(at_carol, store):
    page = at_carol.get(f"{STORES}{store.pk}/change/").content.decode()
    assert "View on site" not in page


# --- What is not there -------------------------------------------------------------------


def test_nothing_that_runs_code_or_is_a_lock_can_be_edited():
    registered = {model._meta.label for model in admin.site._registry}
    assert not {label for label in registered if label.startswith("django_q")}
    assert "stores.AuditHead" not in registered
    assert {"stores.Store", "stores.User", "stores.AuditEvent"} <= registered


@pytest.mark.parametrize("model", ["schedule", "ormq", "success", "failure", "task"])
def test_the_queues_pages_are_not_there_for_superusers_either(model, at_carol):
    """S23: a schedule names any function, a failed task is sent again by its name."""
    assert carol_is_superuser()
    assert at_carol.get("/admin/").status_code == 200
    for page in ("", "add/", "1/change/"):
        assert at_carol.get(f"/admin/django_q/{model}/{page}").status_code == 404
    assert at_carol.get("/admin/django_q/").status_code == 404


def carol_is_superuser() -> bool:
    return User.objects.get(username="carol").is_superuser
