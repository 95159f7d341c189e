"""What the page says when something is in a store's way, and what it offers."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from portal.remedy import MOVES
from provisioning.diagnosis import Diagnosis
from stores.messages import Message, sentence
from stores.models import Store
from stores.services import refresh_store, repair_store

CRASH = Message("crash-loop", {"name": "db", "reason": "Error", "exit_code": 1})
ATTACK = "<script>alert(1)</script><b>said the log"


def found(kind="workload", move="owner", action="retry", cause=CRASH, lines=("Pod db-0: Error",)):
    return Diagnosis(cause, kind, move, action, lines)


def diagnosed(store: Store, diagnosis: Diagnosis) -> Store:
    newest = store.operations.first()
    newest.diagnosis = diagnosis.as_json()
    newest.save(update_fields=["diagnosis"])
    return store


def read(client, store: Store) -> str:
    response = client.get(store.get_absolute_url())
    assert response.status_code == 200
    return response.content.decode()


def heading(page: str) -> str:
    match = re.search(r'<h2 id="cause">(.*?)</h2>', page)
    return match[1] if match else ""


def test_the_cause_is_the_heading_and_its_advice_stands_below(at_alice, make_store):
    page = read(at_alice, diagnosed(make_store("failed"), found()))
    assert heading(page) == "db starts and stops again (Error, exit code 1)."
    assert "<p>Retry; if it happens again, ask support.</p>" in page
    assert page.count("This store could not be finished") == 1


def test_without_a_diagnosis_a_failure_is_said_all_the_same(at_alice, make_store):
    page = read(at_alice, make_store("failed"))
    assert not heading(page) and "This store could not be finished" in page


@pytest.mark.parametrize("move", MOVES)
def test_it_is_said_whose_move_it_is(move, at_alice, make_store):
    page = read(at_alice, diagnosed(make_store("failed"), found(move=move)))
    assert f"<strong>{escape(str(MOVES[move]))}.</strong>" in page


@pytest.mark.parametrize(
    ("status", "action", "label", "route"),
    [
        ("failed", "retry", "Retry", "store-retry"),
        ("failed", "repair", "Retry", "store-retry"),
        ("failed", "delete", "Delete…", "store-delete"),
        ("provisioning", "delete", "Delete…", "store-delete"),
    ],
)
def test_what_helps_is_a_button(status, action, label, route, at_alice, make_store):
    store = diagnosed(make_store(status), found(action=action))
    part = read(at_alice, store).partition('id="cause"')[2].partition("</section>")[0]
    assert reverse(route, args=[store.pk]) in part and label in part


def test_a_ready_store_whose_repair_did_not_work_can_be_repaired_again(at_alice, store):
    repair_store(store, [Message("busy")])
    store.operations.open().update(finished_at=timezone.now(), outcome="failed")
    page = read(at_alice, diagnosed(store, found(action="repair")))
    part = page.partition('id="cause"')[2].partition("</section>")[0]
    assert "Repair failed" in page
    assert reverse("store-refresh", args=[store.pk]) in part and "Repair</button>" in part


@pytest.mark.parametrize("action", ["", "contact", "retry", "repair"])
def test_what_is_not_possible_now_is_no_button(action, at_alice, make_store):
    store = diagnosed(make_store("provisioning"), found(move="platform", action=action))
    assert 'id="helps-do-' not in read(at_alice, store)


def test_support_is_told_of_with_a_reference(at_alice, make_store, settings):
    store = diagnosed(make_store("failed", name="A & B"), found(move="support", action="contact"))
    page = read(at_alice, store)
    assert f'data-copy="{store.pk}"' in page and "mailto:" not in page
    settings.SUPPORT_EMAIL = "help@example.com"
    letter = f"mailto:help@example.com?subject=A%20%26%20B%3A%20{store.pk}"
    assert f'href="{letter}"' in read(at_alice, store)


def test_whoever_need_not_ask_support_is_not_sent_there(at_alice, make_store):
    assert "ask-support" not in read(at_alice, diagnosed(make_store("failed"), found()))


def test_evidence_is_folded_and_never_markup(at_alice, make_store):
    cause = Message("chart-refused", {"reason": ATTACK})
    lines = (ATTACK, "Log of web:\n" + ATTACK)
    page = read(at_alice, diagnosed(make_store("failed"), found(cause=cause, lines=lines)))
    assert '<details id="evidence"' in page and "What this rests on (2)" in page
    assert "<script>alert" not in page and "<b>said" not in page
    # Twice in the lines, once in the cause.
    assert page.count(escape(ATTACK)) == 3


def test_what_is_in_the_way_is_said_while_it_is_still_tried(at_alice, make_store):
    store = diagnosed(make_store("provisioning"), found())
    ends = timezone.now() + timedelta(minutes=7)
    Store.objects.filter(pk=store.pk).update(deadline_at=ends)
    page = read(at_alice, store)
    assert "What is in the way" in page and f">{ends:%H:%M} UTC</time>." in page


def test_nobody_is_told_of_a_deadline_that_stands_still(at_alice, make_store):
    store = diagnosed(make_store("provisioning"), found())
    ends = timezone.now() + timedelta(minutes=7)
    Store.objects.filter(pk=store.pk).update(deadline_at=ends, outage_since=timezone.now())
    assert "It is tried until" not in read(at_alice, store)


def test_what_was_in_the_way_is_no_longer_said_once_it_worked(at_alice, store, as_alice):
    refresh_store(store, actor=as_alice)
    diagnosed(store, found())
    assert heading(read(at_alice, store))
    store.operations.open().update(finished_at=timezone.now(), outcome="succeeded")
    assert not heading(read(at_alice, store))


def test_a_removal_that_hangs_names_what_holds_it(at_alice, make_store):
    held = Message("namespace-held", {"left": "1 example.com/Thing", "finalizer": "a.example/hold"})
    store = make_store("deleting")
    page = read(at_alice, diagnosed(store, found("cluster", "platform", "contact", held)))
    assert "1 example.com/Thing" in heading(page) and "a.example/hold" in heading(page)


def test_a_repair_lists_what_it_found(at_alice, store):
    findings = [
        Message("secret-lost", {"name": ATTACK}),
        Message("volume-pending", {"name": "data"}),
    ]
    repair_store(store, findings)
    page = read(at_alice, store)
    assert '<h2 id="progress">Repair</h2>' in page
    for finding in findings:
        assert f"<li>{escape(sentence(finding.as_json()))}</li>" in page
    assert "<strong>Storeyard</strong> began a repair" in page


def test_what_the_diagnosis_offers_is_not_offered_twice(at_alice, make_store):
    page = read(at_alice, diagnosed(make_store("failed"), found(action="retry")))
    assert 'class="btn btn-primary" id="helps-do-retry"' in page
    assert 'id="do-retry"' not in page and "Refresh</button>" in page
