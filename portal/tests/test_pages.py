"""What people read on the pages."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from portal.tests.conftest import FAILURE, browser_of
from portal.troubles import CLUSTER
from stores.actor import SYSTEM, Actor
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Heartbeat, Store, User
from stores.services import pause_provisioning, refresh_store

LIST = "/stores/"


def read(client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


# --- List --------------------------------------------------------------------------------


def test_somebody_new_is_offered_one_thing_to_do(at_alice):
    page = read(at_alice, LIST)
    assert "Create your first store" in page
    assert page.count(reverse("store-create")) == 1


def test_who_may_not_create_is_told_whom_to_ask(at_alice, alice):
    User.objects.filter(pk=alice.pk).update(max_stores=0)
    page = read(at_alice, LIST)
    assert "Ask support for a quota" in page and "Create your first store" not in page


def test_the_list_shows_my_stores_and_nobody_elses(at_alice, make_store, bob):
    make_store("ready", name="Mine")
    make_store("ready", name="Of bob", owner=bob)
    page = read(at_alice, LIST)
    assert "Mine" in page and "Of bob" not in page


def test_the_list_shows_the_quota(at_alice, make_store):
    make_store("ready")
    make_store("deleted")
    assert "1 of 3 stores" in read(at_alice, LIST)


def test_search_looks_in_names_and_addresses(at_alice, make_store):
    store = make_store("ready", name="Tea house")
    make_store("ready", name="Coffee bar")
    for query in ("TEA", store.address, store.host, store.url):
        page = read(at_alice, f"{LIST}?q={query}")
        assert "Tea house" in page and "Coffee bar" not in page, query


def test_a_search_that_finds_nothing_says_so_and_is_escaped(at_alice, store):
    page = read(at_alice, f"{LIST}?q=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "Nothing found" in page and "<script>alert" not in page
    assert escape("<script>alert(1)</script>") in page


def test_the_status_filter_keeps_the_search(at_alice, make_store):
    make_store("failed", name="Tea house")
    make_store("ready", name="Coffee bar")
    page = read(at_alice, f"{LIST}?status=failed")
    assert "Tea house" in page and "Coffee bar" not in page
    assert "?q=bar&amp;status=ready" in read(at_alice, f"{LIST}?q=bar")


def test_deleted_stores_are_shown_only_when_asked_for(at_alice, make_store):
    make_store("deleted", name="Long gone")
    make_store("ready", name="Alive")
    assert "Long gone" not in read(at_alice, LIST)
    assert "Long gone" in read(at_alice, f"{LIST}?status=deleted")


@pytest.mark.parametrize("query", ["status=nonsense", "page=-3", "page=x", "page=99", "q=%00"])
def test_an_address_that_makes_no_sense_shows_the_list(query, at_alice, store):
    assert store.name in read(at_alice, f"{LIST}?{query}")


def test_the_list_has_25_stores_a_page_newest_first(at_alice, alice, make_store):
    User.objects.filter(pk=alice.pk).update(max_stores=100)
    alice.refresh_from_db()
    for number in range(27):
        made = make_store("requested", name=f"Number {number:02}")
        age = timedelta(minutes=100 - number)
        Store.objects.filter(pk=made.pk).update(created_at=timezone.now() - age)
    first, second = read(at_alice, LIST), read(at_alice, f"{LIST}?page=2")
    assert first.index("Number 26") < first.index("Number 25") < first.index("Number 02")
    assert "Number 01" not in first and "?page=2" in first
    assert "Number 01" in second and "Number 00" in second and "26–27 of 27" in second


def test_the_list_takes_as_many_queries_for_25_stores_as_for_one(
    at_alice, alice, make_store, django_assert_num_queries, django_assert_max_num_queries
):
    User.objects.filter(pk=alice.pk).update(max_stores=100)
    alice.refresh_from_db()
    Heartbeat.beat(Heartbeat.WORKER)
    make_store("provisioning")
    with django_assert_max_num_queries(12) as one:
        read(at_alice, LIST)
    for _ in range(24):
        make_store("provisioning")
    with django_assert_num_queries(len(one.captured_queries)):
        read(at_alice, LIST)


# --- One store ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", Status.values)
def test_every_status_has_a_page_that_names_it(status, at_alice, make_store):
    store = make_store(status)
    page = read(at_alice, store.get_absolute_url())
    assert store.get_status_display() in page and escape(store.name) in page
    assert store.get_status_display() in read(at_alice, f"{LIST}?status={status}")


def test_a_ready_store_can_be_opened_and_its_admin_too(at_alice, store):
    page = read(at_alice, store.get_absolute_url())
    assert f'href="{store.url}"' in page and f'href="{store.admin_url}"' in page


def test_a_store_that_is_not_ready_has_no_link_that_leads_nowhere(at_alice, make_store):
    store = make_store("provisioning")
    page = read(at_alice, store.get_absolute_url())
    assert store.url in page and f'href="{store.url}"' not in page


def test_the_timeline_says_how_often_a_step_that_failed_was_tried(at_alice, make_store):
    assert "3 tries" in read(at_alice, make_store("failed").get_absolute_url())


def test_the_timeline_shows_what_is_done_what_waits_and_what_comes(at_alice, make_store):
    page = read(at_alice, make_store("provisioning").get_absolute_url())
    assert "web is starting: 0 of 1 ready." in page and "tries" not in page
    assert page.index("Create namespace") < page.index("Wait until running")
    assert page.index("Wait until running") < page.index("Check storefront")
    assert "To come" in page


def test_a_failure_is_said_prominently_and_can_be_retried(at_alice, make_store):
    store = make_store("failed")
    page = read(at_alice, store.get_absolute_url())
    assert page.index("This store could not be finished") < page.index("Addresses")
    assert escape(str(FAILURE)) in page and str(store.pk) in page
    assert f'action="{reverse("store-retry", args=[store.pk])}"' in page


@pytest.mark.parametrize(
    ("status", "possible"),
    [
        ("requested", {"delete"}),
        ("provisioning", {"delete"}),
        ("ready", {"refresh", "delete"}),
        ("updating", {"delete"}),
        ("failed", {"retry", "delete"}),
        ("closing", {"undo", "delete-now"}),
        ("deleting", set()),
        ("deleted", set()),
    ],
)
def test_a_button_is_there_only_while_it_works_and_else_says_why(
    status, possible, at_alice, make_store
):
    page = read(at_alice, make_store(status).get_absolute_url())
    assert {
        code
        for code in ("retry", "refresh", "delete", "undo", "delete-now")
        if f'id="do-{code}"' in page
    } == possible
    if status in ("closing", "deleted"):
        return
    off = {
        code
        for code in ("retry", "refresh", "delete")
        if f'disabled aria-describedby="why-{code}"' in page
    }
    assert off == {"retry", "refresh", "delete"} - possible
    if "retry" not in possible:
        assert "Only a failed store can be retried; this one is " in page


def test_the_history_says_who_did_what(at_alice, store, carol):
    refresh_store(store, actor=Actor(carol, "admin"))
    page = read(at_alice, store.get_absolute_url())
    assert "<strong>You</strong> asked for this store" in page
    assert "<strong>carol (support)</strong> asked for a refresh" in page
    assert "<strong>Storeyard</strong> found the store ready" in page


def test_earlier_operations_are_kept_folded(at_alice, store, as_alice):
    refresh_store(store, actor=as_alice)
    page = read(at_alice, store.get_absolute_url())
    assert "What went on earlier (1)" in page and "<details" in page


def test_a_name_that_is_html_is_shown_as_text(at_alice, make_store):
    name = "<script>alert('x')</script><b>Shop"
    store = make_store("ready", name=name)
    delete_page = reverse("store-delete", args=[store.pk])
    for url in (LIST, store.get_absolute_url(), delete_page):
        page = read(at_alice, url)
        assert "<script>alert" not in page and "<b>Shop" not in page
        assert escape(name) in page


# --- Retry, refresh, delete --------------------------------------------------------------


def test_retry_and_refresh_do_what_they_say(at_alice, make_store):
    for status, verb, becomes in (
        ("failed", "store-retry", "requested"),
        ("ready", "store-refresh", "updating"),
    ):
        store = make_store(status)
        response = at_alice.post(reverse(verb, args=[store.pk]), follow=True)
        assert response.redirect_chain == [(store.get_absolute_url(), 302)]
        store.refresh_from_db()
        assert store.status == becomes
        event = store.audit_events.get(action__in=["store.ask_retry", "store.ask_refresh"])
        assert event.via == "portal" and event.origin.address == "127.0.0.1" and event.request_id


def test_what_is_not_possible_now_is_refused_in_words(at_alice, make_store):
    store = make_store("provisioning")
    response = at_alice.post(reverse("store-retry", args=[store.pk]), follow=True)
    assert "Only a failed store can be retried; this one is provisioning." in (
        response.content.decode()
    )


def test_somebody_faster_is_no_server_error(at_alice, store, monkeypatch):
    real = Store.move_to

    def late(self, *args, **kwargs):
        Store.objects.filter(pk=self.pk).update(status="deleting", fence=F("fence") + 1)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Store, "move_to", late)
    response = at_alice.post(reverse("store-refresh", args=[store.pk]), follow=True)
    assert "The store changed at the same moment" in response.content.decode()


@pytest.fixture
def grace(settings) -> None:
    settings.GRACE_SECONDS = 600


def test_the_delete_page_says_how_long_it_can_be_undone(at_alice, store, grace):
    page = read(at_alice, reverse("store-delete", args=[store.pk]))
    assert "closed, for 10 minutes" in page
    assert 'type="checkbox" name="at_once"' in page and "checked" not in page


def test_without_a_grace_period_the_delete_page_promises_none(at_alice, store):
    page = read(at_alice, reverse("store-delete", args=[store.pk]))
    assert "closed, for" not in page and "at_once" not in page


def test_deleting_closes_the_shop_first(at_alice, store, grace):
    url = reverse("store-delete", args=[store.pk])
    page = at_alice.post(url, {"name": store.name}, follow=True).content.decode()
    assert "For 10 minutes you can have it back." in page
    store.refresh_from_db()
    assert store.status == "closing"
    assert f'datetime="{store.closes_at.isoformat(timespec="seconds")}"' in page
    assert "data-until>9 min 59 s</time>" in page or "data-until>10 min 0 s</time>" in page
    assert {code for code in ("undo", "delete-now", "delete") if f'id="do-{code}"' in page} == {
        "undo",
        "delete-now",
    }
    again = at_alice.post(url, {"name": store.name}, follow=True).content.decode()
    assert "This store is already being closed." in again


def test_the_grace_period_can_be_left_out(at_alice, store, grace):
    url = reverse("store-delete", args=[store.pk])
    page = at_alice.post(url, {"name": store.name, "at_once": "on"}, follow=True)
    assert "The store is being deleted." in page.content.decode()
    store.refresh_from_db()
    assert store.status == "deleting"


def test_a_store_that_is_being_closed_can_be_kept(at_alice, make_store):
    store = make_store("closing")
    page = at_alice.post(reverse("store-undo", args=[store.pk]), follow=True).content.decode()
    assert (
        "You keep it" in page and "<strong>You</strong> asked to keep the store after all" in page
    )
    store.refresh_from_db()
    assert (store.status, store.closes_at) == ("requested", None)


def test_a_store_that_is_being_closed_can_be_deleted_now(at_alice, make_store):
    store = make_store("closing")
    page = at_alice.post(reverse("store-delete-now", args=[store.pk]), follow=True)
    assert "<strong>You</strong> asked to delete it at once" in page.content.decode()
    store.refresh_from_db()
    assert (store.status, store.operations.filter(kind="delete").count()) == ("deleting", 1)


@pytest.mark.parametrize("verb", ["store-undo", "store-delete-now"])
@pytest.mark.parametrize("status", ["requested", "ready", "failed", "deleting", "deleted"])
def test_only_a_store_that_is_being_closed_can_be_kept_or_deleted_without_confirming(
    verb, status, at_alice, make_store
):
    store = make_store(status)
    page = at_alice.post(reverse(verb, args=[store.pk]), follow=True).content.decode()
    assert "Only a store that is being closed" in page
    store.refresh_from_db()
    assert store.status == status


def test_the_end_of_a_grace_period_is_in_the_history(at_alice, make_store):
    store = make_store("closing")
    store.move_to(Status.DELETING, actor=SYSTEM, closes_at=None)
    page = read(at_alice, store.get_absolute_url())
    assert "<strong>Storeyard</strong> began to destroy it" in page


def test_deleting_lists_what_goes_and_asks_for_the_name(at_alice, store):
    page = read(at_alice, reverse("store-delete", args=[store.pk]))
    for word in ("shop", "database", "Backups: none", store.host, "for its owner for 30 days"):
        assert word in page


@pytest.mark.parametrize("typed", ["", "wrong", "SHOP-NO-0", "Somebody else’s"])
def test_the_wrong_name_deletes_nothing(typed, at_alice, store):
    response = at_alice.post(reverse("store-delete", args=[store.pk]), {"name": typed})
    assert "That is not this store" in response.content.decode()
    store.refresh_from_db()
    assert store.status == "ready"


@pytest.mark.parametrize("field", ["name", "address"])
def test_the_right_name_or_address_deletes(at_alice, store, field):
    url = reverse("store-delete", args=[store.pk])
    response = at_alice.post(url, {"name": getattr(store, field)}, follow=True)
    assert "The store is being deleted." in response.content.decode()
    store.refresh_from_db()
    assert store.status == "deleting"
    again = at_alice.post(url, {"name": store.name}, follow=True)
    assert "This store is already being deleted." in again.content.decode()
    assert store.operations.filter(kind="delete").count() == 1


def test_a_deleted_store_keeps_its_page(at_alice, make_store):
    page = read(at_alice, make_store("deleted").get_absolute_url())
    assert "Deletion" in page and "asked to delete the store" in page


# --- The platform ------------------------------------------------------------------------


@pytest.mark.parametrize("url", [LIST, "/stores/new/", "/account/login/", "/nowhere/"])
def test_every_page_says_that_the_cluster_is_simulated(url, at_alice, client, store, settings):
    settings.CLUSTER = "simulated"
    visitor = client if url == "/account/login/" else at_alice
    assert "no real store is made" in visitor.get(url).content.decode()
    settings.CLUSTER = "kubernetes"
    assert "no real store is made" not in visitor.get(url).content.decode()


def test_every_page_says_that_the_cluster_cannot_be_reached(at_alice, store, bob, make_store):
    urls = [LIST, "/stores/new/", store.get_absolute_url()]
    assert not any("cannot be reached" in read(at_alice, url) for url in urls)
    waiting = make_store("provisioning", owner=bob)
    away = Message("cluster-unavailable").as_json()
    Store.objects.filter(pk=waiting.pk).update(outage_since=timezone.now(), message=away)
    for url in urls:
        assert read(at_alice, url).count("The cluster cannot be reached") == 1, url


def test_a_trouble_of_the_cluster_is_said_once_and_without_the_names_of_others(
    at_alice, store, bob, make_store
):
    for number in range(3):
        full = Message("unschedulable", {"name": f"bobs-secret-{number}", "reason": "no room"})
        waiting = make_store("provisioning", owner=bob)
        since = timezone.now() - timedelta(hours=number)
        Store.objects.filter(pk=waiting.pk).update(outage_since=since, message=full.as_json())
    page = read(at_alice, LIST)
    assert page.count("The cluster has no room for more") == 1 and "bobs-secret" not in page
    assert f"{since:%Y-%m-%d %H:%M:%S} UTC" in page


def test_what_holds_up_a_single_store_is_no_trouble_of_all(at_alice, store, bob, make_store):
    waiting = make_store("provisioning", owner=bob)
    held = Message("internal-error", {"error": "ValueError", "reference": "1234"}).as_json()
    Store.objects.filter(pk=waiting.pk).update(outage_since=timezone.now(), message=held)
    assert "notice-outage" not in read(at_alice, LIST)


@pytest.mark.parametrize("code", CLUSTER)
def test_every_trouble_of_the_cluster_has_words(code, at_alice, store):
    Store.objects.filter(pk=store.pk).update(outage_since=timezone.now(), message={"code": code})
    page = read(at_alice, LIST)
    assert all(escape(str(words)) in page for words in CLUSTER[code])


def test_what_is_said_of_the_platform_is_not_said_again_by_the_store(
    at_alice, make_store, as_carol
):
    store = make_store("requested")
    pause_provisioning("Moving house.", actor=as_carol)
    told = Message("paused", {"reason": "Moving house."}).as_json()
    Store.objects.filter(pk=store.pk).update(message=told)
    assert read(at_alice, store.get_absolute_url()).count("Moving house.") == 1
    assert '<span class="cell-note">paused</span>' in read(at_alice, LIST)


def test_everybody_reads_why_everything_is_paused(at_alice, at_carol, store, as_carol):
    pause_provisioning("Moving <b>house</b>.", actor=as_carol)
    for page in (read(at_alice, LIST), read(at_alice, store.get_absolute_url())):
        assert page.count("No store is set up or changed") == 1
        assert "Moving &lt;b&gt;house&lt;/b&gt;." in page
    assert "Moving &lt;b&gt;house" in at_carol.get("/admin/").content.decode()


def test_support_staff_find_their_way(at_carol, at_alice, store):
    assert reverse("admin:index") in read(at_carol, LIST)
    assert reverse("admin:index") not in read(at_alice, LIST)


def test_a_page_that_is_not_there_gives_a_reference(at_alice):
    response = at_alice.get("/stores/nothing-here/")
    assert response.status_code == 404
    assert response["X-Request-ID"] in response.content.decode()


def test_a_fault_of_ours_gives_a_reference_and_no_details(alice, store, monkeypatch):
    client = browser_of(alice)
    client.raise_request_exception = False

    def broken(*args, **kwargs):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("portal.store_page.history", broken)
    response = client.get(store.get_absolute_url())
    assert response.status_code == 500
    page = response.content.decode()
    assert response["X-Request-ID"] in page and "secret detail" not in page


def test_times_are_relative_to_read_and_exact_to_point_at(at_alice, store):
    Store.objects.filter(pk=store.pk).update(created_at=timezone.now() - timedelta(hours=2))
    page = read(at_alice, store.get_absolute_url())
    assert "2 hours ago</time>" in page and ' UTC" data-ago>' in page
