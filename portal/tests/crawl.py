"""A look at every page with a browser: what axe finds, what does not fit, what is complained about.

One visit to a page answers all of it, because loading pages is what takes the time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from portal.tests.browser_kit import Complaints, a_browser, watched
from portal.tests.pages import Visit
from portal.tests.platforms import Person, Platform

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Response, Route

AXE = Path(__file__).parent / "vendor" / "axe" / "axe-4.14.1.min.js"
EVERYTHING: dict[str, Any] = {}
CONTRAST = {"runOnly": ["color-contrast"]}
# Off by default in axe, as WCAG asks for it only since 2.2.
TOUCH = {"runOnly": ["target-size"], "rules": {"target-size": {"enabled": True}}}
# Without preload: it would read the style sheets a second time, against the policy, for one rule on
# how a page is turned.
RUN_AXE = """options => axe.run(document, {resultTypes: ["violations"], preload: false, ...options}).then(
    found => found.violations.map(one => ({
        rule: one.id, impact: one.impact, nodes: one.nodes.map(node => node.target.join(" "))})))
"""
BARE = """
from django.template.loader import render_to_string
print(render_to_string({!r}, {{"reference": "00000000-0000-4000-8000-000000000000"}}))
"""
WIDTHS = (768, 360)
# Whatever lies outside of the window and outside of everything that scrolls.
CUT_OFF = """() => {
    const scrolls = (element) => element && element !== document.documentElement &&
        (["auto", "scroll"].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
    const seen = [...document.querySelectorAll("body *")].filter((element) => {
        const box = element.getBoundingClientRect();
        return box.width > 1 && box.height > 1 && box.right > innerWidth + 1 && !scrolls(element);
    });
    if (document.documentElement.scrollWidth > innerWidth) seen.push(document.documentElement);
    return seen.slice(0, 3).map((e) => `${e.tagName.toLowerCase()}.${e.className?.baseVal ?? e.className}`);
}"""
# As a browser that minds no "required" would: empty. The form's own way, not htmx's.
FORM = """
    const typed = "input:not([type=hidden], [type=checkbox], [type=radio], [type=submit]), textarea";
    const form = [...document.forms].find((form) => form.method === "post" &&
        [...form.querySelectorAll(typed)].some((input) => input.required && input.checkVisibility()));
"""
HAS_FORM = f"() => {{ {FORM} return Boolean(form); }}"
SUBMIT_EMPTY = f"""() => {{ {FORM}
    for (const input of form.querySelectorAll(typed)) if (!input.readOnly) input.value = "";
    HTMLFormElement.prototype.submit.call(form);
}}"""


@dataclass
class Looked:
    """``html``: as the server sent it, by what was visited."""

    html: dict[str, str] = field(default_factory=dict)
    axe: list[str] = field(default_factory=list)
    too_wide: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    errors: set[tuple[int, str]] = field(default_factory=set)
    visited: set[Visit] = field(default_factory=set)


def look_at_all(wanted: list[Visit], platform: Platform, situation: dict[str, Any]) -> Looked:
    looked = Looked()
    with a_browser() as browser, ExitStack() as stack:
        people: dict[str, tuple[BrowserContext, Complaints]] = {}
        for visit in wanted:
            if visit.who not in people:
                people[visit.who] = stack.enter_context(
                    as_person(browser, platform, situation, visit.who)
                )
            context, complaints = people[visit.who]
            # The console tells of every page with such an answer, and also of this one.
            complaints.expected = ["the server responded with a status of 4"]
            look_at(context, visit, looked)
            looked.complaints += [f"{visit}: {complaint}" for complaint in complaints]
            complaints.clear()
    return looked


def look_at_errors(platform: Platform, situation: dict[str, Any]) -> Looked:
    """Answers to what no link leads to: they are asked for, and then shown to the browser."""
    looked = Looked()
    with (
        a_browser() as browser,
        as_person(browser, platform, situation, "alice") as (context, complaints),
    ):
        for name, html in errors_of(context, platform, situation).items():
            looked.html[name] = html
            context.route("**/shown", showing(html))
            page = context.new_page()
            page.goto("/shown")
            examine(page, name, looked)
            page.close()
            context.unroute("**/shown")
        looked.complaints += complaints
        complaints.clear()
    return looked


def look_at_acts(platform: Platform, situation: dict[str, Any]) -> Looked:
    """What the admin asks before it does something: behind buttons, which no address leads to."""
    looked = Looked()
    with (
        a_browser() as browser,
        as_person(browser, platform, situation, "ruth") as (context, complaints),
    ):
        for model, pk in acted_on(situation):
            look_behind_buttons(context.new_page(), f"/admin/stores/{model}/{pk}/change/", looked)
        look_at_a_pause(context.new_page(), looked)
        looked.complaints += complaints
        complaints.clear()
    return looked


def acted_on(situation: dict[str, Any]) -> list[tuple[str, str]]:
    """Each act there is can be done with one of these."""
    statuses = ("ready", "failed", "closing", "deleting")
    stores = [("store", situation["stores"][status]) for status in statuses]
    return [*stores, *(("user", situation["people"][name]) for name in ("alice", "ida"))]


def look_at_a_pause(page: Page, looked: Looked) -> None:
    """Made, looked at and taken back here: while there is one, every page is another."""
    page.goto("/admin/stores/pause/add/")
    page.get_by_label("Reason").fill("We move to another machine.")
    press(page, "Save", "a pause in the list", looked)
    page.locator("#result_list a").first.click()
    examine(page, "a pause", looked)
    page.goto("/admin/stores/pause/1/delete/")
    examine(page, "the end of a pause", looked)
    press(page, "Yes, I’m sure", "no pause any more", looked)


def press(page: Page, button: str, what: str, looked: Looked) -> None:
    with page.expect_navigation() as answer:
        page.get_by_role("button", name=button, exact=True).click()
    looked.html[what] = answer.value.text()
    examine(page, what, looked)


def look_behind_buttons(page: Page, path: str, looked: Looked) -> None:
    page.goto(path)
    for name in page.locator(".sy-acts button").all_inner_texts():
        page.goto(path)
        with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
            page.locator(".sy-acts").get_by_role("button", name=name, exact=True).click()
        page.get_by_label("Reason").wait_for()
        looked.html[f"{path}: {name}"] = answer.value.text()
        examine(page, name, looked)
        submit_empty(page, f"{name}, refused", looked)
    page.close()


def showing(html: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=html, content_type="text/html; charset=utf-8")


def errors_of(
    context: BrowserContext, platform: Platform, situation: dict[str, Any]
) -> dict[str, str]:
    found = {
        f"{status}": platform.shell(BARE.format(f"{status}.html")) for status in (400, 500, 503)
    }
    refresh = f"/stores/{situation['stores']['healthy']}/refresh/"
    token = context.request.get("/stores/new/").headers["set-cookie"]
    token = re.search(r"csrftoken=(\w+)", token)[1]
    for name, headers in {"no token": {}, "too often": {"X-CSRFToken": token}}.items():
        answer = context.request.post(refresh, headers=headers)
        found[f"{answer.status}, {name}"] = answer.text()
    return found


def as_person(browser: Browser, platform: Platform, situation: dict[str, Any], who: str) -> Any:
    person = Person(who, situation["sessions"][who]) if who else None
    return watched(browser, platform, person, reduced_motion="reduce")


def look_at(context: BrowserContext, visit: Visit, looked: Looked) -> None:
    answer = context.request.get(visit.path)
    html = answer.text() if "html" in answer.headers.get("content-type", "") else ""
    # Several roads lead to the login, or back to the list.
    here = Visit(visit.who, answer.url.partition("/")[2].partition("?next=")[0])
    if answer.status in (204, 405) or not html or here in looked.visited:
        return
    looked.visited.add(here)
    if answer.status >= 400 and not is_new_error(answer.status, html, looked):
        return
    looked.html[str(visit)] = html
    # A fragment is looked at as part of its page.
    if html.lstrip().lower().startswith("<!doctype"):
        page = context.new_page()
        page.goto(visit.path)
        examine(page, str(visit), looked)
        submit_empty(page, f"{visit}, refused", looked)
        page.close()


def is_new_error(status: int, html: str, looked: Looked) -> bool:
    found = re.search(r"<h1.*?</h1>", html, re.DOTALL)
    known = (status, found[0] if found else "")
    if known in looked.errors:
        return False
    looked.errors.add(known)
    return True


def submit_empty(page: Page, what: str, looked: Looked) -> None:
    """Where there is a form that wants something: what it says when it gets nothing."""
    answers: list[Response] = []
    page.on(
        "response", lambda one: answers.append(one) if one.request.is_navigation_request() else None
    )
    if page.evaluate(HAS_FORM):
        with page.expect_navigation():
            page.evaluate(SUBMIT_EMPTY)
        looked.html[what] = answers[-1].text()
        examine(page, what, looked)


def examine(page: Page, what: str, looked: Looked) -> None:
    page.evaluate(AXE.read_text())
    looked.axe += found_by_axe(page, f"{what}, light", EVERYTHING)
    page.emulate_media(color_scheme="dark")
    looked.axe += found_by_axe(page, f"{what}, dark", CONTRAST)
    page.emulate_media(color_scheme="light")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        looked.too_wide += [f"{what} at {width}: {part}" for part in page.evaluate(CUT_OFF)]
    looked.axe += found_by_axe(page, f"{what}, on a phone", TOUCH)
    page.set_viewport_size({"width": 1280, "height": 800})
    looked.too_wide += [f"{what} at 1280: {part}" for part in page.evaluate(CUT_OFF)]


def found_by_axe(page: Page, what: str, options: dict[str, Any]) -> list[str]:
    return [
        f"{what}: {one['rule']} ({one['impact']}) {one['nodes'][:4]}"
        for one in page.evaluate(RUN_AXE, options)
    ]
