"""What every page has around it: colours by choice, what was just done, times that go on, live parts."""

from __future__ import annotations

import json

import pytest

from portal.tests.browser_kit import at_browser, create, wait_for_status, watched
from portal.tests.platforms import Person, Platform

pytestmark = [pytest.mark.browser, pytest.mark.slow]
THEME = "document.documentElement.dataset.bsTheme"
# What the server's words and the browser's own have to agree on.
AGES = (0, 9, 10, 59, 60, 61, 3599, 3600, 7200, 86399, 86400, 200000)


@pytest.fixture
def person(simulated: Platform) -> Person:
    return simulated.person("olga")


def test_colours_follow_the_system_until_somebody_chooses(simulated, chromium):
    with at_browser(chromium, simulated, color_scheme="dark") as page:
        page.goto("/status/")
        assert page.evaluate(THEME) == "dark"
        page.get_by_role("radio", name="Light").check()
        assert page.evaluate(THEME) == "light"
        # Before anything is painted, on every page after.
        page.add_init_script(
            "addEventListener('DOMContentLoaded', () => { window.first = " + THEME + " })"
        )
        page.goto("/account/login/")
        assert page.evaluate("window.first") == "light"
        assert page.get_by_role("radio", name="Light").is_checked()
        page.get_by_role("radio", name="System").check()
        assert page.evaluate(THEME) == "dark"
        page.emulate_media(color_scheme="light")
        page.wait_for_function(f"{THEME} === 'light'")


def test_without_javascript_there_is_no_control_that_does_nothing(simulated, chromium):
    with at_browser(chromium, simulated, java_script_enabled=False) as page:
        page.goto("/status/")
        assert not page.get_by_role("radio", name="Light").is_visible()
        assert page.get_by_role("link", name="Look again").is_visible()


def test_what_was_done_is_told_in_a_region_that_is_read_out_and_goes_by_itself(
    simulated, chromium, person
):
    with at_browser(chromium, simulated, person) as page:
        page.clock.install()
        create(page, "Toasted", person.name)
        toast = page.locator("#toasts .notice-success")
        toast.wait_for()
        assert page.locator("#toasts").get_attribute("aria-live") == "polite"
        toast.hover()
        page.clock.run_for(20_000)
        assert toast.is_visible(), "somebody reads it"
        page.mouse.move(0, 0)
        page.clock.run_for(20_000)
        toast.wait_for(state="detached")


def test_an_error_stays_until_it_is_dismissed_and_focus_is_not_lost(simulated, chromium, person):
    with at_browser(chromium, simulated, person) as page:
        create(page, "Stubborn", person.name)
        wait_for_status(page, "Ready")
        path = page.url
        page.clock.install()
        # Asked for with an old page, when it is no longer possible.
        page.evaluate(
            """() => { const form = document.createElement("form");
                form.method = "post"; form.action = location.pathname + "retry/";
                form.append(document.querySelector("[name=csrfmiddlewaretoken]").cloneNode());
                document.body.append(form); form.submit(); }"""
        )
        page.wait_for_url(path)
        error = page.locator("#toasts .notice-error")
        error.wait_for()
        page.clock.run_for(60_000)
        assert error.is_visible()
        error.get_by_role("button").focus()
        page.keyboard.press("Enter")
        error.wait_for(state="detached")
        assert page.evaluate("document.activeElement.id") == "main"


def test_times_go_on_with_the_words_the_server_has(simulated, chromium):
    say = "from datetime import timedelta; from stores.words import age_in_words;"
    said = simulated.shell(
        f"{say} import json; print(json.dumps([age_in_words(timedelta(seconds=s)) for s in {AGES}]))"
    )
    with at_browser(chromium, simulated) as page:
        page.goto("/status/")
        assert page.evaluate(f"{list(AGES)}.map((seconds) => ago(seconds))") == json.loads(said)


def test_a_row_changes_without_touching_the_others_or_losing_focus(simulated, chromium, person):
    with at_browser(chromium, simulated, person) as page:
        for name in ("quiet", "busy"):
            create(page, f"The {name} one", f"{name}-{person.name}")
            wait_for_status(page, "Ready")
        page.goto("/stores/")
        page.locator(".store-name", has_text="The quiet one").focus()
        page.evaluate(
            "for (const row of document.querySelectorAll('tbody tr')) row.untouched = true"
        )
        page.locator("#q").evaluate("field => { field.value = 'half a word' }")
        sent: list[str] = []
        page.on("response", lambda answer: answer.status == 200 and sent.append(answer.url))
        simulated.shell(
            "from stores.models import Store; from django.db.models import F;"
            f"Store.objects.filter(address='busy-{person.name}')"
            ".update(name='Another name', revision=F('revision') + 1)"
        )
        page.locator("tr", has_text="Another name").wait_for()
        assert sent and all("/stores/rows/" in url for url in sent)
        assert page.evaluate("[...document.querySelectorAll('tbody tr')].every(r => r.untouched)")
        assert "The quiet one" in page.evaluate("document.activeElement.textContent")
        assert page.locator("#q").input_value() == "half a word"


def test_a_lost_connection_is_said_and_taken_back(simulated, chromium, person):
    with watched(chromium, simulated, person) as (context, complaints):
        complaints.expected.append("502")
        page = context.new_page()
        page.goto("/status/")
        pill = page.locator("#connection")
        assert not pill.is_visible()
        page.route("**/status/news/**", lambda route: route.fulfill(status=502, body=""))
        pill.wait_for()
        page.unroute_all()
        pill.wait_for(state="hidden")
