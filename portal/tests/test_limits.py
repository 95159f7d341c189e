"""What somebody sees who does something too often."""

import pytest
from django.urls import reverse

from stores.models import Store


def send(at_alice, number: int):
    data = {"name": f"Shop {number}", "address": f"shop-{number}", "plan": "standard"}
    return at_alice.post(reverse("store-create"), data)


@pytest.fixture(autouse=True)
def one_an_hour(settings):
    settings.HOURLY_LIMITS = {"store.ask_create": 1, "store.ask_delete": 1, "store.ask_refresh": 1}


def test_too_many_creates_get_a_page_that_says_when_it_is_possible_again(at_alice):
    assert send(at_alice, 1).status_code == 302
    response = send(at_alice, 2)
    assert response.status_code == 429
    assert 3590 <= int(response["Retry-After"]) <= 3601
    page = response.content.decode()
    assert "You have done this 1 time within an hour" in page
    assert "Try again in 60 minutes" in page
    assert Store.objects.count() == 1


@pytest.mark.parametrize("action", ["delete", "refresh"])
def test_too_many_of_other_actions_too(action, make_store, at_alice):
    answers = [
        at_alice.post(reverse(f"store-{action}", args=[store.pk]), {"name": store.name})
        for store in (make_store("ready"), make_store("ready", name="Two"))
    ]
    assert [answer.status_code for answer in answers] == [302, 429]
    assert "Retry-After" in answers[1]
