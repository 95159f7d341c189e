"""Sharing and handing over: who may, what it changes, and that each is written down once."""

import json
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.utils import translation

from stores import teams
from stores.actor import Actor
from stores.consent import give_consent
from stores.errors import NotAllowed, QuotaExceeded, Refused, TooMany
from stores.lifecycle import Status
from stores.models import AuditEvent, Consent, Handover, Letter, Share, Store, User
from stores.permissions import Standing
from stores.services import create_store, delete_store
from stores.teams import (
    accept_handover,
    accept_share,
    change_role,
    decline_handover,
    decline_share,
    invitations,
    offer_handover,
    share_store,
    withdraw_handover,
    withdraw_share,
)
from stores.tests.test_services import in_parallel, put

DORAS = ["dora@example.com"]


@pytest.fixture
def store(alice, as_alice) -> Store:
    return put(create_store(actor=as_alice, owner=alice, name="Anna", address="anna"), "ready")


@pytest.fixture
def as_dora(dora) -> Actor:
    return Actor(dora, "test")


@pytest.fixture
def as_bob(bob) -> Actor:
    return Actor(bob, "test")


@pytest.fixture
def invited(store, as_alice) -> Share:
    return share_store(store, "dora@example.com", "viewer", actor=as_alice)


@pytest.fixture
def shared(invited, as_dora) -> Share:
    accept_share(invited, DORAS, actor=as_dora)
    invited.refresh_from_db()
    return invited


@pytest.fixture
def offered(store, as_alice) -> Handover:
    return offer_handover(store, "dora@example.com", actor=as_alice)


def actions(store: Store) -> list[str]:
    done = store.audit_events.order_by("id").values_list("action", flat=True)
    return [action for action in done if action != "store.ask_create"]


# --- Sharing -----------------------------------------------------------------------------


def test_an_invitation_is_a_row_a_letter_and_an_event_without_the_address(store, invited, as_dora):
    assert (invited.email, invited.role, invited.user) == ("dora@example.com", "viewer", None)
    letter = Letter.objects.get()
    assert (letter.code, letter.email, letter.user) == (
        "share-invitation",
        "dora@example.com",
        None,
    )
    assert actions(store) == ["store.share"]
    assert Store.objects.find(store.pk, as_dora.user) is None


def test_an_invitation_is_in_the_language_of_whoever_invites(store, as_alice):
    with translation.override("de"):
        share_store(store, "somebody@example.com", "viewer", actor=as_alice)
    assert Letter.objects.get().params["language"] == "de"


def test_the_answer_is_the_same_whether_an_account_exists_or_not(store, as_alice, dora):
    answers = [
        (share.role, share.user, share.accepted_at)
        for email in (dora.email, "nobody@example.com")
        if (share := share_store(store, email, "manager", actor=as_alice))
    ]
    assert answers[0] == answers[1]
    letters = [(each.code, each.user, each.params["role"]) for each in Letter.objects.all()]
    assert letters[0] == letters[1]


def test_an_invitation_takes_the_same_queries_whether_an_account_exists_or_not(
    store, as_alice, dora
):
    counts = []
    for email in (dora.email, "nobody@example.com"):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            share_store(store, email, "viewer", actor=as_alice)
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_accepting_lets_the_person_in_as_what_was_offered(store, invited, as_dora, dora):
    accept_share(invited, DORAS, actor=as_dora)
    assert Store.objects.find(store.pk, dora).standing == Standing.VIEWER
    assert list(Store.objects.visible_to(dora)) == [store]
    assert actions(store) == ["store.share", "store.accept_share"]


def test_only_who_has_the_verified_address_can_accept(store, invited, as_bob):
    for addresses in ([], ["bob@example.com"]):
        with pytest.raises(Refused, match="no longer there"):
            accept_share(invited, addresses, actor=as_bob)
    assert Store.objects.find(store.pk, as_bob.user) is None


def test_an_address_counts_in_small_and_in_capital_letters(store, as_alice, as_dora):
    share = share_store(store, " Dora@Example.COM ", "viewer", actor=as_alice)
    assert share.email == "dora@example.com"
    accept_share(share, ["DORA@example.com"], actor=as_dora)
    assert Store.objects.find(store.pk, as_dora.user)


def test_an_invitation_can_be_accepted_once(invited, as_dora, as_bob):
    accept_share(invited, DORAS, actor=as_dora)
    with pytest.raises(Refused, match="no longer there"):
        accept_share(invited, DORAS, actor=as_bob)


def test_an_invitation_is_void_after_two_weeks_until_it_is_sent_again(
    store, invited, as_alice, as_dora
):
    Share.objects.update(invited_at=Now() - timedelta(days=15))
    assert invitations(DORAS) == []
    with pytest.raises(Refused, match="no longer there"):
        accept_share(invited, DORAS, actor=as_dora)
    share_store(store, "dora@example.com", "viewer", actor=as_alice)
    assert Letter.objects.count() == 2
    accept_share(invited, DORAS, actor=as_dora)


def test_what_a_deactivated_owner_sent_is_void(invited, offered, alice, as_dora):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert invitations(DORAS) == []
    for accept, waiting in ((accept_share, invited), (accept_handover, offered)):
        with pytest.raises(Refused, match="no longer there"):
            accept(waiting, DORAS, actor=as_dora)


def test_a_second_invitation_by_another_address_replaces_the_first_share(
    store, shared, as_alice, as_dora, dora
):
    again = share_store(store, "dora@work.example", "manager", actor=as_alice)
    accept_share(again, ["dora@work.example"], actor=as_dora)
    assert list(store.shares.values_list("email", "role")) == [("dora@work.example", "manager")]
    assert Store.objects.find(store.pk, dora).standing == Standing.MANAGER


def test_sharing_again_with_another_role_changes_it(store, shared, as_alice, dora):
    share_store(store, dora.email, "manager", actor=as_alice)
    assert Store.objects.find(store.pk, dora).standing == Standing.MANAGER
    assert actions(store)[-1] == "store.change_role"
    event = AuditEvent.objects.latest("id")
    assert (event.details["from"], event.details["to"]) == ("viewer", "manager")
    assert Letter.objects.count() == 1


def test_a_role_that_is_the_same_already_is_no_event(store, shared, as_alice):
    before = actions(store)
    change_role(shared, "viewer", actor=as_alice)
    assert actions(store) == before


@pytest.mark.parametrize(
    ("email", "role", "field"),
    [
        ("alice@example.com", "viewer", "email"),
        ("ALICE@example.com", "viewer", "email"),
        ("", "viewer", "email"),
        ("dora", "viewer", "email"),
        ("dora@example.com\nBcc: x@example.com", "viewer", "email"),
        ("d\x00ora@example.com", "viewer", "email"),
        ("d" * 250 + "@example.com", "viewer", "email"),
        ("dora@example.com", "owner", "role"),
        ("dora@example.com", "", "role"),
    ],
)
def test_what_makes_no_sense_names_its_field_and_writes_nothing(
    store, as_alice, email, role, field
):
    with pytest.raises(Refused) as refused:
        share_store(store, email, role, actor=as_alice)
    assert refused.value.field == field
    assert not Share.objects.exists() and not Letter.objects.exists()
    assert actions(store) == []


def test_a_store_has_room_for_twenty(store, as_alice):
    for number in range(teams.MAX_SHARES):
        share_store(store, f"person-{number}@example.com", "viewer", actor=as_alice)
    with pytest.raises(Refused, match="20 people at most"):
        share_store(store, "one-more@example.com", "viewer", actor=as_alice)
    share_store(store, "person-0@example.com", "manager", actor=as_alice)
    assert store.shares.count() == teams.MAX_SHARES


def test_invitations_are_limited_since_each_is_a_letter(store, alice, settings):
    settings.HOURLY_LIMITS = {"store.share": 2}
    at_portal = Actor(alice, "portal")
    for number in range(2):
        share_store(store, f"person-{number}@example.com", "viewer", actor=at_portal)
    with pytest.raises(TooMany):
        share_store(store, "person-2@example.com", "viewer", actor=at_portal)
    assert store.shares.count() == Letter.objects.count() == 2


def test_the_owner_takes_a_share_back(store, shared, as_alice, dora):
    withdraw_share(shared, actor=as_alice)
    assert Store.objects.find(store.pk, dora) is None
    event = AuditEvent.objects.latest("id")
    assert (event.action, event.details["user"]) == ("store.withdraw_share", dora.pseudonym)


def test_whoever_it_is_shared_with_can_leave(store, shared, as_dora, dora):
    withdraw_share(shared, actor=as_dora)
    assert Store.objects.find(store.pk, dora) is None
    assert actions(store)[-1] == "store.leave"


def test_an_invitation_can_be_declined_and_is_gone_then(store, invited, as_dora):
    decline_share(invited, DORAS, actor=as_dora)
    assert not Share.objects.exists()
    assert actions(store)[-1] == "store.decline_share"


def test_who_has_two_accounts_cannot_share_with_themself(store, as_alice):
    share = share_store(store, "alice@work.example", "viewer", actor=as_alice)
    with pytest.raises(Refused, match="yours already"):
        accept_share(share, ["alice@work.example"], actor=as_alice)


OWNERS_ONLY = {
    "share": lambda store, share, actor: share_store(store, "x@example.com", "viewer", actor=actor),
    "change": lambda store, share, actor: change_role(share, "manager", actor=actor),
    "offer": lambda store, share, actor: offer_handover(store, "x@example.com", actor=actor),
    "withdraw": lambda store, share, actor: withdraw_handover(store, actor=actor),
}


@pytest.mark.parametrize("verb", OWNERS_ONLY)
@pytest.mark.parametrize("who", ["viewer", "manager", "stranger", "support", "system"])
def test_only_the_owner_shares_and_hands_over(
    verb, who, store, shared, offered, as_alice, as_dora, as_bob, as_carol
):
    change_role(shared, "manager" if who == "manager" else "viewer", actor=as_alice)
    give_consent(store, 3, actor=as_alice)
    actor = {"stranger": as_bob, "support": as_carol, "system": Actor(None, "test")}.get(
        who, as_dora
    )
    before = actions(store)
    with pytest.raises(NotAllowed):
        OWNERS_ONLY[verb](store, shared, actor)
    assert actions(store) == before


def test_nobody_but_owner_and_themself_takes_a_share_away(store, shared, as_alice, bob, as_bob):
    share = share_store(store, bob.email, "manager", actor=as_alice)
    accept_share(share, [bob.email], actor=as_bob)
    with pytest.raises(NotAllowed):
        withdraw_share(shared, actor=as_bob)


def test_a_deactivated_person_can_do_nothing_any_more(
    store, shared, as_dora, dora, as_alice, alice
):
    dora.is_active = alice.is_active = False
    for verb in (
        lambda: withdraw_share(shared, actor=as_dora),
        lambda: share_store(store, "x@example.com", "viewer", actor=as_alice),
    ):
        with pytest.raises(NotAllowed):
            verb()


@pytest.mark.parametrize("status", ["closing", "deleting", "deleted"])
def test_what_is_on_its_way_out_is_neither_shared_nor_handed_over(store, status, as_alice):
    put(store, status)
    for verb in (
        lambda: share_store(store, "x@example.com", "viewer", actor=as_alice),
        lambda: offer_handover(store, "x@example.com", actor=as_alice),
    ):
        with pytest.raises(Refused, match="being closed|is deleted"):
            verb()


# --- Handing over ------------------------------------------------------------------------


def test_accepting_makes_it_theirs_with_a_place_in_their_quota(
    store, offered, dora, as_dora, alice
):
    create_store(actor=as_dora, owner=dora, name="Dora")
    rings, revision = store.rings, store.revision
    accept_handover(offered, DORAS, actor=as_dora)
    store.refresh_from_db()
    assert (store.owner, store.slot, store.status) == (dora, 1, Status.READY)
    assert (alice.stores_used, dora.stores_used) == (0, 2)
    assert store.rings == rings + 1 and store.revision > revision
    assert not Handover.objects.exists()


def test_the_owner_before_keeps_no_right(store, offered, as_dora, as_alice, alice):
    accept_handover(offered, DORAS, actor=as_dora)
    assert Store.objects.find(store.pk, alice) is None
    with pytest.raises(NotAllowed):
        share_store(store, "alice@work.example", "manager", actor=as_alice)


def test_shares_stay_but_the_new_owners_own_and_consent_ends(
    store, shared, offered, as_alice, as_dora, bob
):
    share_store(store, bob.email, "viewer", actor=as_alice)
    consent = give_consent(store, 72, actor=as_alice)
    accept_handover(offered, DORAS, actor=as_dora)
    assert [share.email for share in store.shares.all()] == [bob.email]
    assert not Consent.objects.in_force().exists()
    consent.refresh_from_db()
    assert consent.revoked_at


def test_a_handover_is_written_down_once_with_pseudonyms(store, offered, as_dora, alice, dora):
    accept_handover(offered, DORAS, actor=as_dora)
    assert actions(store) == ["store.offer_handover", "store.accept_handover"]
    assert AuditEvent.objects.latest("id").details == {
        "from": alice.pseudonym,
        "to": dora.pseudonym,
    }
    assert list(Letter.objects.values_list("code", "email", "user")) == [
        ("handover-offer", "dora@example.com", None),
        ("handover-accepted", "", alice.pk),
    ]


def test_without_a_place_in_the_quota_nothing_changes(store, offered, dora, as_dora, alice):
    User.objects.filter(pk=dora.pk).update(max_stores=0)
    with pytest.raises(QuotaExceeded):
        accept_handover(offered, DORAS, actor=as_dora)
    store.refresh_from_db()
    assert store.owner == alice
    assert Handover.objects.exists()


def test_a_new_offer_ends_the_one_before(store, offered, as_alice, as_dora):
    offer_handover(store, "bob@example.com", actor=as_alice)
    with pytest.raises(Refused, match="no longer there"):
        accept_handover(offered, DORAS, actor=as_dora)


def test_an_offer_that_was_withdrawn_or_declined_cannot_be_accepted(
    store, offered, as_alice, as_dora
):
    withdraw_handover(store, actor=as_alice)
    with pytest.raises(Refused, match="no longer there"):
        accept_handover(offered, DORAS, actor=as_dora)
    with pytest.raises(Refused, match="no offer any more"):
        withdraw_handover(store, actor=as_alice)
    again = offer_handover(store, "dora@example.com", actor=as_alice)
    decline_handover(again, DORAS, actor=as_dora)
    assert not Handover.objects.exists()
    assert actions(store)[-1] == "store.decline_handover"


def test_only_who_has_the_verified_address_takes_a_store_over(store, offered, as_bob, alice):
    with pytest.raises(Refused, match="no longer there"):
        accept_handover(offered, ["bob@example.com"], actor=as_bob)
    with pytest.raises(Refused, match="no longer there"):
        decline_handover(offered, [], actor=as_bob)
    store.refresh_from_db()
    assert store.owner == alice


def test_a_store_that_is_deleted_meanwhile_is_not_taken_over(store, offered, as_alice, as_dora):
    delete_store(store, actor=as_alice)
    with pytest.raises(Refused):
        accept_handover(offered, DORAS, actor=as_dora)
    assert invitations(DORAS) == []


def test_the_new_owner_may_have_used_the_same_key_for_a_store_of_their_own(
    alice, as_alice, dora, as_dora
):
    key = {"idempotency_key": "k"}
    store = put(create_store(actor=as_alice, owner=alice, name="Anna", **key), "ready")
    create_store(actor=as_dora, owner=dora, name="Dora", **key)
    accept_handover(offer_handover(store, dora.email, actor=as_alice), DORAS, actor=as_dora)
    assert dora.stores.count() == 2


# --- What waits for a person -------------------------------------------------------------


def test_what_waits_for_a_person_takes_one_query(
    store, invited, offered, as_alice, django_assert_num_queries
):
    with django_assert_num_queries(1):
        waiting = invitations(DORAS)
    assert [(each.kind, each.role, each.store_name, each.sender) for each in waiting] == [
        ("handover", "", "Anna", "alice@example.com"),
        ("share", "viewer", "Anna", "alice@example.com"),
    ]
    assert {each.pk for each in waiting} == {invited.pk, offered.pk}
    with django_assert_num_queries(1):
        assert invitations(["bob@example.com"]) == []


# --- Nothing that names anybody is kept -----------------------------------------------------


def test_no_event_of_a_team_holds_an_address(
    store, shared, offered, as_alice, as_dora, dora, alice, bob
):
    invited = share_store(store, bob.email, "viewer", actor=as_alice)
    change_role(invited, "manager", actor=as_alice)
    withdraw_share(invited, actor=as_alice)
    accept_handover(offered, DORAS, actor=as_dora)
    kept = json.dumps(list(AuditEvent.objects.values_list("actor_name", "details")))
    for person in (alice, dora, bob):
        assert person.email not in kept and f'"{person.username}"' not in kept


# --- At the same moment ---------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_handover_accepted_six_times_at_once_happens_once(store, offered, dora, as_dora):
    outcomes = in_parallel(6, lambda n: accept_handover(offered, DORAS, actor=as_dora))
    assert outcomes.count(None) == 1
    assert {type(error) for error in outcomes if error} == {Refused}
    assert actions(store).count("store.accept_handover") == 1
    assert dora.stores_used == 1


@pytest.mark.django_db(transaction=True)
def test_a_handover_and_creates_at_once_share_the_last_places(store, offered, dora, as_dora, alice):
    def act(number: int) -> None:
        if number == 0:
            accept_handover(offered, DORAS, actor=as_dora)
        else:
            create_store(actor=as_dora, owner=dora, name=f"Shop {number}")

    outcomes = in_parallel(8, act)
    assert dora.stores_used == dora.max_stores == 2
    assert {type(error) for error in outcomes if error} == {QuotaExceeded}
    assert sorted(dora.stores.values_list("slot", flat=True)) == [0, 1]
    assert Store.objects.filter(Q(owner=dora) | Q(owner=alice)).count() == 3 - (outcomes[0] is None)


@pytest.mark.django_db(transaction=True)
def test_two_who_hand_their_stores_to_each_other_at_once_meet_no_deadlock(
    alice, as_alice, dora, as_dora
):
    User.objects.update(max_stores=20)
    hers = [
        put(create_store(actor=as_alice, owner=alice, name=f"A {n}"), "ready") for n in range(4)
    ]
    theirs = [
        put(create_store(actor=as_dora, owner=dora, name=f"D {n}"), "ready") for n in range(4)
    ]
    offers = [
        *((offer_handover(store, dora.email, actor=as_alice), DORAS, as_dora) for store in hers),
        *(
            (offer_handover(store, alice.email, actor=as_dora), [alice.email], as_alice)
            for store in theirs
        ),
    ]

    def act(number: int) -> None:
        handover, addresses, actor = offers[number // 2]
        if number % 2 == 0:
            accept_handover(handover, addresses, actor=actor)
        else:
            AuditEvent.record("store.seen", actor=actor, store=handover.store)

    assert in_parallel(16, act) == [None] * 16
    assert set(alice.stores.all()) == set(theirs) and set(dora.stores.all()) == set(hers)


@pytest.mark.django_db(transaction=True)
def test_a_handover_and_a_deletion_at_once_leave_one_whole_story(
    store, offered, alice, as_alice, as_dora
):
    def act(number: int) -> None:
        if number == 0:
            accept_handover(offered, DORAS, actor=as_dora)
        else:
            delete_store(store, actor=as_alice)

    taken, deleted = in_parallel(2, act)
    store.refresh_from_db()
    # Whoever is first: the other is refused, and nothing is deleted that is somebody else's by now.
    if taken is None:
        assert isinstance(deleted, NotAllowed)
        assert store.owner != alice and store.status != Status.DELETING
    else:
        assert isinstance(taken, Refused) and deleted is None
        assert store.owner == alice and store.status == Status.DELETING


@pytest.mark.django_db(transaction=True)
def test_sharing_with_one_person_six_times_at_once_is_one_share(store, as_alice):
    outcomes = in_parallel(
        6, lambda n: share_store(store, "dora@example.com", "viewer", actor=as_alice)
    )
    assert outcomes == [None] * 6
    assert store.shares.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_room_for_twenty_cannot_be_raced(store, as_alice):
    for number in range(teams.MAX_SHARES - 2):
        share_store(store, f"person-{number}@example.com", "viewer", actor=as_alice)
    in_parallel(6, lambda n: share_store(store, f"more-{n}@example.com", "viewer", actor=as_alice))
    assert store.shares.count() == teams.MAX_SHARES


def test_a_pass_is_rung_for_to_put_the_owner_in_the_cluster_right(store, offered, as_dora):
    before = apps.get_model("django_q", "OrmQ").objects.count()
    accept_handover(offered, DORAS, actor=as_dora)
    assert apps.get_model("django_q", "OrmQ").objects.count() == before + 1
