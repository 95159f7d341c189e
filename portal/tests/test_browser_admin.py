"""The support team's admin in a browser: its policy for content is as strict, in light and in dark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.tests.browser_kit import at_browser, create, wait_for_status

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def pages_of_a_store(page: Page, name: str) -> None:
    page.goto("/admin/stores/store/")
    page.get_by_role("link", name=name).first.click()
    page.get_by_role("button", name="Repair the ready ones…").click()
    page.get_by_role("heading", name="Repair these stores?").wait_for()
    page.get_by_label("Reason").fill("The owner asked on the phone.")
    page.get_by_role("button", name="Yes, repair them").click()
    page.get_by_text("is repaired").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_of_the_admin_complains(scheme, simulated, chromium):
    owner = simulated.person(f"paula-{scheme}")
    name = f"Paula’s {scheme}"
    with at_browser(chromium, simulated, owner) as page:
        create(page, name, f"paula-{scheme}")
        wait_for_status(page, "Ready")
    staff = simulated.person(f"rosa-{scheme}", is_staff=True, is_superuser=True)
    with at_browser(chromium, simulated, staff, color_scheme=scheme) as page:
        page.goto("/admin/")
        page.get_by_role("region", name="How things stand").wait_for()
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(255, 254, 251)", "dark": "rgb(16, 22, 20)"}[scheme]
        pages_of_a_store(page, name)
        for model in ("operation", "auditevent", "user", "heartbeat", "snapshot", "pause"):
            page.goto(f"/admin/stores/{model}/")
            first = page.locator("#result_list th a").first
            if first.count():
                first.click()
                page.wait_for_timeout(200)
        page.goto("/admin/password_change/")
        page.wait_for_timeout(200)
