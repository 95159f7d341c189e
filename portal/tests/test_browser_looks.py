"""What only a running platform shows, on a phone, a tablet and a desk, light and dark, and under axe.

Everything else is looked at in test_every_page.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.tests.browser_kit import at_browser, create, delete, reveal, wait_for_status
from portal.tests.crawl import Looked, examine

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def fits(page: Page, what: str) -> None:
    looked = Looked()
    examine(page, what, looked)
    assert looked.axe + looked.too_wide == []


def test_a_shown_password_a_log_and_what_goes_on_fit_every_screen(simulated, chromium):
    hanna = simulated.person("hanna")
    with at_browser(chromium, simulated, hanna, reduced_motion="reduce") as page:
        create(page, "Hanna’s " + "very" * 10 + " long name", "hanna-" + "h" * 34)
        fits(page, "a store that is being made")
        wait_for_status(page, "Ready")
        store = page.url
        reveal(page)
        fits(page, "a shown password")
        page.goto(f"{store}logs/")
        page.locator("[data-log]").first.wait_for()
        fits(page, "a log")


def test_a_failure_a_closing_shop_and_a_receipt_fit_every_screen(simulated, chromium):
    jonas = simulated.person("jonas")
    with at_browser(chromium, simulated, jonas, reduced_motion="reduce") as page:
        create(page, "Setup-fails " + "very" * 10, "jonas-fails")
        wait_for_status(page, "Failed")
        page.get_by_text("What this rests on").click()
        fits(page, "a failure")
        delete(page, "jonas-fails", at_once=False)
        page.get_by_role("heading", name="Nothing is destroyed yet").wait_for()
        fits(page, "a closing shop")
        page.get_by_role("button", name="Delete now").click()
        page.get_by_role("heading", name="Receipt of the deletion").wait_for()
        fits(page, "a receipt")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colours_follow_the_system(scheme, simulated, chromium):
    with at_browser(chromium, simulated, color_scheme=scheme) as page:
        page.goto("/stores/")
        assert page.evaluate("document.documentElement.dataset.bsTheme") == scheme
