"""Logs and events on a page: of one part, redacted, escaped, and nothing of them kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.urls import reverse

from portal.logs import LINES, Line, matching
from stores.models import AuditEvent, Inquiry, Share, Store, User

if TYPE_CHECKING:
    from portal.tests.shops import Shop

pytest_plugins = ["portal.tests.shops"]
EVIL = "<script>alert(1)</script> PASSWORD=hunter2hunter2 \x1b[2J"


def url(store: Store, route: str = "store-logs", **query: Any) -> str:
    return reverse(route, args=[store.pk], query=query)


def content(client: Client, *args: Any, **query: Any) -> str:
    return client.get(url(*args, **query)).content.decode()


def lines_of(page: str) -> list[str]:
    found = re.findall(r'<span class="log-line">(.*?)\n</span>', page, re.S)
    return [re.sub(r"</?mark>", "", line) for line in found]


def test_the_log_of_the_chosen_part_is_on_the_page_without_any_script(
    shop: Shop, answering: None, at_alice: Client
) -> None:
    web = content(at_alice, shop.store)
    assert "<code>store-web-" in web and "GET /health/ready 200" in web
    database = content(at_alice, shop.store, component="db")
    assert "<code>store-db-0/db</code>" in database and "Ready for connections" in database
    for label in ("Shop", "Database", "Setup", "Scheduled tasks"):
        assert f">{label}</a>" in web
    assert 'aria-current="true">Database</a>' in database
    # The way to look again, and to find, without JavaScript.
    assert ">Look again" in re.sub(r"<svg.*?</svg> ", "", web, flags=re.S)
    assert '<form class="search" method="get"' in web


def test_nothing_of_a_log_is_kept_and_looking_is_not_audited(
    shop: Shop, answering: None, at_alice: Client
) -> None:
    before = AuditEvent.objects.count()
    content(at_alice, shop.store)
    assert not Inquiry.objects.exists()
    assert AuditEvent.objects.count() == before


def test_what_a_container_writes_is_text_on_the_page_without_its_secrets(
    shop: Shop, answering: None, at_alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the cluster's answer is made of is redacted there; here it is also escaped."""
    from provisioning.cluster import telling

    written = telling.fit(EVIL)
    monkeypatch.setattr(shop.cluster, "logs", lambda *_: {"<b>pod</b>/web": written})
    page = content(at_alice, shop.store)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page and "<b>pod" not in page
    assert "hunter2" not in page and "\x1b" not in page
    download = at_alice.get(url(shop.store, "store-logs-download"))
    assert "hunter2" not in download.content.decode()


def test_finding_shows_the_lines_that_have_it_whatever_the_case(
    shop: Shop, answering: None, at_alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shop.cluster, "logs", lambda *_: {"pod/web": "one Error\ntwo\nERROR three"})
    page = content(at_alice, shop.store, find="error")
    assert lines_of(page) == ["one Error", "ERROR three"]
    assert "<mark>Error</mark>" in page and "<mark>ERROR</mark> three" in page
    assert "2 of 3 lines" in page
    assert "No line has that in it." in content(at_alice, shop.store, find="nowhere")


@pytest.mark.parametrize(
    ("line", "find", "parts"),
    [
        ("abcABC", "b", [("a", False), ("b", True), ("cA", False), ("B", True), ("C", False)]),
        ("none", "", [("none", False)]),
        # Small, this letter is two: found, and not marked.
        ("İstanbul error", "error", [("İstanbul error", False)]),
    ],
)
def test_what_is_found_is_marked(line: str, find: str, parts: list[tuple[str, bool]]) -> None:
    assert [Line([p for p in one.parts if p[0]]) for one in matching([line], find)] == [Line(parts)]


def test_a_page_that_follows_is_sent_nothing_while_nothing_is_new(
    shop: Shop, answering: None, at_alice: Client
) -> None:
    page = content(at_alice, shop.store)
    for route in ("store-logs-tail", "store-events"):
        path = reverse(route, args=[shop.store.pk])
        asked = re.search(rf'hx-get="({path}[^"]*)"', page)
        assert asked
        again = asked[1].replace("&amp;", "&")
        assert at_alice.get(again).status_code == 204
    follow = re.search(rf'hx-get="({reverse("store-logs-tail", args=[shop.store.pk])}[^"]*)"', page)
    assert follow
    shop.clock.passes(60)
    renewed = at_alice.get(follow[1].replace("&amp;", "&"))
    assert renewed.status_code == 200
    assert renewed.content.decode().lstrip().startswith('<div id="logs"')
    assert 'hx-trigger="every 2s"' in renewed.content.decode()


def test_a_page_that_does_not_follow_asks_for_nothing(
    shop: Shop, answering: None, at_alice: Client
) -> None:
    page = content(at_alice, shop.store, follow="0")
    assert "store-logs-tail" not in page and 'hx-trigger="every 2s"' not in page


def test_an_address_that_makes_no_sense_means_what_is_usual(
    shop: Shop, answering: None, at_alice: Client
) -> None:
    page = content(at_alice, shop.store, component="<x>", lines="-1", find="")
    assert 'name="component" value="web"' in page
    assert f'name="lines" value="{LINES[1]}"' in page


def test_a_log_can_be_had_as_a_file(shop: Shop, answering: None, at_alice: Client) -> None:
    answer = at_alice.get(url(shop.store, "store-logs-download", component="db"))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="anna-db.log"'
    assert answer.content.decode().startswith("=== store-db-0/db\n")
    assert "no-store" in answer["Cache-Control"]


def test_events_stand_beside_the_log(shop: Shop, answering: None, at_alice: Client) -> None:
    assert "The cluster has nothing to say" in content(at_alice, shop.store)
    shop.cluster.disturb("Deployment", "store-web", shop.store.namespace, "unready")
    page = content(at_alice, shop.store)
    assert "<strong>Unhealthy</strong>" in page
    assert "Readiness probe failed" in page


def test_where_nobody_answers_the_page_says_so_and_a_download_leads_back(
    shop: Shop, at_alice: Client
) -> None:
    assert "Nobody has answered in time" in content(at_alice, shop.store)
    download = at_alice.get(url(shop.store, "store-logs-download"), follow=True)
    assert download.redirect_chain
    assert not Inquiry.objects.exists()


def test_of_a_store_that_is_gone_nothing_is_asked(
    make_store: Callable[..., Store], at_alice: Client
) -> None:
    page = content(at_alice, make_store("deleted"))
    assert "Nothing has run here" in page and "Nobody has answered" not in page


def test_who_has_too_many_pages_open_is_told_to_wait(
    shop: Shop, alice: User, at_alice: Client
) -> None:
    for _ in range(6):
        Inquiry.objects.create(
            kind="logs",
            store=shop.store,
            asked_by=alice,
            expires_at=shop.store.ready_at + timedelta(days=365),
        )
    answer = at_alice.get(url(shop.store))
    assert (answer.status_code, answer["Retry-After"]) == (429, "2")


def test_a_viewer_sees_logs_and_a_stranger_no_store(
    shop: Shop, answering: None, bob: User, at_bob: Client
) -> None:
    routes = ("store-logs", "store-logs-tail", "store-events", "store-logs-download")
    assert {at_bob.get(url(shop.store, route)).status_code for route in routes} == {404}
    now = shop.store.ready_at
    Share.objects.create(
        store=shop.store, email=bob.email, user=bob, role="viewer", accepted_at=now
    )
    assert {at_bob.get(url(shop.store, route)).status_code for route in routes} == {200}
