"""Where a request comes from, as far as our own proxies know, and nobody else."""

from __future__ import annotations

import pytest
from django.test import Client, RequestFactory

from portal.client_address import client_address
from stores.models import AuditEvent
from stores.tests.people import PASSWORD

PROXY = "10.0.0.7"


def seen(forwarded: str = "", remote: str = PROXY) -> str:
    headers = {"x-forwarded-for": forwarded} if forwarded else {}
    return client_address(RequestFactory(headers=headers, REMOTE_ADDR=remote).get("/"))


@pytest.mark.parametrize("proxies", [0, 1, 2])
def test_without_the_header_it_is_who_connects(proxies, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    assert seen(remote="203.0.113.5") == "203.0.113.5"


def test_without_a_proxy_the_header_is_not_believed(settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    assert seen("6.6.6.6", remote="203.0.113.5") == "203.0.113.5"


def test_behind_one_proxy_two_people_are_two(settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert (seen("203.0.113.5"), seen("203.0.113.6")) == ("203.0.113.5", "203.0.113.6")


@pytest.mark.parametrize("forged", ["6.6.6.6", "6.6.6.6, 7.7.7.7", "nonsense"])
def test_what_a_client_sends_itself_does_not_count(forged, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert seen(f"{forged}, 203.0.113.5") == "203.0.113.5"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 2
    assert seen(f"{forged}, 203.0.113.5, 10.0.0.9") == "203.0.113.5"


def test_who_comes_around_the_proxies_is_taken_for_what_they_are(settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 2
    assert seen("6.6.6.6", remote="203.0.113.5") == "203.0.113.5"


@pytest.mark.parametrize("forwarded", ["not an address", "<script>", "2001:db8::1"])
def test_only_an_address_is_an_address(forwarded, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert seen(forwarded) == ("2001:db8::1" if ":" in forwarded else "")


def try_to_log_in(forwarded: str, password: str = "wrong") -> int:
    client = Client(headers={"x-forwarded-for": forwarded}, REMOTE_ADDR=PROXY)
    data = {"login": "alice", "password": password}
    return int(client.post("/account/login/", data).status_code)


def test_a_forged_address_does_not_reset_the_counter_nor_reach_the_history(alice, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    answers = [try_to_log_in(f"6.6.6.{n}, 203.0.113.5") for n in range(6)]
    assert answers == [200] * 5 + [429]
    assert {event.origin.address for event in AuditEvent.objects.all()} == {"203.0.113.5"}


def test_one_person_behind_a_proxy_holds_up_nobody_else_there(alice, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for _ in range(6):
        try_to_log_in("203.0.113.5")
    assert try_to_log_in("203.0.113.5", PASSWORD) == 429
    assert try_to_log_in("203.0.113.6", PASSWORD) == 302
