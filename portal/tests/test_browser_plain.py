"""The main path without JavaScript: plain forms and links are enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.tests.browser_kit import (
    at_browser,
    create,
    delete,
    reload_until,
    reveal,
    sign_up,
    status,
    wait_for_status,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_whole_way_from_sign_up_to_the_receipt_without_javascript(either_platform, chromium):
    with at_browser(chromium, either_platform, java_script_enabled=False) as page:
        sign_up(page, either_platform, "otto@example.com")
        create(page, "Dora’s Books", "doras-books")
        if status(page) != "Ready":
            assert page.get_by_role("link", name="look again").count() == 1
        reload_until(page, "Ready")
        page.get_by_role("button", name="Refresh").click()
        page.get_by_text("The store is being looked at again.").wait_for()
        reload_until(page, "Ready")
        assert len(reveal(page)) >= 20
        page.get_by_role("link", name="Back to the store").click()
        delete(page, "wrong")
        page.get_by_text("That is not this store's name").wait_for()
        page.get_by_label("To confirm").fill("doras-books")
        page.get_by_label("Delete at once").check()
        page.get_by_role("button", name="Delete this store").click()
        page.get_by_text("The store is being deleted.").wait_for()
        reload_until(page, "Deleted")
        assert page.get_by_role("heading", name="Receipt of the deletion").count() == 1
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Welcome back").wait_for()


def test_a_deletion_is_undone_then_hurried_and_proven_without_javascript(simulated, chromium):
    person = simulated.person("dora")
    with at_browser(chromium, simulated, person, java_script_enabled=False) as page:
        create(page, "Ida’s Rings", "idas-rings")
        reload_until(page, "Ready")
        delete(page, "idas-rings", at_once=False)
        wait_for_status(page, "Closing")
        assert page.locator("time[data-until]").inner_text().startswith("9 min ")
        press(page, "Keep the store")
        reload_until(page, "Ready")
        delete(page, "idas-rings", at_once=False)
        press(page, "Delete now")
        reload_until(page, "Deleted")
        assert page.get_by_role("heading", name="Receipt of the deletion").count() == 1
        assert page.get_by_role("button", name="Print").count() == 0


def press(page: Page, button: str) -> None:
    """And be where it leads: a reload on the way there would be a reload of nothing."""
    with page.expect_navigation():
        page.get_by_role("button", name=button).click()
