"""How often somebody may do something within an hour: exactly so often, whoever else is at it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from stores import limits
from stores.actor import Actor
from stores.errors import TooMany
from stores.models import AuditEvent, Store, User
from stores.services import create_store, delete_store, refresh_store
from stores.tests.test_services import in_parallel, put


@pytest.fixture
def at_portal(alice) -> Actor:
    User.objects.update(max_stores=50)
    return Actor(alice, "portal")


def create(actor: Actor, number: int, owner: User | None = None) -> Store:
    return create_store(actor=actor, owner=owner or actor.user, name=f"Shop {number}")


@pytest.fixture
def wait(monkeypatch) -> Callable[[int], None]:
    """Let so many minutes pass, by the process's clock: events cannot be backdated."""
    started, passed = timezone.now, [0]

    def wait(minutes: int) -> None:
        passed[0] += minutes

    monkeypatch.setattr(timezone, "now", lambda: started() + timedelta(minutes=passed[0]))
    return wait


def test_one_more_than_allowed_is_refused_and_leaves_nothing(at_portal, settings):
    settings.HOURLY_LIMITS = {"store.ask_create": 2}
    create(at_portal, 1), create(at_portal, 2)
    with pytest.raises(TooMany, match="2 times within an hour") as refused:
        create(at_portal, 3)
    assert 3590 <= refused.value.retry_after <= 3601
    assert Store.objects.count() == 2
    assert AuditEvent.objects.filter(action="store.ask_create").count() == 2


def test_there_is_room_again_when_the_oldest_is_an_hour_old(at_portal, settings, wait):
    settings.HOURLY_LIMITS = {"store.ask_create": 2}
    create(at_portal, 1)
    wait(50)
    create(at_portal, 2)
    with pytest.raises(TooMany, match="in 10 minutes") as refused:
        create(at_portal, 3)
    assert refused.value.retry_after <= 601
    wait(11)
    create(at_portal, 4)


def test_everybody_has_a_count_of_their_own(at_portal, bob, settings):
    settings.HOURLY_LIMITS = {"store.ask_create": 1}
    create(at_portal, 1)
    create(Actor(bob, "portal"), 2)


def test_the_team_in_the_admin_and_commands_are_not_limited(at_portal, alice, carol, settings):
    settings.HOURLY_LIMITS = {"store.ask_create": 0}
    create(Actor(carol, "admin"), 1, alice)
    create(Actor(None, "command"), 2, alice)
    with pytest.raises(TooMany):
        create(at_portal, 3)


def test_the_same_form_sent_again_counts_once(at_portal, alice, settings):
    settings.HOURLY_LIMITS = {"store.ask_create": 1}
    made = {
        create_store(actor=at_portal, owner=alice, name="Anna", idempotency_key="k").pk
        for _ in range(3)
    }
    assert len(made) == 1


@pytest.mark.parametrize(("verb", "action"), [(delete_store, "delete"), (refresh_store, "refresh")])
def test_deleting_and_refreshing_are_limited_too(at_portal, settings, verb, action):
    stores = [put(create(at_portal, number), "ready") for number in range(2)]
    settings.HOURLY_LIMITS = {f"store.ask_{action}": 1}
    verb(stores[0], actor=at_portal)
    with pytest.raises(TooMany):
        verb(stores[1], actor=at_portal)
    stores[1].refresh_from_db()
    assert stores[1].status == "ready"


@pytest.mark.django_db(transaction=True)
def test_twelve_at_once_are_as_many_as_allowed(at_portal, settings):
    settings.HOURLY_LIMITS = {"store.ask_create": 3}
    outcomes = in_parallel(12, lambda number: create(at_portal, number))
    assert Store.objects.count() == 3
    assert [type(error) for error in outcomes if error] == [TooMany] * 9


def test_without_a_number_nothing_is_limited(at_portal, settings):
    settings.HOURLY_LIMITS = {}
    limits.keep("store.ask_create", at_portal)
    for number in range(25):
        create(at_portal, number)
    assert Store.objects.count() == 25
