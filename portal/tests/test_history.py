"""The history of a store: who did what, when and from where; and its file."""

from __future__ import annotations

import ast
import csv
import io
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone, translation

from portal.history import PROBLEMS, SENTENCES, harmless
from portal.tests.conftest import browser_of
from stores.actor import SYSTEM, Actor
from stores.audit import AuditEvent, AuditOrigin
from stores.lifecycle import Health, Status
from stores.models import Operation, Share, Store, User
from stores.services import refresh_store

SOMEWHERE = "203.0.113.7"
SOURCES = [
    path
    for folder in ("portal", "stores", "provisioning")
    for path in sorted(Path(settings.BASE_DIR, folder).rglob("*.py"))
    if "tests" not in path.parts and path.name != "history.py"
]
ACTION = re.compile(r"(store|support)\.[a-z_]*[a-z]")
# What of an f-string stands for one of several words.
WORDS = {
    "status": Status.values,
    "kind": Operation.Kind.values,
    "store.health": [state for state in Health.values if state != Health.UNKNOWN],
}


@pytest.fixture
def dora(db) -> User:
    return User.objects.create_user("dora", "dora@example.com")


def share(store: Store, person: User, role: str) -> None:
    Share.objects.create(
        store=store, email=person.email, user=person, role=role, accepted_at=timezone.now()
    )


def page_of(client, store: Store, query: str = "") -> str:
    response = client.get(reverse("store-history", args=[store.pk]) + query)
    assert response.status_code == 200
    return response.content.decode()


def file_of(client, store: Store, query: str = "") -> list[list[str]]:
    response = client.get(reverse("store-history-csv", args=[store.pk]) + query)
    assert response.status_code == 200 and response.streaming
    return list(csv.reader(io.StringIO(response.getvalue().decode())))


def recorded() -> set[str]:
    """Every action about a store that any line of the sources names."""
    found: set[str] = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found |= spelled_out(node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if ACTION.fullmatch(node.value) else set()
    return found


def spelled_out(text: ast.JoinedStr) -> set[str]:
    """Of an f-string that makes an action of a stem and one word."""
    match text.values:
        case [ast.Constant(value=str(stem)), ast.FormattedValue(value=word)] if re.fullmatch(
            r"store\.[a-z_]*", stem
        ):
            return {f"{stem}{value}" for value in WORDS[ast.unparse(word)]}
    return set()


def test_everything_that_can_happen_to_a_store_has_a_sentence():
    actions = recorded()
    # That the sources were really found: one of each way to write it down.
    assert {"store.skip_grace", "store.ready", "store.ask_undo", "store.health_lost"} <= actions
    assert {"store.leave", "support.enter"} <= actions
    assert actions - set(SENTENCES) == set()


def test_who_what_and_from_where(at_alice, store, alice, carol):
    refresh_store(store, actor=Actor(alice, "portal", address=SOMEWHERE))
    store.move_to(Status.READY, actor=SYSTEM)
    refresh_store(store, actor=Actor(carol, "admin"))
    page = page_of(at_alice, store)
    assert (
        f'<strong>You</strong> asked for a refresh. <span class="history-from">from {SOMEWHERE}</span>'
        in page
    )
    assert "<strong>carol (support)</strong> asked for a refresh." in page
    assert "<strong>Storeyard</strong> found the store ready." in page


@pytest.mark.parametrize(("role", "told"), [("viewer", False), ("manager", True)])
def test_from_where_is_told_to_managers_and_not_to_viewers(role, told, store, alice, dora):
    refresh_store(store, actor=Actor(alice, "portal", address=SOMEWHERE))
    share(store, dora, role)
    at_dora = browser_of(dora)
    assert (SOMEWHERE in page_of(at_dora, store)) is told
    assert any(SOMEWHERE in line for line in file_of(at_dora, store)) is told
    assert (SOMEWHERE in at_dora.get(store.get_absolute_url()).content.decode()) is told


def test_how_far_a_share_or_consent_reaches_is_told(at_alice, store, as_alice):
    for action, details in (
        ("store.share", {"role": "viewer"}),
        ("store.change_role", {"from": "viewer", "to": "manager"}),
        ("store.give_consent", {"hours": 24}),
    ):
        AuditEvent.record(action, actor=as_alice, store=store, details=details)
    page = re.sub(r"<[^>]+>", "", page_of(at_alice, store))
    for sentence in ("as viewer", "changed what somebody may do here: as manager", "for 24 hours"):
        assert sentence in page


def test_the_whole_history_says_exactly_when_in_the_readers_time_zone(at_alice, store, alice):
    User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")
    event = store.audit_events.get(action="store.ask_create")
    tokyo = event.at.astimezone(ZoneInfo("Asia/Tokyo"))
    assert f"{tokyo:%Y-%m-%d %H:%M:%S} JST" in page_of(at_alice, store)
    assert "+00:00" in file_of(at_alice, store)[-1][0]


def test_what_was_erased_is_not_told(at_alice, store, alice):
    refresh_store(store, actor=Actor(alice, "portal", address=SOMEWHERE))
    AuditOrigin.objects.all().delete()
    assert SOMEWHERE not in page_of(at_alice, store)
    assert "asked for a refresh" in page_of(at_alice, store)


@pytest.mark.parametrize(
    ("kind", "there", "absent"),
    [
        ("people", ["asked for this store"], ["found the store ready", "could not finish"]),
        ("system", ["found the store ready", "could not finish"], ["asked for this store"]),
        ("problems", ["could not finish"], ["asked for this store", "found the store ready"]),
        ("nonsense", ["could not finish", "asked for this store"], []),
    ],
)
def test_the_kind_is_in_the_address_and_goes_for_the_file_too(
    kind, there, absent, at_alice, store, as_alice
):
    refresh_store(store, actor=as_alice)
    store.move_to(Status.FAILED, actor=SYSTEM)
    page = page_of(at_alice, store, f"?kind={kind}")
    file = "\n".join(",".join(line) for line in file_of(at_alice, store, f"?kind={kind}"))
    assert all(text in page and text in file for text in there)
    assert not any(text in page or text in file for text in absent)


def test_a_kind_of_which_there_is_nothing_says_so(at_alice, store):
    assert set(PROBLEMS).isdisjoint(store.audit_events.values_list("action", flat=True))
    assert "has no such entry" in page_of(at_alice, store, "?kind=problems")


def test_the_history_comes_in_pages_that_keep_the_kind(at_alice, store, as_alice):
    for number in range(60):
        AuditEvent.record(
            "store.ask_refresh", actor=as_alice, store=store, details={"reason": f"No. {number:02}"}
        )
    first = page_of(at_alice, store, "?kind=people")
    assert "No. 59" in first and "No. 10" in first and "No. 09" not in first
    assert "?kind=people&amp;page=2" in first and "1–50 of 61" in first
    second = page_of(at_alice, store, "?kind=people&page=2")
    assert "No. 09" in second and "No. 10" not in second and "51–61 of 61" in second
    assert "asked for this store" in page_of(at_alice, store, "?kind=people&page=999")


def test_the_stores_page_shows_the_newest_few_and_leads_to_all(at_alice, store, as_alice):
    for number in range(8):
        AuditEvent.record(
            "store.ask_refresh", actor=as_alice, store=store, details={"reason": f"No. {number}"}
        )
    page = at_alice.get(store.get_absolute_url()).content.decode()
    assert "No. 7" in page and "No. 3" in page and "No. 2" not in page
    assert f'href="{reverse("store-history", args=[store.pk])}"' in page


def test_a_page_of_the_history_takes_as_many_queries_for_fifty_events_as_for_one(
    at_alice, store, alice, django_assert_num_queries, django_assert_max_num_queries
):
    with django_assert_max_num_queries(12) as few:
        page_of(at_alice, store)
    actor = Actor(alice, "portal", address=SOMEWHERE)
    for _ in range(48):
        AuditEvent.record("store.ask_refresh", actor=actor, store=store)
    with django_assert_num_queries(len(few.captured_queries)):
        page_of(at_alice, store)


# --- The file ------------------------------------------------------------------------------


def test_the_file_has_one_line_for_each_event_with_times_that_a_program_reads(at_alice, store):
    head, *lines = file_of(at_alice, store)
    assert head == ["time", "who", "what", "details", "action", "through", "from"]
    event = store.audit_events.get(action="store.ask_create")
    assert lines[-1] == [
        event.at.isoformat(timespec="seconds"), "You", "asked for this store", "",
        "store.ask_create", "test", "",
    ]  # fmt: skip
    assert event.at.isoformat(timespec="seconds").endswith("+00:00")


def test_the_file_is_offered_under_the_stores_name_and_kept_by_nobody(at_alice, store):
    response = at_alice.get(reverse("store-history-csv", args=[store.pk]))
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="{store.address}-history.csv"' in response["Content-Disposition"]
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_the_file_is_a_formula(start, at_alice, store, as_alice):
    formula = f'{start}HYPERLINK("http://evil.example";"x")'
    AuditEvent.record("store.ask_refresh", actor=as_alice, store=store, details={"reason": formula})
    cells = [cell for line in file_of(at_alice, store) for cell in line]
    assert f"'{formula}" in cells
    assert not any(cell.startswith(start) for cell in cells)


def test_what_is_no_formula_stays_as_it_is():
    assert [harmless(text) for text in ("", "a=b", "Żółć, “x”")] == ["", "a=b", "Żółć, “x”"]


def test_any_letters_and_line_ends_come_through(at_alice, store, as_alice):
    reason = 'Żółć, "quoted"\nsecond line; 日本'
    AuditEvent.record("store.ask_refresh", actor=as_alice, store=store, details={"reason": reason})
    assert reason in [line[3] for line in file_of(at_alice, store)]


def test_the_file_is_in_one_language_although_it_is_sent_later(at_alice, store):
    url = reverse("store-history-csv", args=[store.pk])
    expected = at_alice.get(url).getvalue().decode()
    response = at_alice.get(url)
    with translation.override("de"):
        assert response.getvalue().decode() == expected


@pytest.mark.parametrize("route", ["store-history", "store-history-csv"])
def test_a_strangers_history_is_nobodys_business(route, at_bob, store):
    assert at_bob.get(reverse(route, args=[store.pk])).status_code == 404
