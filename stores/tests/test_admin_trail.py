"""The audit trail as support reads it, and whether it is known to be whole."""

from __future__ import annotations

import pytest

from stores import audit
from stores.actor import SYSTEM, Actor
from stores.models import AuditEvent, AuditOrigin
from stores.tests.test_audit import tamper, three_events

TRAIL = "/admin/stores/auditevent/"


def listed(client, **query: str) -> str:
    return client.get(TRAIL, query).content.decode()


def of_alice(alice) -> AuditEvent:
    actor = Actor(alice, "portal", address="192.0.2.7", request_id="r-1")
    return AuditEvent.record("test.hers", actor=actor)


@pytest.mark.parametrize("query", ["alice", "ALICE@example.com", "pseudonym", "192.0.2.7", "r-1"])
def test_what_a_person_did_is_found_by_what_is_known_of_them(query, at_erin, alice, bob):
    of_alice(alice)
    AuditEvent.record("test.his", actor=Actor(bob, "portal"))
    page = listed(at_erin, q=alice.pseudonym if query == "pseudonym" else query)
    assert "test.hers" in page and "field-action" in page
    assert page.count('class="field-action"') == 1


@pytest.mark.parametrize("query", ["alice", "pseudonym"])
def test_what_was_done_to_a_person_is_found_too(query, at_erin, alice):
    AuditEvent.record("test.to_her", actor=SYSTEM, details={"user": alice.pseudonym})
    page = listed(at_erin, q=alice.pseudonym if query == "pseudonym" else query)
    assert page.count('class="field-action"') == 1


def test_names_and_addresses_are_shown_as_long_as_they_are_not_erased(at_erin, alice):
    event = of_alice(alice)
    page = listed(at_erin)
    assert "192.0.2.7" in page and ">alice<" in page
    AuditOrigin.objects.filter(event=event).delete()
    alice.username = alice.pseudonym
    alice.save(update_fields=["username"])
    page = listed(at_erin)
    assert "192.0.2.7" not in page and "erased" in page and alice.pseudonym in page
    assert audit.verify() == ""


def test_columns_and_filters_are_called_by_words(at_erin, alice):
    of_alice(alice)
    page = " ".join(listed(at_erin).split())
    for word in ("Time", "Who", "Way", "Network address", "Reason"):
        assert f">{word}</a>" in page or f">{word}</span>" in page, word
    assert "By time" in page and "By way" in page and "By at" not in page


def test_it_can_be_narrowed_down_by_action_way_time_and_store(at_erin, store):
    for query in (
        {"action": "store.ask_create"},
        {"via__exact": "test"},
        {"at__gte": "2026-01-01"},
        {"store__id__exact": str(store.pk)},
    ):
        assert "store.ask_create" in listed(at_erin, **query), query


def test_a_page_of_it_costs_the_same_however_long_it_is(
    at_erin, alice, django_assert_max_num_queries
):
    three_events()
    listed(at_erin)
    for _ in range(30):
        of_alice(alice)
    with django_assert_max_num_queries(12):
        assert listed(at_erin).count('class="field-action"') == 33


@pytest.mark.django_db
def test_it_is_said_whether_it_is_whole_and_as_of_when(at_erin):
    assert "Nobody has looked yet" in listed(at_erin)
    three_events()
    audit.verify_and_keep()
    assert "is whole as of" in listed(at_erin) and "3 events" in listed(at_erin)


@pytest.mark.django_db
def test_a_break_is_named_until_a_whole_look_finds_none(at_erin):
    ids = three_events()
    audit.verify_and_keep()
    tamper("UPDATE stores_auditevent SET via = 'x' WHERE id = %s", ids[1])
    assert audit.verify_and_keep(whole=False).broken == "", "a short look sees only what is new"
    assert audit.verify_and_keep().broken
    assert f"Audit event {ids[1]}" in listed(at_erin) and "is broken" in listed(at_erin)
    assert audit.verify_and_keep(whole=False).broken, "not whole again by looking at the rest"
    tamper("UPDATE stores_auditevent SET via = 'system' WHERE id = %s", ids[1])
    assert audit.verify_and_keep().broken == ""
    assert "is whole as of" in listed(at_erin)


@pytest.mark.django_db
def test_a_short_look_finds_what_was_done_to_events_since():
    three_events()
    first = audit.verify_and_keep()
    ids = three_events()
    second = audit.verify_and_keep(whole=False)
    assert (first.count, second.count, second.upto, second.broken) == (3, 6, ids[2], "")
    late = three_events()
    tamper("DELETE FROM stores_auditevent WHERE id = %s", late[1])
    assert f"Audit event {late[2]} does not follow" in audit.verify_and_keep(whole=False).broken
