"""What the support team sees and may do in the admin, and that it is written down."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from stores.actor import SYSTEM, Actor
from stores.lifecycle import Status
from stores.models import AuditEvent, Operation, Store, User
from stores.services import create_store

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
    """Support staff with the rights of the job, not a superuser."""
    erin = User.objects.create_user("erin", "erin@example.com", "a long password", is_staff=True)
    wanted = ("view_store", "change_store", "view_operation", "view_auditevent")
    users = ("view_user", "change_user", "add_user")
    erin.user_permissions.set(Permission.objects.filter(codename__in=(*wanted, *users)))
    return erin


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
    assert (event.actor, event.via, event.address) == (carol, "admin", "127.0.0.1")
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


def test_who_may_only_look_has_no_actions(at_erin, erin, store):
    erin.user_permissions.remove(Permission.objects.get(codename="change_store"))
    assert "annas-shop" in at_erin.get(STORES).content.decode()
    run(at_erin, "delete_stores", store, confirmed="yes")
    store.refresh_from_db()
    assert store.status == "ready"


def test_support_without_all_rights_can_do_the_job(at_erin, store):
    assert "is looked at again" in run(at_erin, "refresh", store)


# --- People ------------------------------------------------------------------------------


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
    assert event.details == {"user": "alice", "from": 3, "to": 9}


def test_changing_something_else_leaves_no_quota_event(at_carol, alice):
    change_user(at_carol, alice, first_name="Alice")
    assert not AuditEvent.objects.filter(action="user.set_quota").exists()


@pytest.mark.parametrize("wanted", [1001, -1, "many"])
def test_a_quota_that_makes_no_sense_is_refused_at_its_field(wanted, at_carol, alice):
    response = change_user(at_carol, alice, max_stores=wanted)
    assert "max_stores" in response.context["adminform"].form.errors
    alice.refresh_from_db()
    assert alice.max_stores == 3


def test_the_list_of_people_shows_what_they_use(at_carol, store):
    assert "1 of 3" in at_carol.get("/admin/stores/user/").content.decode()


def test_a_person_can_be_added(at_carol):
    data = {
        "username": "dora",
        "password1": "a-very-long-password-1",
        "password2": "a-very-long-password-1",
        "usable_password": "true",
    }
    at_carol.post("/admin/stores/user/add/", data)
    assert User.objects.get(username="dora").max_stores == 3


def test_support_cannot_make_itself_more_than_it_is(at_erin, erin, alice, carol):
    for user in (erin, carol):
        assert change_user_status(at_erin, user) == 403
    change_user(at_erin, alice, is_superuser="on", is_staff="on")
    alice.refresh_from_db()
    assert not alice.is_superuser and not alice.is_staff


def change_user_status(client: Client, user: User) -> int:
    password = reverse("admin:auth_user_password_change", args=[user.pk])
    assert client.post(password, {"password1": "x", "password2": "x"}).status_code == 403
    url = reverse("admin:stores_user_change", args=[user.pk])
    return client.post(url, {"username": user.username, "is_superuser": "on"}).status_code


# --- The platform ------------------------------------------------------------------------


def test_staff_are_told_of_a_simulated_cluster_and_of_an_outage(at_carol, store, settings):
    page = at_carol.get(STORES).content.decode()
    assert "no real store is made" in page and "cannot be reached" not in page
    settings.CLUSTER = "kubernetes"
    Store.objects.filter(pk=store.pk).update(outage_since=Now())
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
