"""When something is in the way: a page that says what to do, and that support can be told of."""

from __future__ import annotations

import pytest
from django.conf import settings as configured
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from portal.errors import too_many
from portal.tests.conftest import browser_of
from stores.errors import TooMany


def told(response: HttpResponse, status: int) -> str:
    """What the page says; every error page names its reference, and carries the wordmark."""
    page = response.content.decode()
    assert response.status_code == status
    assert "name this reference" in page and f"<code>{response['X-Request-ID']}</code>" in page
    assert page.count("<h1>") == 1 and 'class="wordmark"' in page and 'lang="en"' in page
    return page


def refused(*args: object, **kwargs: object) -> HttpResponse:
    raise PermissionDenied("This store is shared with you to look at only.")


def broken(*args: object, **kwargs: object) -> HttpResponse:
    raise RuntimeError("secret detail")


@pytest.fixture
def visitor(alice) -> Client:
    client = browser_of(alice)
    client.raise_request_exception = False
    return client


def test_what_is_not_there_leads_back_to_the_stores(visitor):
    assert reverse("store-list") in told(visitor.get("/nothing/here/"), 404)


def test_what_is_not_allowed_says_why(visitor, store, monkeypatch):
    monkeypatch.setattr("portal.views.overview", refused)
    assert "to look at only" in told(visitor.get(reverse("store-list")), 403)


def test_a_form_from_another_time_says_that_nothing_was_changed(alice):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert "Nothing was changed" in told(strict.post(reverse("store-create")), 403)


def test_a_request_that_makes_no_sense_is_answered_without_a_database(client):
    # No fixture gives this test a database: any query would fail it.
    assert "not understood" in told(client.get("/", headers={"host": "evil.example"}), 400)


def test_too_often_says_when_again(rf, alice):
    request = rf.get("/")
    request.user, request.request_id = alice, "1234-5678"
    response = too_many(request, TooMany("Try again in 5 minutes.", retry_after=300))
    assert (response.status_code, response["Retry-After"]) == (429, "300")
    page = response.content.decode()
    assert "Try again in 5 minutes." in page and "1234-5678" in page


def test_a_fault_of_ours_tells_no_details_and_asks_no_database(visitor, monkeypatch):
    monkeypatch.setattr("portal.views.overview", broken)
    page = told(visitor.get(reverse("store-list")), 500)
    assert "secret detail" not in page and "RuntimeError" not in page


def test_where_support_has_an_address_it_is_there(client, settings):
    settings.SUPPORT_EMAIL = "help@example.com"
    page = told(client.get("/", headers={"host": "evil.example"}), 400)
    assert 'href="mailto:help@example.com"' in page


# --- Maintenance -------------------------------------------------------------------------


@pytest.fixture
def away(settings, tmp_path):
    """The file that says so, not written yet."""
    settings.MAINTENANCE_FILE = tmp_path / "maintenance"
    return settings.MAINTENANCE_FILE


# None of these asks a database either: it may be what is being worked on.


def test_a_file_puts_one_page_before_all_others(away, client):
    away.write_text("New disks until <b>22:00</b> UTC.\n")
    for url in ("/", "/stores/", "/admin/", "/nothing/"):
        response = client.get(url)
        assert "New disks until &lt;b&gt;22:00" in told(response, 503)
        assert int(response["Retry-After"]) > 0 and response["Refresh"] == response["Retry-After"]
    assert client.get(reverse("healthz")).status_code == 200
    away.unlink()
    assert client.get("/").status_code == 302


def test_a_setting_does_the_same(away, client, settings):
    settings.MAINTENANCE = True
    assert "stay online" in told(client.get("/stores/"), 503)
    # Nobody's form is sent again by itself.
    assert "Refresh" not in client.post("/stores/new/")


def test_maintenance_is_over_unless_somebody_said_so():
    assert configured.MAINTENANCE is False


def test_style_sheets_are_served_during_maintenance(away, client, settings):
    settings.MAINTENANCE = True
    assert client.get("/static/storeyard.css").status_code == 200


@pytest.mark.parametrize("url", ["/stores/", "/nothing/"])
def test_a_page_during_maintenance_holds_nothing_inline(url, away, client, settings):
    from portal.tests.test_headers import check

    settings.MAINTENANCE = True
    check(client.get(url))
