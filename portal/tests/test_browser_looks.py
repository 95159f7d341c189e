"""Every page on a phone, a tablet and a desk, light and dark: nothing is cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.tests.browser_kit import at_browser, create, delete, wait_for_status

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_complains_about_nothing(width, scheme, simulated, chromium):
    size = {"width": width, "height": 800}
    hanna = simulated.person("hanna")
    with at_browser(chromium, simulated, hanna, viewport=size, color_scheme=scheme) as page:
        create(page, "Hanna’s " + "very" * 10 + " long name", f"{scheme}-{width}-" + "h" * 28)
        assert page.evaluate("document.documentElement.dataset.bsTheme") == scheme
        page.goto("/stores/")
        store = page.locator(".store-name").first.get_attribute("href")
        for url in ("/stores/", "/stores/new/", store, f"{store}delete/", "/stores/?q=none"):
            page.goto(url)
            assert not too_wide(page), f"{url} is wider than {width}"
            page.wait_for_timeout(300)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_failure_a_closing_shop_and_a_receipt_fit_a_phone(scheme, simulated, chromium):
    size = {"width": 360, "height": 800}
    jonas = simulated.person("jonas")
    with at_browser(chromium, simulated, jonas, viewport=size, color_scheme=scheme) as page:
        create(page, "Setup-fails " + "very" * 10, f"fails-{scheme}")
        wait_for_status(page, "Failed")
        page.get_by_text("What this rests on").click()
        assert not too_wide(page)
        delete(page, f"fails-{scheme}", at_once=False)
        page.get_by_role("heading", name="Nothing is destroyed yet").wait_for()
        assert not too_wide(page)
        page.get_by_role("button", name="Delete now").click()
        page.get_by_role("heading", name="Receipt of the deletion").wait_for()
        assert not too_wide(page)
