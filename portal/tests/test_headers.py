"""Nothing inline, nothing from elsewhere, on any page; headers on every answer."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import reverse

from portal.tests.conftest import browser_of
from portal.tests.routes import all_addresses
from stores.lifecycle import Status


class Inline(HTMLParser):
    """Collects what a strict policy would block, and what htmx would evaluate."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        runs = tag == "script" and given.get("type") != "application/json"  # that is data
        if tag == "style" or (runs and "src" not in given):
            self.found.append(f"<{tag}>")
        self.found += [f"{tag} {name}" for name in given if name == "style" or name[:2] == "on"]
        self.found += [f"{tag} {name}" for name in given if name.startswith("hx-on")]
        for name in ("src", "href", "action"):
            if tag in ("script", "link", "img", "form") and "//" in (given.get(name) or ""):
                self.found.append(f"{tag} {name}={given[name]}")
        if given.get("id"):
            self.ids.append(given["id"] or "")


def check(response) -> None:
    assert "default-src 'self'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    assert response["X-Request-ID"] and response["X-Frame-Options"] == "DENY"
    assert response["X-Content-Type-Options"] == "nosniff"
    if "html" in response.get("Content-Type", ""):
        parser = Inline()
        parser.feed(response.content.decode())
        assert parser.found == []
        assert len(parser.ids) == len(set(parser.ids)), "an id is used twice"


@pytest.mark.parametrize("status", Status.values)
def test_pages_for_a_store_hold_nothing_inline(status, at_alice, make_store):
    for url in all_addresses(make_store(status).pk):
        check(at_alice.get(url))


def test_pages_for_others_hold_nothing_inline(store, at_bob, at_carol):
    for client in (Client(), at_bob, at_carol):
        for url in all_addresses(store.pk):
            check(client.get(url))


def test_a_refused_form_holds_nothing_inline(at_alice, store):
    check(at_alice.post(reverse("store-create"), {"name": "", "address": "A", "plan": "x"}))
    check(at_alice.post(reverse("store-delete", args=[store.pk]), {"name": "x"}))
    check(Client().post(reverse("account_login"), {"login": "x"}))


def test_the_admin_holds_nothing_inline(at_carol, store):
    for url in (
        reverse("admin:index"),
        reverse("admin:stores_store_changelist"),
        reverse("admin:stores_store_change", args=[store.pk]),
        reverse("admin:stores_user_change", args=[store.owner.pk]),
        reverse("admin:stores_auditevent_changelist"),
    ):
        check(at_carol.get(url))


def test_errors_carry_the_same_headers(alice, store, monkeypatch):
    client = browser_of(alice)
    client.raise_request_exception = False
    for url in ("/nowhere/", "/stores/not-an-id/", "/stores/?page=%00"):
        check(client.get(url))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    forbidden = strict.post(reverse("store-create"))
    assert forbidden.status_code == 403
    check(forbidden)
    not_allowed = client.get(reverse("store-retry", args=[store.pk]))
    assert not_allowed.status_code == 405
    check(not_allowed)
    bad_host = client.get("/stores/", headers={"host": "evil.example"})
    assert bad_host.status_code == 400
    # Refused before most of the middleware; this one comes first.
    assert "frame-ancestors 'none'" in bad_host["Content-Security-Policy"]
    monkeypatch.setattr("portal.store_page.history", lambda *_: 1 / 0)
    broken = client.get(store.get_absolute_url())
    assert broken.status_code == 500
    check(broken)


def test_the_vendored_files_ask_for_no_map():
    from django.conf import settings

    for path in (settings.BASE_DIR / "static").rglob("*.*s"):
        assert "sourceMappingURL" not in path.read_text(), path
