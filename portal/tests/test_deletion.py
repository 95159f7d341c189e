"""The danger zone: what a deletion lists, whom it asks, and what it leaves to the owner alone."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.deletion import Disk, disks, in_words
from portal.tests.conftest import browser_of, long_after
from provisioning.engines import ENGINES
from stores.models import Share, Store, User
from stores.plans import PLANS
from stores.tests.people import PASSWORD

ONLY_THE_OWNER = "Only the store&#x27;s owner can do that."


@pytest.fixture
def grace(settings) -> None:
    settings.GRACE_SECONDS = 600


@pytest.fixture
def dora(db) -> User:
    return User.objects.create_user("dora", "dora@example.com")


@pytest.fixture
def shared(store: Store, dora: User) -> Callable[[str], Client]:
    """Dora at her browser, with alice's store shared in a role."""

    def share(role: str) -> Client:
        Share.objects.create(
            store=store, email=dora.email, user=dora, role=role, accepted_at=timezone.now()
        )
        return browser_of(dora)

    return share


def address(store: Store) -> str:
    return reverse("store-delete", args=[store.pk])


def page_of(client: Client, store: Store) -> str:
    response = client.get(address(store))
    assert response.status_code == 200
    return response.content.decode()


def test_the_disks_are_named_with_their_sizes(at_alice, store):
    Store.objects.filter(pk=store.pk).update(
        namespace_uid="1", volumes={"data-store-db-0": "u1", "store-content": "u2"}
    )
    page = page_of(at_alice, store)
    assert "its 2 disks:" in page
    assert "<code>data-store-db-0</code> (10 GiB), <code>store-content</code> (10 GiB)" in page


def test_a_store_without_a_place_in_the_cluster_has_no_disks_to_lose(at_alice, store):
    assert not store.namespace_uid
    assert disks(store) == [] and "disks:" not in page_of(at_alice, store)


def test_a_disk_of_unknown_size_is_listed_all_the_same(store):
    store.namespace_uid, store.volumes = "1", {"an-old-disk": "u1"}
    assert disks(store) == [Disk("an-old-disk", "")]


@pytest.mark.parametrize("plan", PLANS)
def test_the_sizes_are_those_that_the_chart_is_given(plan, store):
    store.plan = plan
    engine = ENGINES[store.engine]
    values, found = engine.values(store), engine.disks(store)
    assert set(found) == set(engine.volumes)
    assert found["store-content"] == values["content"]["size"]
    assert found["data-store-db-0"] == values["mariadb"]["storage"]["size"]


def test_sizes_are_words():
    assert [in_words(text) for text in ("10Gi", "512Mi", "2Ti", "1000", "")] == [
        "10 GiB", "512 MiB", "2 TiB", "1000", "",
    ]  # fmt: skip


def test_who_loses_the_store_too_is_named_to_the_owner_alone(at_alice, store, shared):
    at_dora = shared("manager")
    Share.objects.create(store=store, email="emil@example.com", role="viewer")
    people = "what 2 people it is shared with can do with it"
    assert f"{people}: dora (Manager), emil@example.com (Viewer)" in page_of(at_alice, store)
    page = page_of(at_dora, store)
    assert people in page and "emil@example.com" not in page


def test_there_is_no_backup_and_the_page_says_so(at_alice, store):
    assert "Backups: none." in page_of(at_alice, store)


def test_a_manager_deletes_with_the_grace_period_only(store, shared, grace):
    at_dora = shared("manager")
    assert "at_once" not in page_of(at_dora, store)
    response = at_dora.post(address(store), {"name": store.name, "at_once": "on"})
    page = response.content.decode()
    assert response.status_code == 200
    assert page.index('name="at_once"') < page.index(ONLY_THE_OWNER) < page.index("form-end")
    store.refresh_from_db()
    assert store.status == "ready"
    at_dora.post(address(store), {"name": store.name})
    store.refresh_from_db()
    assert store.status == "closing"


def test_a_manager_may_undo_but_not_delete_now(make_store, dora):
    store = make_store("closing")
    Share.objects.create(
        store=store, email=dora.email, user=dora, role="manager", accepted_at=timezone.now()
    )
    at_dora = browser_of(dora)
    page = at_dora.get(store.get_absolute_url()).content.decode()
    assert 'id="do-undo"' in page and 'disabled aria-describedby="why-delete-now"' in page
    assert at_dora.post(reverse("store-delete-now", args=[store.pk])).status_code == 403
    store.refresh_from_db()
    assert store.status == "closing"


def test_a_viewer_sees_why_they_cannot_delete(store, shared):
    at_dora = shared("viewer")
    page = at_dora.get(store.get_absolute_url()).content.decode()
    assert "Danger zone" in page and 'disabled aria-describedby="why-delete"' in page
    assert "Ask its owner to make you a manager." in page
    assert at_dora.get(address(store)).status_code == 403
    assert at_dora.post(address(store), {"name": store.name}).status_code == 403


def test_without_a_grace_period_nobody_is_asked_about_it(store, shared):
    at_dora = shared("manager")
    assert "at_once" not in page_of(at_dora, store)
    at_dora.post(address(store), {"name": store.name})
    store.refresh_from_db()
    assert store.status == "deleting"


@pytest.mark.parametrize("status", ["closing", "deleted"])
def test_there_is_no_danger_zone_where_the_choice_was_made(status, at_alice, make_store):
    page = at_alice.get(make_store(status).get_absolute_url()).content.decode()
    assert "Danger zone" not in page


# --- Who is at the keyboard ----------------------------------------------------------------


def test_whose_login_is_long_ago_is_asked_for_the_password_and_led_back(at_alice, store):
    asked = long_after(at_alice).get(address(store))
    assert asked.status_code == 302
    assert asked.url == f"{reverse('account_reauthenticate')}?next={quote(address(store), '')}"
    data = {"password": PASSWORD, "next": address(store)}
    assert at_alice.post(reverse("account_reauthenticate"), data).url == address(store)
    assert "Backups: none." in page_of(at_alice, store)


def test_without_that_nothing_is_deleted(at_alice, store):
    answer = long_after(at_alice).post(address(store), {"name": store.name})
    assert answer.url.startswith(reverse("account_reauthenticate"))
    store.refresh_from_db()
    assert store.status == "ready"


def test_the_grace_period_is_not_skipped_from_a_browser_that_was_left_open(
    at_alice, make_store, grace
):
    store = make_store("closing")
    answer = long_after(at_alice).post(reverse("store-delete-now", args=[store.pk]))
    page = quote(store.get_absolute_url(), "")
    assert answer.url == f"{reverse('account_reauthenticate')}?next={page}"
    store.refresh_from_db()
    assert store.status == "closing"


def test_a_stranger_is_not_even_asked(at_bob, store):
    assert long_after(at_bob).get(address(store)).status_code == 404
