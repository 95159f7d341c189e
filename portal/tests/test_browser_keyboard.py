"""The main path with a keyboard alone: Tab, Enter and Space, and where one is can be seen."""

from __future__ import annotations

import pytest

from portal.tests.browser_kit import at_browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_keyboard_is_enough(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("hanna")) as page:
        page.goto("/stores/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
