"""The initial password, logs and events in a browser: what leaves the screen, and what follows."""

from __future__ import annotations

import re

import pytest

from portal.tests.browser_kit import at_browser, create, wait_for_status
from stores.tests.people import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.slow]
SHOWN = "#shown-password"
# So that there is something to scroll, however little the log says.
SMALL = """() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("[data-log] { max-height: 2.5rem !important; }");
    document.adoptedStyleSheets = [sheet];
}"""


def reveal(page) -> str:
    page.get_by_label("Your own password").fill(PASSWORD)
    page.get_by_role("button", name="Show the initial password").click()
    return page.locator(SHOWN).inner_text()


def test_the_initial_password_is_shown_once_and_does_not_come_back(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        create(page, "Rosa’s Roses", "rosas-roses")
        wait_for_status(page, "Ready")
        page.get_by_role("link", name="Reveal…").click()
        password = reveal(page)
        assert len(password) == 32
        assert password not in page.url
        # Whoever leaves the page takes it along; going back shows none.
        page.get_by_role("link", name="Back to the store").click()
        page.get_by_role("heading", name="Rosa’s Roses").wait_for()
        page.go_back()
        page.wait_for_load_state()
        assert password not in page.content()
        page.goto(page.url)
        assert reveal(page) == password
        # What the browser keeps of the page has it no more.
        page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))")
        assert password not in page.content()


def test_it_leaves_the_screen_by_itself(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        create(page, "Sina’s Soap", "sinas-soap")
        wait_for_status(page, "Ready")
        page.get_by_role("link", name="Reveal…").click()

        def sooner(route) -> None:
            answer = route.fetch()
            headers = {**answer.headers, "refresh": answer.headers["refresh"].replace("60;", "2;")}
            route.fulfill(response=answer, headers=headers)

        page.route(
            "**/reveal/",
            lambda route: sooner(route) if route.request.method == "POST" else route.continue_(),
        )
        password = reveal(page)
        page.get_by_label("Your own password").wait_for()
        assert password not in page.content()


def test_a_log_is_found_in_while_one_types_and_followed_unless_one_reads(simulated, chromium):
    with at_browser(chromium, simulated, simulated.person("alice")) as page:
        create(page, "Tina’s Tea", "tinas-tea")
        wait_for_status(page, "Ready")
        page.get_by_role("link", name="Logs and events").click()
        page.set_viewport_size({"width": 1000, "height": 500})
        page.locator("[data-log]").first.wait_for()
        page.evaluate(SMALL)
        with page.expect_response(renewed):
            pass
        assert at_end(page)
        page.evaluate("document.querySelector('[data-log]').scrollTop = 0")
        page.get_by_role("button", name="To the newest lines").wait_for()
        with page.expect_response(renewed):
            pass
        assert not at_end(page)
        page.get_by_role("button", name="To the newest lines").click()
        assert at_end(page)
        page.get_by_label("Find in the log").type("no real container")
        page.wait_for_function("document.querySelectorAll('.log-line:not([hidden])').length === 1")
        assert page.locator("#found").inner_text() == "1 line has it"
        assert page.evaluate("CSS.highlights.get('found').size") == 1
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").click()
        assert re.fullmatch(r"tinas-tea-web\.log", download.value.suggested_filename)


def renewed(response) -> bool:
    return "/logs/tail/" in response.url and response.status == 200


def at_end(page) -> bool:
    return page.evaluate(
        """() => { const log = document.querySelector("[data-log]");
        return log.scrollHeight - log.scrollTop - log.clientHeight < 8; }"""
    )


def test_without_javascript_everything_is_there(simulated, chromium):
    alice = simulated.person("alice")
    with at_browser(chromium, simulated, alice) as page:
        create(page, "Uta’s Umbrellas", "utas-umbrellas")
        wait_for_status(page, "Ready")
    with at_browser(chromium, simulated, alice, java_script_enabled=False) as page:
        page.goto("/stores/")
        page.get_by_role("link", name="Uta’s Umbrellas").click()
        page.get_by_role("link", name="Logs and events").click()
        page.get_by_role("link", name="Database").click()
        page.get_by_label("Find in the log").fill("container")
        page.get_by_role("button", name="Find").click()
        assert page.locator("mark").first.inner_text() == "container"
        page.get_by_role("link", name="Look again").click()
        assert page.locator("mark").count() == 1
        page.get_by_role("link", name="Uta’s Umbrellas").click()
        page.get_by_role("link", name="Reveal…").click()
        assert len(reveal(page)) == 32
