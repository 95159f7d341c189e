"""Every route by every kind of person, against the table in matrix.py.

The routes are read from the URLconf. Each request is made from a browser of its own and undone.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.auth.models import Group
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.tests.conftest import browser_of
from portal.tests.matrix import (
    ACCOUNT,
    ADMIN_MODELS,
    ADMIN_PAGES,
    EVERYBODY,
    INVITATIONS,
    PEOPLE,
    PLAIN,
    SEE,
    SIGNED_IN,
    STORE,
    Row,
)
from portal.tests.routes import Route, every_route, ours
from stores.actor import Actor
from stores.consent import give_consent
from stores.models import Heartbeat, Share, Snapshot, Store, User
from stores.teams import offer_handover, share_store
from stores.tests.people import PASSWORD, enrol

ROUTES = {route.key: route for route in every_route()}
OURS = {route.key for route in ours()}
ACCOUNTS = {key for key, route in ROUTES.items() if route.path.startswith("account/")}
ADMINS = {key for key, route in ROUTES.items() if key.startswith("admin:")}
STORES = sorted(key for key in OURS if "store_id" in ROUTES[key].takes)
INVITED = sorted(OURS & set(INVITATIONS))
PLAINS = sorted(key for key in OURS if not ROUTES[key].takes)
METHODS = ("get", "post")
# What nobody may choose by sending it along.
EXTRA = {
    "owner": "1",
    "owner_id": "1",
    "slot": "0",
    "status": "deleted",
    "namespace": "kube-system",
    "namespace_uid": "x",
    "generation": "99",
    "chart_version": "0",
    "max_stores": "1000",
    "is_staff": "1",
    "is_superuser": "1",
    "user": "1",
    "store": "x",
    "standing": "owner",
}
FIXED = (
    "owner_id", "slot", "namespace", "namespace_uid", "address", "name", "plan", "engine",
    "idempotency_key", "created_at", "ready_at",
)  # fmt: skip
# Sessions and their last use, and the table of a cache.
PASSING = ("sessions.Session", "usersessions.UserSession")


# --- People ------------------------------------------------------------------------------


@pytest.fixture
def browsers(alice, bob, dora, store, settings) -> Callable[[str], Client]:
    """A fresh browser of one of PEOPLE: nothing that an earlier request did is in it."""
    # That somebody is turned away is written down (test_denials.py); here it is what else happens.
    settings.DENIALS_PER_HOUR = 0
    erin = User.objects.create_user("erin", "erin@example.com", PASSWORD)
    member = User.objects.create_user("member", "member@example.com", PASSWORD, is_staff=True)
    member.groups.add(Group.objects.get(name="Support"))
    enrol(member)
    for person, role in ((dora, "viewer"), (erin, "manager")):
        Share.objects.create(
            store=store, email=person.email, role=role, user=person, accepted_at=timezone.now()
        )
    people = {
        "stranger": bob,
        "viewer": dora,
        "manager": erin,
        "owner": alice,
        "support": member,
        "consent": member,
    }
    for person in set(people.values()):
        # The page of one's addresses would write it down when it is first looked at.
        EmailAddress.objects.create(user=person, email=person.email, verified=True, primary=True)
    sessions = {
        name: browser_of(person).cookies[settings.SESSION_COOKIE_NAME].value
        for name, person in people.items()
    }

    def browser(name: str, **options: Any) -> Client:
        client = Client(**options)
        if name != "anonymous":
            client.cookies[settings.SESSION_COOKIE_NAME] = sessions[name]
        return client

    return browser


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def ask(browsers: Any, who: str, method: str, url: str, store: Store, **data: Any) -> HttpResponse:
    with undone():
        if who == "consent":
            give_consent(store, 3, actor=actor_of_owner(store))
        response = getattr(browsers(who), method)(
            url, {**EXTRA, **data} if method == "post" else {}
        )
        # What was sent along has changed nothing that it names.
        if method == "post":
            now = Store.objects.filter(pk=store.pk).values(*FIXED).get()
            assert now == {name: getattr(store, name) for name in FIXED}, (who, url)
        return response


def actor_of_owner(store: Store) -> Any:
    return Actor(store.owner, "test")


def url_of(route: Route, store: Store, **others: Any) -> str:
    known = {
        "store_id": store.pk,
        "share_id": share.pk if (share := store.shares.first()) else uuid.uuid4(),
        **others,
    }
    return reverse(route.name, kwargs={name: known.get(name, uuid.uuid4()) for name in route.takes})


def body(response: HttpResponse) -> str:
    """Without what differs between any two answers: references, tokens, and what was asked for."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "REFERENCE", response.content.decode())
    return re.sub(r'value="\w{64}"', "TOKEN", text)


def is_login(response: HttpResponse) -> bool:
    return response.status_code == 302 and response["Location"].startswith(
        (reverse("account_login"), reverse("admin:login"))
    )


# --- The table is whole ------------------------------------------------------------------


def test_every_route_of_ours_has_a_row():
    assert OURS - set(STORE) - set(INVITATIONS) - set(PLAIN) == set()
    assert {"store-detail", "store-delete", "store-people", "store-list"} <= OURS


def test_every_route_of_an_account_has_a_row():
    assert set(" ".join(ACCOUNT.values()).split()) >= ACCOUNTS


def test_every_page_of_the_admin_has_a_row():
    models = {f"admin:{model}_{verb}" for model in ADMIN_MODELS for verb in VERBS}
    assert ADMINS - models - {f"admin:{page}" for page in ADMIN_PAGES} == set()


def test_whoever_is_named_in_the_table_is_one_of_the_people():
    for row in STORE.values():
        assert set(f"{row.get} {row.post}".split()) <= set(PEOPLE)


# --- Routes of a store -------------------------------------------------------------------


@pytest.mark.parametrize("name", STORES)
def test_a_stores_route_answers_everybody_as_the_table_says(name, store, browsers):
    row, url = STORE[name], url_of(ROUTES[name], store)
    wrong = {}
    for who in PEOPLE:
        for method in METHODS:
            response = ask(browsers, who, method, url, store)
            if not fits(row, who, method, response):
                wrong[who, method] = (response.status_code, response.get("Location"))
    assert wrong == {}


def fits(row: Row, who: str, method: str, response: HttpResponse) -> bool:
    allowed = getattr(row, method).split()
    if not allowed:
        return response.status_code == 405
    if who == "anonymous":
        return is_login(response)
    if who in allowed:
        # 410: let in, but what was asked for is over.
        return (response.status_code < 400 and not is_login(response)) or (
            response.status_code == 410
        )
    return response.status_code == (row.others if who in SEE.split() else 404)


@pytest.mark.parametrize("name", STORES)
def test_a_strangers_store_is_as_unknown_as_none_at_all(name, store, browsers):
    for who in ("stranger", "support"):
        if who in f"{STORE[name].get} {STORE[name].post}".split():
            continue
        for method in METHODS:
            there = ask(browsers, who, method, url_of(ROUTES[name], store), store)
            missing = url_of(ROUTES[name], store, store_id=uuid.uuid4(), share_id=uuid.uuid4())
            nowhere = ask(browsers, who, method, missing, store)
            assert there.status_code == nowhere.status_code in (404, 405)
            assert body(there) == body(nowhere)
            assert store.name not in body(there)


# --- Invitations -------------------------------------------------------------------------


@pytest.mark.parametrize("name", INVITED)
def test_what_somebody_else_was_sent_is_missing_to_all(name, store, browsers, as_alice):
    share = share_store(store, "nobody@example.com", "viewer", actor=as_alice)
    offer = offer_handover(store, "nobody@example.com", actor=as_alice)
    there = url_of(ROUTES[name], store, invitation_id=share.pk, handover_id=offer.pk)
    nowhere = url_of(ROUTES[name], store)
    for who in PEOPLE:
        assert ask(browsers, who, "get", there, store).status_code == 405
        answer = ask(browsers, who, "post", there, store)
        if who == "anonymous":
            assert is_login(answer)
        else:
            assert answer.status_code == 404
            assert body(answer) == body(ask(browsers, who, "post", nowhere, store))


# --- Routes that name nothing --------------------------------------------------------------


@pytest.mark.parametrize("name", PLAINS)
def test_a_page_about_no_store_answers_as_the_table_says(name, store, browsers):
    who_may, methods = PLAIN[name]
    for who in PEOPLE:
        for method in METHODS:
            response = ask(browsers, who, method, reverse(name), store)
            if method not in methods.split():
                assert response.status_code == 405, (who, method)
            elif who == "anonymous" and who_may == SIGNED_IN:
                assert is_login(response), (who, method)
            else:
                assert response.status_code < 400 and not is_login(response), (who, method)


def test_a_list_shows_nobody_a_store_that_is_not_theirs(store, browsers):
    for name in ("store-list", "store-rows"):
        shown = {
            who
            for who in PEOPLE
            if who != "anonymous"
            and store.name in ask(browsers, who, "get", reverse(name), store).content.decode()
        }
        assert shown == {"viewer", "manager", "owner"}


# --- One's account -------------------------------------------------------------------------

MADE_UP = {
    "key": "abc", "uidb36": "1", "pk": 1, "provider_id": "none", "number": 1, "token": "abc",
}  # fmt: skip


def account_url(key: str) -> str:
    route = ROUTES[key]
    if not route.name:
        return f"/{route.path}"
    return reverse(route.name, kwargs={name: MADE_UP[name] for name in route.takes})


def test_a_page_of_an_account_is_shown_to_whom_the_table_says(store, browsers):
    wrong = {}
    for key in sorted(ACCOUNTS):
        for who in ("anonymous", "owner", "support"):
            for method in METHODS:
                response = ask(browsers, who, method, account_url(key), store)
                if response.status_code >= 500 or not (
                    who != "anonymous" or is_open(key, response)
                ):
                    wrong[key, who, method] = response.status_code
    assert wrong == {}


def is_open(key: str, response: HttpResponse) -> bool:
    """Whether somebody who is not logged in was answered as the table says."""
    if key in ACCOUNT[SIGNED_IN].split():
        # An old address leads to the new one.
        return is_login(response) or response.status_code in (301, 404, 405)
    return key in ACCOUNT[EVERYBODY].split()


# --- The admin -----------------------------------------------------------------------------

VERBS = ("changelist", "add", "change", "delete", "history")
OUTSIDERS = ("anonymous", "stranger", "viewer", "manager", "owner")


def admin_url(key: str, store: Store) -> str:
    route = ROUTES[key]
    model = apps.get_model("stores", key.split("_")[1]) if key.startswith("admin:stores_") else None
    row = model._default_manager.first() if model else None
    known = {
        "object_id": row.pk if row else 1,
        "id": store.owner_id,
        "app_label": "stores",
        "content_type_id": 1,
    }
    return reverse(route.name, kwargs={name: known[name] for name in route.takes})


def test_nobody_outside_the_team_opens_a_page_of_the_admin(store, browsers):
    wrong = {}
    for key in sorted(ADMINS):
        for who in OUTSIDERS:
            for method in METHODS:
                response = ask(browsers, who, method, admin_url(key, store), store)
                if not is_closed(key, response) or store.name in response.content.decode():
                    wrong[key, who, method] = response.status_code
    assert wrong == {}


def is_closed(key: str, response: HttpResponse) -> bool:
    if response.status_code == 302 and key not in ("admin:login", "admin:logout"):
        return is_login(response)
    return response.status_code in (302, 403, 404, 405)


def test_the_team_opens_of_each_model_what_the_table_says(store, browsers):
    Heartbeat.objects.get_or_create(pk="watcher", defaults={"at": timezone.now()})
    Snapshot.objects.get_or_create(pk=1)
    opened: dict[str, set[str]] = {}
    for model, verb in ((model, verb) for model in ADMIN_MODELS for verb in VERBS):
        if (key := f"admin:{model}_{verb}") in ROUTES:
            response = ask(browsers, "support", "get", admin_url(key, store), store)
            assert response.status_code in (200, 302, 403, 404), key
            opened.setdefault(model, set()).update({verb} if response.status_code == 200 else ())
    assert opened == {model: set(ADMIN_MODELS[model].split()) for model in opened}


# --- Nothing is changed by looking, or without the token ------------------------------------


def rows() -> dict[str, list[Any]]:
    """All there is in the database, but what passes."""
    return {
        model._meta.label: list(model._default_manager.order_by("pk").values_list())
        for model in apps.get_models()
        if model._meta.label not in PASSING
    }


def every_url(store: Store) -> Iterator[str]:
    for key in sorted(OURS):
        yield url_of(ROUTES[key], store)
    for key in sorted(ACCOUNTS):
        yield account_url(key)
    for key in sorted(ADMINS):
        yield admin_url(key, store)


@pytest.mark.parametrize("who", ["anonymous", "viewer", "owner", "support"])
def test_no_get_changes_anything(who, store, browsers):
    urls = list(every_url(store))
    before = rows()
    for url in urls:
        browsers(who).get(url)
    assert rows() == before


def test_that_support_looks_into_a_store_is_all_that_a_get_writes_down(store, browsers, as_alice):
    give_consent(store, 3, actor=as_alice)
    urls = list(every_url(store))
    before = rows()
    for url in urls:
        browsers("consent").get(url)
    after = rows()
    changed = {label for label in after if after[label] != before[label]}
    assert changed == {"stores.AuditEvent", "stores.AuditHead", "stores.AuditOrigin"}
    assert len(after["stores.AuditEvent"]) == len(before["stores.AuditEvent"]) + 1


@pytest.mark.parametrize("who", ["anonymous", "owner", "support"])
def test_no_post_without_its_token_is_taken(who, store, browsers):
    urls = list(every_url(store))
    before = rows()
    taken = {}
    for url in urls:
        answer = browsers(who, enforce_csrf_checks=True).post(url, EXTRA)
        if answer.status_code not in (403, 405):
            taken[url] = answer.status_code
    # The admin sends those it does not know to its login before it looks at anything.
    assert {url for url in taken if not (url.startswith("/admin/") and taken[url] == 302)} == set()
    assert rows() == before
