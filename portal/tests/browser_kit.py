"""A person at a browser: what they do on the pages, and a page that watches for complaints."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from devcluster.testing import needs
from portal.tests.platforms import Person, Platform, until
from stores.tests.people import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

# The tests bring no browser of their own: Debian's is used, in a container too.
QUIET = """
    --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --no-proxy-server
""".split()
# Milliseconds, as Playwright counts.
PATIENCE = 1000 * int(os.environ.get("PATIENCE_SECONDS", "60"))
SESSION = "sessionid"
# The console tells of what a policy blocked, but not of what it would block (report only), and not
# always before the test is over.
TELL_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation", (event) =>
        console.error(`blocked: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""


@contextmanager
def a_browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        needs("browser", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


class Complaints(list[str]):
    """What pages of a browser complain about: scripts, requests, and the policy for content.

    ``expected``: parts of complaints that belong to what a test does, a refused form for one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expected: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self.said)
        page.on("pageerror", lambda error: self.add(f"{page.url}: {error}"))
        page.on("requestfailed", self.failed)

    def add(self, complaint: str) -> None:
        if not any(part in complaint for part in self.expected):
            self.append(complaint)

    def said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            self.add(f"{message.location.get('url')}: {message.text}")

    def failed(self, request: Request) -> None:
        # Somebody who goes to the next page takes no answer any more.
        if request.failure != "net::ERR_ABORTED":
            self.add(f"{request.url}: {request.failure}")


@contextmanager
def watched(
    chromium: Browser, platform: Platform, person: Person | None = None, **options: Any
) -> Iterator[tuple[BrowserContext, Complaints]]:
    """A browser of its own, where ``person`` is logged in; a complaint fails the test."""
    context = chromium.new_context(base_url=platform.url, **options)
    complaints = Complaints()
    context.set_default_timeout(PATIENCE)
    context.add_init_script(TELL_VIOLATIONS)
    context.on("page", complaints.watch)
    if person:
        context.add_cookies([{"name": SESSION, "value": person.session, "url": platform.url}])
    try:
        yield context, complaints
        assert not complaints, "\n".join(complaints)
    except BaseException:
        for page in context.pages:
            print(f"What was seen at {page.url}:\n{page.locator('body').inner_text(timeout=2000)}")
        raise
    finally:
        context.close()


@contextmanager
def at_browser(
    chromium: Browser, platform: Platform, person: Person | None = None, **options: Any
) -> Iterator[Page]:
    with watched(chromium, platform, person, **options) as (context, _):
        yield context.new_page()


# --- What people do ----------------------------------------------------------------------


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.goto("/stores/")
    fill_login(page, name, password)
    page.get_by_role("heading", name="My stores").wait_for()


def fill_login(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label(re.compile("user ?name", re.IGNORECASE)).fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def sign_up(page: Page, platform: Platform, email: str) -> None:
    """With the letter that comes of it."""
    page.goto("/account/signup/")
    page.get_by_label(re.compile("E-?mail")).fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign up").click()
    page.get_by_role("heading", name="Look into your mailbox").wait_for()
    page.goto(platform.link_to(email, "confirm-email"))
    page.get_by_role("button", name="Yes, confirm it").click()
    page.get_by_role("heading", name="My stores").wait_for()


def create(page: Page, name: str, address: str) -> None:
    page.goto("/stores/")
    page.get_by_role("link", name="Create").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address").fill(address)
    page.get_by_role("button", name="Create store").click()
    page.get_by_role("heading", name=name).wait_for()


def reveal(page: Page) -> str:
    """The initial password of the shop, asked for with one's own."""
    page.locator("a[href$='/reveal/']").first.click()
    page.get_by_label("Your own password").fill(PASSWORD)
    page.get_by_role("button", name="Show the initial password").click()
    return page.locator("#shown-password").inner_text()


def delete(page: Page, address: str, *, at_once: bool = True) -> None:
    page.get_by_role("link", name="Delete…").click()
    say_again_who_it_is(page)
    page.get_by_label("To confirm").fill(address)
    page.get_by_label("Delete at once").set_checked(at_once)
    page.get_by_role("button", name="Delete this store").click()


def say_again_who_it_is(page: Page) -> None:
    """If one is asked: whoever has just logged in is not."""
    page.get_by_role(
        "heading", name=re.compile("Is it you|^Delete|Set up|security key|Add a key")
    ).wait_for()
    if page.get_by_role("heading", name="Is it you?").count():
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Go on").click()


def status(page: Page) -> str:
    return page.locator(".heading .status").inner_text()


def wait_for_status(page: Page, wanted: str) -> None:
    page.locator(".heading .status", has_text=wanted).wait_for()


def reload_until(page: Page, wanted: str) -> None:
    def there() -> bool:
        page.reload()
        return status(page) == wanted

    until(there, PATIENCE / 1000)
