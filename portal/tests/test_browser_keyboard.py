"""The main path with a keyboard alone: Tab, Enter and Space, and where one is can be seen at each stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portal.tests.browser_kit import at_browser, wait_for_status
from stores.tests.people import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MOST_STOPS = 80
# What it is called, and whether one can see that one is there.
HERE = """() => {
    const here = document.activeElement, box = here.getBoundingClientRect();
    const marked = (element) => ["", "::after"].some((part) => {
        const look = getComputedStyle(element, part);
        const ring = look.outlineStyle !== "none" && parseFloat(look.outlineWidth) > 0;
        return ring || look.boxShadow !== "none";
    });
    // Between the last stop and the first one is at none.
    if (here === document.body) return {name: "", seen: true};
    return {
        name: (here.labels?.[0]?.innerText || here.getAttribute("aria-label") || here.innerText || "").trim(),
        seen: (box.bottom > 0 && box.top < innerHeight && box.width > 0
            && [here, ...(here.labels ?? [])].some(marked)),
    };
}"""


def tab_to(page: Page, wanted: str) -> None:
    """One may be there already: a page puts the focus where it is wanted first."""
    stops: list[str] = []
    while True:
        here = page.evaluate(HERE)
        if not here["seen"]:
            page.wait_for_timeout(500)  # It scrolls smoothly.
            here = page.evaluate(HERE)
        assert here["seen"], f"nobody sees that they are at {here['name']!r}"
        stops.append(here["name"])
        if wanted in here["name"]:
            return
        page.keyboard.press("Tab")
        assert len(stops) < MOST_STOPS, f"{wanted!r} is not among {stops}"


def go(page: Page, wanted: str, key: str = "Enter") -> None:
    tab_to(page, wanted)
    page.keyboard.press(key)


def write(page: Page, where: str, text: str) -> None:
    tab_to(page, where)
    page.keyboard.type(text)


def test_the_main_path_with_the_keyboard_alone(simulated, chromium):
    hanna = simulated.person("hanna")
    with at_browser(chromium, simulated) as page:
        page.goto("/stores/")
        page.keyboard.type(hanna.name)  # The field has the focus.
        write(page, "Password", PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="My stores").wait_for()

        go(page, "Create your first store")
        page.get_by_role("heading", name="Create a store").wait_for()
        write(page, "Name", "Hanna’s Hats")
        write(page, "Address", "hannas-hats")
        go(page, "Create store", "Space")
        wait_for_status(page, "Ready")

        go(page, "Reveal")
        page.get_by_label("Your own password").wait_for()
        page.keyboard.type(PASSWORD)
        go(page, "Show the initial password", "Space")
        page.locator("#shown-password").wait_for()
        go(page, "Back to the store")

        wait_for_status(page, "Ready")
        go(page, "Delete…")
        page.get_by_role("heading", name="Delete “Hanna’s Hats”?").wait_for()
        write(page, "To confirm", "hannas-hats")
        go(page, "Delete at once", "Space")
        go(page, "Delete this store")
        page.get_by_role("heading", name="Receipt of the deletion").wait_for()


def test_the_first_stop_leads_past_the_head_of_the_page(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("hanna")) as page:
        page.goto("/stores/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
