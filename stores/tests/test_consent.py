"""An owner's consent: asked for with a reason, limited in time, ended at any moment."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from stores.actor import Actor
from stores.consent import (
    ENTERED,
    ask_consent,
    decline_consent,
    enter,
    give_consent,
    revoke_consent,
)
from stores.errors import NotAllowed, Refused
from stores.models import AuditEvent, Consent, Letter, Share, Store
from stores.permissions import RIGHTS, Right, Standing
from stores.services import create_store
from stores.tests.test_services import in_parallel, put


@pytest.fixture
def store(alice, as_alice) -> Store:
    return put(create_store(actor=as_alice, owner=alice, name="Anna", address="anna"), "ready")


def found(store: Store, person) -> Store | None:
    return Store.objects.find(store.pk, person)


def actions(store: Store) -> list[str]:
    done = store.audit_events.order_by("id").values_list("action", flat=True)
    return [action for action in done if action != "store.ask_create"]


def test_support_is_a_stranger_without_consent_and_after_asking_for_it(store, carol, as_carol):
    assert found(store, carol) is None
    ask_consent(store, "The checkout fails.", actor=as_carol)
    assert found(store, carol) is None


def test_asking_names_who_and_why_and_writes_to_the_owner(store, alice, carol, as_carol):
    consent = ask_consent(store, "  The checkout\nfails. ", actor=as_carol)
    assert (consent.asked_by, consent.reason) == (carol, "The checkout fails.")
    letter = Letter.objects.get()
    assert (letter.code, letter.user, letter.params["reason"]) == (
        "consent-asked",
        alice,
        "The checkout fails.",
    )
    assert found(store, alice).consent_asked is True
    assert actions(store) == ["store.ask_consent"]


def test_a_store_has_one_open_question(store, as_carol):
    ask_consent(store, "The checkout fails.", actor=as_carol)
    with pytest.raises(Refused, match="asked already"):
        ask_consent(store, "Once more.", actor=as_carol)


def test_a_question_needs_a_reason(store, as_carol):
    for reason in ("", "  \n", "x" * 301):
        with pytest.raises(Refused) as refused:
            ask_consent(store, reason, actor=as_carol)
        assert refused.value.field == "reason"
    assert not Consent.objects.exists()


def test_only_the_team_asks_for_consent(store, as_alice, bob):
    for actor in (as_alice, Actor(bob, "test"), Actor(None, "test")):
        with pytest.raises(NotAllowed):
            ask_consent(store, "Let me in.", actor=actor)


def test_consent_lets_the_whole_team_in_for_as_long_as_it_lasts(store, as_alice, carol, bob):
    consent = give_consent(store, 12, actor=as_alice)
    assert timedelta(hours=11, minutes=59) < consent.ends_at - timezone.now()
    assert consent.ends_at - timezone.now() <= timedelta(hours=12)
    seen = found(store, carol)
    assert (seen.standing, seen.consent_until) == (Standing.SUPPORT, consent.ends_at)
    assert found(store, bob) is None
    Consent.objects.update(ends_at=F("ends_at") - timedelta(hours=12, seconds=1))
    assert found(store, carol) is None


def test_consent_does_not_put_the_store_on_the_teams_list(store, as_alice, carol):
    give_consent(store, 12, actor=as_alice)
    assert not Store.objects.visible_to(carol).exists()


def test_giving_answers_the_question_and_giving_again_replaces(store, as_alice, as_carol, alice):
    asked = ask_consent(store, "The checkout fails.", actor=as_carol)
    first = give_consent(store, 24, actor=as_alice)
    assert first == asked and found(store, alice).consent_asked is False
    second = give_consent(store, 3, actor=as_alice)
    assert list(Consent.objects.in_force()) == [second]
    assert found(store, alice).consent_until == second.ends_at < first.ends_at


@pytest.mark.parametrize("hours", [0, 2, 73, -3])
def test_consent_lasts_three_to_seventy_two_hours(store, as_alice, hours):
    with pytest.raises(Refused) as refused:
        give_consent(store, hours, actor=as_alice)
    assert refused.value.field == "hours"
    assert not Consent.objects.exists()


def test_ending_it_shuts_the_team_out_at_once(store, as_alice, carol):
    give_consent(store, 72, actor=as_alice)
    revoke_consent(store, actor=as_alice)
    assert found(store, carol) is None
    with pytest.raises(Refused, match="no access"):
        revoke_consent(store, actor=as_alice)
    assert actions(store) == ["store.give_consent", "store.revoke_consent"]


def test_a_question_can_be_declined_and_asked_again(store, as_alice, as_carol, carol):
    ask_consent(store, "The checkout fails.", actor=as_carol)
    decline_consent(store, actor=as_alice)
    assert found(store, carol) is None
    with pytest.raises(Refused):
        decline_consent(store, actor=as_alice)
    ask_consent(store, "It still fails.", actor=as_carol)


@pytest.mark.parametrize("verb", ["give", "revoke", "decline"])
@pytest.mark.parametrize("who", ["viewer", "manager", "stranger", "support"])
def test_nobody_but_the_owner_decides(verb, who, store, as_alice, as_carol, dora, bob, carol):
    if who in ("viewer", "manager"):
        Share.objects.create(
            store=store, email=dora.email, role=who, user=dora, accepted_at=timezone.now()
        )
    give_consent(store, 3, actor=as_alice)
    ask_consent(store, "Longer, please.", actor=as_carol)
    actor = Actor({"stranger": bob, "support": carol}.get(who, dora), "test")
    before = actions(store)
    verbs = {
        "give": lambda: give_consent(store, 72, actor=actor),
        "revoke": lambda: revoke_consent(store, actor=actor),
        "decline": lambda: decline_consent(store, actor=actor),
    }
    with pytest.raises(NotAllowed):
        verbs[verb]()
    assert actions(store) == before


def test_support_may_neither_delete_nor_share_nor_give_itself_more_time():
    assert RIGHTS[Standing.SUPPORT].isdisjoint(
        {Right.DELETE, Right.UNDO, Right.SKIP_GRACE, Right.SHARE, Right.HAND_OVER, Right.CONSENT}
    )


def test_entering_is_written_down_once_an_hour(store, as_alice, carol, as_carol, monkeypatch):
    give_consent(store, 72, actor=as_alice)
    for _ in range(3):
        enter(found(store, carol), actor=as_carol)
    assert actions(store) == ["store.give_consent", ENTERED]
    later = timezone.now() + timedelta(minutes=61)
    monkeypatch.setattr(timezone, "now", lambda: later)
    enter(found(store, carol), actor=as_carol)
    assert actions(store).count(ENTERED) == 2


def test_owners_and_their_people_enter_without_an_event(store, alice, as_alice):
    enter(found(store, alice), actor=as_alice)
    assert not AuditEvent.objects.filter(action=ENTERED).exists()


@pytest.mark.django_db(transaction=True)
def test_six_pages_at_once_are_one_entry(store, as_alice, carol, as_carol):
    give_consent(store, 72, actor=as_alice)
    assert in_parallel(6, lambda n: enter(found(store, carol), actor=as_carol)) == [None] * 6
    assert actions(store).count(ENTERED) == 1


@pytest.mark.django_db(transaction=True)
def test_six_who_ask_at_once_ask_once(store, as_carol):
    outcomes = in_parallel(6, lambda n: ask_consent(store, f"Reason {n}", actor=as_carol))
    assert outcomes.count(None) == 1
    assert {type(error) for error in outcomes if error} == {Refused}
    assert Letter.objects.count() == 1
