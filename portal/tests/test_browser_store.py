"""The page of one store in a browser: what is sent again, and what stays where it is meanwhile."""

from __future__ import annotations

import pytest

from portal.tests.browser_kit import at_browser, create, wait_for_status

pytestmark = [pytest.mark.browser, pytest.mark.slow]

# What no page shows of a store may change without its revision.
CHANGE = """
from django.db.models import F
from stores.models import Store
Store.objects.filter(address={address!r}).update(
    revision=F("revision") + 1, usage={{"pods": {{"used": "7", "hard": "20"}}}})
"""


def is_status(response) -> bool:
    return "/status/" in response.url and response.status == 200


def test_the_past_is_not_sent_again_and_stays_as_it_is(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        create(page, "Hanna’s Honey", "hannas-honey")
        wait_for_status(page, "Ready")
        page.get_by_role("button", name="Refresh").click()
        page.get_by_text("What went on earlier").wait_for()
        wait_for_status(page, "Ready")
        page.get_by_text("What went on earlier").click()
        page.locator("#all-history").focus()
        page.evaluate("window.before = document.getElementById('past')")
        with page.expect_response(is_status) as answer:
            simulated.shell(CHANGE.format(address="hannas-honey"))
        page.get_by_text("7 of 20").wait_for()
        sent = answer.value.text()
        assert "hx-preserve" in sent and "asked for this store" not in sent
        assert page.evaluate("document.getElementById('past') === window.before")
        assert page.locator("#past").count() == 1
        assert page.evaluate("document.activeElement.id") == "all-history"
        assert page.locator("#earlier").get_attribute("open") is not None
        assert page.get_by_text("asked for this store").is_visible()


def test_steps_that_are_over_fold_by_themselves_and_unfold_for_good(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        create(page, "Ida’s Ink", "idas-ink")
        wait_for_status(page, "Ready")
        steps = page.locator("details.steps")
        assert not page.get_by_text("Create namespace").is_visible()
        steps.locator("summary").click()
        with page.expect_response(is_status):
            simulated.shell(CHANGE.format(address="idas-ink"))
        page.get_by_text("7 of 20").wait_for()
        assert page.get_by_text("Create namespace").is_visible()
