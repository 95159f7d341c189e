"""Several people and one store, each at a browser of their own: share, hand over, support's consent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from portal.tests.browser_kit import at_browser, create, wait_for_status

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from portal.tests.platforms import Person, Platform

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@contextmanager
def two_browsers(
    chromium: Browser, platform: Platform, one: Person, other: Person
) -> Iterator[tuple[Page, Page]]:
    with (
        at_browser(chromium, platform, one) as first,
        at_browser(chromium, platform, other) as second,
    ):
        yield first, second


def people_of(page: Page, store: str) -> None:
    page.goto(store)
    page.get_by_role("link", name=re.compile("People|Share")).first.click()
    page.get_by_role("heading", name="People").wait_for()


def accept(page: Page, name: str) -> None:
    page.goto("/stores/")
    page.get_by_role("button", name=re.compile(f"Accept.*{name}")).click()
    page.goto("/stores/")
    page.get_by_role("link", name=name).click()


def test_a_store_is_shared_and_its_viewer_becomes_a_manager(simulated, chromium):
    alice, dora = simulated.person("alice"), simulated.person("dora")
    with two_browsers(chromium, simulated, alice, dora) as (at_alice, at_dora):
        create(at_alice, "Shared Spices", "shared-spices")
        wait_for_status(at_alice, "Ready")
        store = at_alice.url
        people_of(at_alice, store)
        at_alice.get_by_label("E-mail address").first.fill(dora.email)
        at_alice.get_by_label("Viewer").check()
        at_alice.get_by_role("button", name="Invite").click()
        at_alice.get_by_text(f"An invitation is on its way to {dora.email}").wait_for()

        accept(at_dora, "Shared Spices")
        wait_for_status(at_dora, "Ready")
        # What a viewer may not do is there and says why.
        assert at_dora.get_by_role("button", name="Refresh").first.is_disabled()

        at_alice.get_by_role("button", name="Make manager").click()
        at_alice.get_by_text("Changed.").wait_for()
        at_dora.goto(store)
        at_dora.get_by_role("button", name="Refresh").click()
        at_dora.get_by_text("The store is being looked at again.").wait_for()

        at_alice.get_by_role("button", name="Remove").click()
        at_alice.get_by_role("button", name="Invite").wait_for()
        at_dora.goto("/stores/")
        at_dora.get_by_role("heading", name="My stores").wait_for()
        assert at_dora.get_by_role("link", name="Shared Spices").count() == 0


def test_a_store_is_handed_over_and_its_old_owner_sees_it_no_more(simulated, chromium):
    alice, emil = simulated.person("alice"), simulated.person("emil")
    with two_browsers(chromium, simulated, alice, emil) as (at_alice, at_emil):
        create(at_alice, "Passed On", "passed-on")
        wait_for_status(at_alice, "Ready")
        store = at_alice.url
        people_of(at_alice, store)
        panel = at_alice.locator(
            "section", has=at_alice.get_by_role("heading", name="Hand it over")
        )
        panel.get_by_label("E-mail address").fill(emil.email)
        panel.get_by_role("button", name="Offer the store").click()
        at_alice.get_by_text(f"You have offered this store to {emil.email}").wait_for()

        accept(at_emil, "Passed On")
        wait_for_status(at_emil, "Ready")
        at_alice.goto("/stores/")
        at_alice.get_by_role("heading", name="My stores").wait_for()
        assert at_alice.get_by_role("link", name="Passed On").count() == 0


def test_support_enters_with_consent_only_and_for_as_long_as_it_lasts(simulated, chromium):
    alice = simulated.person("alice")
    carol = simulated.person("carol", is_staff=True, max_stores=0)
    with two_browsers(chromium, simulated, alice, carol) as (at_alice, at_carol):
        create(at_alice, "Trusting Tea", "trusting-tea")
        wait_for_status(at_alice, "Ready")
        store = at_alice.url
        at_carol.goto(store + "consent/ask/")
        at_carol.get_by_label("Reason").fill("Orders do not arrive, says the owner.")
        at_carol.get_by_role("button", name="Ask the owner").click()

        at_alice.goto(store)
        at_alice.get_by_role("link", name="See why, and decide").click()
        at_alice.get_by_text("Orders do not arrive, says the owner.").wait_for()
        at_alice.get_by_label("3 hours").check()
        at_alice.get_by_role("button", name="Let support in").click()
        at_alice.goto(store)
        at_alice.get_by_text("The support team may look into this store until").wait_for()

        at_carol.goto(store)
        wait_for_status(at_carol, "Ready")
        at_carol.get_by_text("You are in it for the team").wait_for()
        assert at_carol.get_by_role("link", name="Delete…").count() == 0

        at_alice.get_by_role("button", name="End it now").click()
        at_alice.get_by_text("The support team may look into this store until").wait_for(
            state="detached"
        )
        # As any stranger: not even that there is such a store.
        assert at_carol.request.get(store).status == 404
