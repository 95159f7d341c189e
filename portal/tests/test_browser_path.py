"""The main path in a browser, on the running platform: a store comes, is looked after, and goes."""

from __future__ import annotations

import pytest

from portal.tests.browser_kit import (
    at_browser,
    create,
    delete,
    fill_login,
    reveal,
    sign_up,
    wait_for_status,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_the_whole_way_from_sign_up_to_the_receipt(either_platform, chromium):
    with at_browser(chromium, either_platform) as page:
        sign_up(page, either_platform, "nina@example.com")
        create(page, "Nina’s Noodles", "ninas-noodles")
        wait_for_status(page, "Ready")
        store = page.url
        password = reveal(page)
        assert len(password) >= 20
        page.get_by_role("link", name="Back to the store").click()
        page.get_by_text("asked to see the initial password").first.wait_for()
        assert password not in page.content()

        delete(page, "ninas-noodles")
        wait_for_status(page, "Deleted")
        page.get_by_role("heading", name="Receipt of the deletion").wait_for()
        assert page.url == store and password not in page.content()


def test_a_store_comes_and_goes_without_touching_the_page(either_platform, chromium):
    with at_browser(chromium, either_platform, either_platform.person("alice")) as page:
        create(page, "Anna’s Ceramics", "annas-ceramics")
        page.evaluate("window.untouched = true")
        wait_for_status(page, "Ready")
        assert page.evaluate("window.untouched")
        assert page.get_by_role("link", name="https://annas-ceramics.").count() == 2
        assert page.locator("#announcer").inner_text() == "Anna’s Ceramics: Ready"
        # The storefront is shown as skipped, with the reason; never as passed.
        assert page.locator(".timeline li").count() == 6
        page.get_by_text("6 steps, and how long each took").click()
        assert "does not route traffic" in page.locator(".timeline li").last.inner_text()

        delete(page, "annas-ceramics")
        page.get_by_text("The store is being deleted.").wait_for()
        page.evaluate("window.untouched = true")
        wait_for_status(page, "Deleted")
        assert page.evaluate("window.untouched")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(4000)
        assert asked == []


def test_a_deletion_is_undone_then_hurried_and_proven(either_platform, chromium):
    with at_browser(chromium, either_platform, either_platform.person("alice")) as page:
        create(page, "Ida’s Clocks", "idas-clocks")
        wait_for_status(page, "Ready")
        delete(page, "idas-clocks", at_once=False)
        page.get_by_text("For 10 minutes you can have it back.").wait_for()
        page.get_by_text("Close storefront Done").wait_for()
        left = page.locator("time[data-until]").inner_text()
        page.wait_for_function(
            "left => document.querySelector('time[data-until]').textContent !== left", arg=left
        )
        page.get_by_role("button", name="Keep the store").click()
        page.get_by_text("You keep it").wait_for()
        wait_for_status(page, "Ready")
        page.get_by_role("heading", name="Undone deletion").wait_for()

        delete(page, "idas-clocks", at_once=False)
        page.get_by_role("button", name="Delete now").click()
        page.get_by_text("The store is being deleted.").wait_for()
        wait_for_status(page, "Deleted")
        page.get_by_role("heading", name="Receipt of the deletion").wait_for()
        rows = page.locator(".items tbody tr")
        assert rows.count() > 10 and rows.filter(has_text="kept").count() == 0
        assert page.get_by_role("button", name="Print").count() == 1


def test_what_went_wrong_is_told_with_its_remedy_and_its_evidence(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        create(page, "Setup-fails <b>always", "setup-fails")
        wait_for_status(page, "Failed")
        told = page.locator(".callout", has_text="This store could not be finished")
        told.get_by_text("What this rests on").click()
        assert told.locator(".evidence li").first.is_visible()
        told.get_by_role("button", name="Retry").click()
        page.get_by_text("Trying again, from the first step.").wait_for()


def test_the_list_follows_a_store_by_itself(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        create(page, "Emil’s Lamps", "emils-lamps")
        page.goto("/stores/")
        page.locator("td .status", has_text="Ready").wait_for()
        page.get_by_role("link", name="Ready 1").click()
        page.wait_for_url("**/stores/?status=ready")
        page.get_by_label("Search by name or address").fill("nothing like it")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nothing found").wait_for()


def test_the_address_is_checked_while_typing(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        page.goto("/stores/new/")
        page.get_by_label("Name").press_sequentially("Flora’s Roses")
        page.get_by_text("https://floras-roses.stores.localhost is free").wait_for()
        page.get_by_label("Address").press_sequentially("www")
        page.get_by_text("“www” is reserved").wait_for()


def test_two_clicks_make_one_store(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        page.goto("/stores/new/")
        page.get_by_label("Name").fill("Twice")
        page.get_by_label("Address").fill("twice-only")
        page.get_by_role("button", name="Create store").dblclick()
        page.get_by_role("heading", name="Twice").wait_for()
        made = "from stores.models import Store; print(Store.objects.filter(name='Twice').count())"
        assert simulated.shell(made) == "1"


def test_focus_and_unfolded_parts_survive_a_change(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        create(page, "Gustav’s Tools", "gustavs-tools")
        wait_for_status(page, "Ready")
        page.get_by_role("button", name="Refresh").click()
        page.get_by_text("The store is being looked at again.").wait_for()
        page.get_by_text("What went on earlier").click()
        page.get_by_role("link", name="Delete…").focus()
        wait_for_status(page, "Ready")
        assert page.evaluate("document.activeElement.id") == "do-delete"
        assert page.locator("#earlier").get_attribute("open") is not None


def test_an_expired_login_takes_the_whole_page_to_the_login_and_back(simulated, chromium):
    person = simulated.person("alice")
    with at_browser(chromium, simulated, person) as page:
        page.goto("/stores/?q=tools")
        page.context.clear_cookies()
        page.get_by_role("heading", name="Welcome back").wait_for()
        fill_login(page, person.name)
        page.wait_for_url("**/stores/?q=tools")
