"""What the support team sees and may do with stores in the admin, and that it is written down."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db.models.functions import Now
from django.test import Client

from stores.actor import Actor
from stores.admin.stores import VERBS
from stores.apps import SUPPORT, SUPPORT_MAY
from stores.models import AuditEvent, Consent, Heartbeat, Operation, Snapshot, Store, User
from stores.services import create_store
from stores.tests.admin_kit import REASON, STORES, allow, ask, run

OWNED_BY_US = ("store", "operation", "auditevent")


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
    assert event.request_id and event.details == {"reason": REASON}


@pytest.mark.parametrize("verb", [verb.name for verb in VERBS])
def test_nothing_is_done_before_a_reason_is_given(verb, at_carol, store):
    before = AuditEvent.objects.count()
    for page in (
        ask(at_carol, verb, store),
        ask(at_carol, verb, store, reason="  "),
        ask(at_carol, verb, store, reason="carol@example.com said so"),
    ):
        assert 'name="reason"' in page and "annas-shop" in page
    assert "Name nobody in the reason" in page and "carol@example.com said so" in page
    assert AuditEvent.objects.count() == before
    store.refresh_from_db()
    assert store.status == "ready"


def test_a_ready_store_is_repaired_and_stays_ready(at_carol, store):
    assert "is repaired" in run(at_carol, "repair", store)
    store.refresh_from_db()
    assert store.status == "ready" and store.operations.open().get().kind == "repair"
    assert AuditEvent.objects.get(action="store.ask_repair").details["reason"] == REASON
    assert "is working on this store already" in run(at_carol, "repair", store)


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
    page = ask(at_carol, "delete_stores", store)
    assert "A shop is destroyed for good" in page and store.host in page and "of alice" in page
    store.refresh_from_db()
    assert store.status == "ready"
    assert "is being deleted" in run(at_carol, "delete_stores", store)
    store.refresh_from_db()
    assert store.status == "deleting"
    assert store.operations.get(kind=Operation.Kind.DELETE).actor.username == "carol"


def test_deleting_closes_first_unless_it_is_to_be_at_once(at_carol, store, settings):
    settings.GRACE_SECONDS = 90
    assert "only closed, for 1.5 minutes" in ask(at_carol, "delete_stores", store)
    assert "is being closed" in run(at_carol, "delete_stores", store)
    store.refresh_from_db()
    assert store.status == "closing"
    assert "is being deleted" in run(at_carol, "delete_stores", store, extra="on")
    store.refresh_from_db()
    assert store.status == "deleting"


def test_a_store_that_is_being_closed_can_be_kept(at_carol, store, settings):
    assert "Only a store that is being closed" in run(at_carol, "undo_delete", store)
    settings.GRACE_SECONDS = 600
    run(at_carol, "delete_stores", store)
    assert "is kept and set up again" in run(at_carol, "undo_delete", store)
    store.refresh_from_db()
    assert store.status == "requested"
    assert AuditEvent.objects.get(action="store.ask_undo").actor.username == "carol"


def test_a_grace_period_is_ended_only_when_confirmed(at_carol, store, settings):
    settings.GRACE_SECONDS = 600
    run(at_carol, "delete_stores", store)
    assert "destroyed at once and for good" in ask(at_carol, "delete_now", store)
    store.refresh_from_db()
    assert store.status == "closing"
    assert "is being deleted" in run(at_carol, "delete_now", store)
    assert AuditEvent.objects.get(action="store.skip_grace").actor.username == "carol"


def test_ending_the_grace_period_deletes_no_store_that_is_not_being_closed(at_carol, store):
    assert "Only a store that is being closed" in run(at_carol, "delete_now", store)
    store.refresh_from_db()
    assert store.status == "ready"


def offered(client: Client, store: Store) -> list[str]:
    page = client.get(f"{STORES}{store.pk}/change/").content.decode()
    return re.findall(r'name="action" value="(\w+)"', page)


@pytest.mark.parametrize(
    ("status", "verbs"),
    [
        ("requested", "delete_stores ask_consent"),
        ("ready", "refresh repair delete_stores ask_consent"),
        ("failed", "retry delete_stores ask_consent"),
        ("closing", "undo_delete delete_now ask_consent"),
        ("deleting", "release_slot ask_consent"),
        ("deleted", ""),
    ],
)
def test_a_stores_page_offers_what_can_be_done_with_it_now(status, verbs, at_erin, store):
    slot = None if status == "deleted" else store.slot
    Store.objects.filter(pk=store.pk).update(status=status, slot=slot)
    assert offered(at_erin, store) == verbs.split()


def test_what_was_asked_of_an_owner_is_not_offered_again(at_erin, store):
    run(at_erin, "ask_consent", store)
    assert "ask_consent" not in offered(at_erin, store)


def test_of_one_store_it_is_spoken_as_of_one(at_erin, store):
    page = at_erin.get(f"{STORES}{store.pk}/change/").content.decode()
    assert ">Delete, with everything in it…</button>" in page
    assert "Delete, with everything in them…</option>" in at_erin.get(STORES).content.decode()
    page = ask(at_erin, "delete_stores", store)
    assert "<h1>Delete this store?</h1>" in page and 'value="Yes, delete it"' in page


def test_of_several_stores_it_is_spoken_as_of_several(at_erin, store, bob):
    other = create_store(actor=Actor(bob, "test"), owner=bob, name="Bob’s", address="bobs-shop")
    page = ask(at_erin, "delete_stores", store, other)
    assert "<h1>Delete these stores?</h1>" in page and 'value="Yes, delete them"' in page


def test_what_says_nothing_says_so_with_a_dash(at_erin, store):
    page = at_erin.get(f"{STORES}{store.pk}/change/").content.decode()
    said = re.findall(r"What is said of it.*?readonly\">(.*?)</div>", page, re.DOTALL)
    assert said == ["-", "-"], "of itself and of its health"


def test_a_place_is_released_with_a_reason(at_carol, store, alice):
    run(at_carol, "delete_stores", store)
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
    operation.evidence = {"said": attack}
    operation.findings = [cause]
    operation.receipt = {"items": [{"kind": "Secret", "name": attack}], "hash": "ab12"}
    operation.save()
    page = at_erin.get(f"/admin/stores/operation/{operation.pk}/change/").content.decode()
    assert "<script>alert" not in page and page.count("&lt;script&gt;alert(1)") == 5
    assert "support, chart" in page and "ab12" in page


def keep_logs(store: Store) -> str:
    operation = store.operations.get()
    cause = {"code": "crash-loop", "params": {"name": "web", "reason": "Error", "exit_code": 1}}
    operation.diagnosis = {"cause": cause, "lines": ["web waits: Error", "Log: PHP says 4711"]}
    operation.evidence = {"logs": {"web-0/web": "PHP says 4711"}, "said": "it is so"}
    operation.save()
    return f"/admin/stores/operation/{operation.pk}/change/"


def let_in(store: Store, **changed: object) -> Consent:
    given = {"given_at": Now(), "ends_at": Now() + timedelta(hours=3)}
    return Consent.objects.create(store=store, **{**given, **changed})


def test_without_consent_support_sees_the_diagnosis_but_no_logs(at_erin, store):
    page = at_erin.get(keep_logs(store)).content.decode()
    assert "starts and stops again" in page and "web waits: Error" in page and "it is so" in page
    assert "4711" not in page and "the owner has not let the support team in" in page


def test_with_consent_support_reads_logs_until_it_ends(at_erin, store):
    url, consent = keep_logs(store), let_in(store)
    assert at_erin.get(url).content.decode().count("4711") == 2
    Consent.objects.filter(pk=consent.pk).update(ends_at=Now())
    assert "4711" not in at_erin.get(url).content.decode()
    let_in(store, revoked_at=Now())
    assert "4711" not in at_erin.get(url).content.decode()


def test_support_asks_the_owner_and_gets_a_link_once_they_agreed(at_erin, erin, store):
    page = f"{STORES}{store.pk}/change/"
    assert store.get_absolute_url() not in at_erin.get(page).content.decode()
    assert "is asked" in run(at_erin, "ask_consent", store)
    asked = at_erin.get(page).content.decode()
    assert "has not answered yet" in asked and REASON in asked
    event = AuditEvent.objects.get(action="store.ask_consent")
    assert (event.actor, event.details["reason"]) == (erin, REASON)
    assert "has been asked already" in run(at_erin, "ask_consent", store)
    store.consents.update(given_at=Now(), ends_at=Now() + timedelta(hours=3))
    assert store.get_absolute_url() in at_erin.get(page).content.decode()


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
    run(at_erin, "delete_stores", store)
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
    assert "is being deleted" in run(at_erin, "delete_stores", store)


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
    assert "stores.AuditHead" not in registered
    assert {"stores.Store", "stores.User", "stores.AuditEvent"} <= registered


def test_the_admin_shows_only_what_is_ours():
    """Each other app brings models of its own for the admin, some with secrets in them."""
    assert {model._meta.app_label for model in admin.site._registry} == {"stores"}


@pytest.mark.parametrize(
    "page", ["mfa/authenticator", "usersessions/usersession", "socialaccount/socialapp",
             "socialaccount/socialtoken", "account/emailaddress"],
)  # fmt: skip
def test_no_superuser_reads_the_secrets_of_a_login(page, at_carol):
    assert carol_is_superuser()
    assert at_carol.get("/admin/").status_code == 200
    assert at_carol.get(f"/admin/{page}/").status_code == 404


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
