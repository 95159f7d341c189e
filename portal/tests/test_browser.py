"""A person at a browser, with the whole platform behind it: web, worker and watcher as processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import settings

from devcluster.testing import needs
from stores.tests.people import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# The tests bring no browser of their own: Debian's is used, in a container too.
QUIET = """
    --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --no-proxy-server
""".split()
PATIENCE = 90_000
MANAGE = [sys.executable, "manage.py"]
PEOPLE = """
from stores.models import User
for name in {names!r}:
    User.objects.create_user(name, password={password!r}, max_stores=5)
"""
NAMES = ["alice", "dora", "emil", "flora", "gustav", "hanna", "ida", "jonas"]


# --- The platform ------------------------------------------------------------------------


@dataclass(frozen=True)
class Platform:
    url: str
    environment: dict[str, str]

    def shell(self, code: str) -> str:
        """What Django prints, with the platform's own database."""
        command = [*MANAGE, "shell", "--no-imports", "-c", code]
        return str(
            subprocess.run(
                command, env=self.environment, cwd=settings.BASE_DIR, check=True, text=True,
                capture_output=True,
            ).stdout
        )  # fmt: skip


def environment(folder: Path, **more: str) -> dict[str, str]:
    ours = ("STOREYARD_", "STORE_", "DATABASE_URL", "PRODUCTION", "KUBECONFIG")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "STOREYARD_RUN_DIR": str(folder), "DEBUG": "false", **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: list[str], env: dict[str, str], log: Path) -> Iterator[None]:
    """Runs as long as the block; stopped by its own number, and what it started with it."""
    with log.open("w") as output:
        child = subprocess.Popen(
            command, env=env, cwd=settings.BASE_DIR, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            yield
        finally:
            stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        pass
    finally:
        # Its session is its own. Nothing may be left of it.
        if child.poll() is None or any_left(child.pid):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def any_left(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def running(folder: Path, **more: str) -> Iterator[Platform]:
    env, port = environment(folder, **more), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    platform = Platform(f"http://127.0.0.1:{port}", env)
    subprocess.run([*MANAGE, "migrate", "-v0"], env=env, cwd=settings.BASE_DIR, check=True)
    platform.shell(PEOPLE.format(names=NAMES, password=PASSWORD))
    gunicorn = [sys.executable, "-m", "gunicorn", "portal.wsgi", "--bind", f"127.0.0.1:{port}"]
    commands = {
        "web": [*gunicorn, "--threads", "8"],
        "worker": [*MANAGE, "run_worker"],
        "watcher": [*MANAGE, "watch_cluster"],
    }
    with ExitStack() as stack:
        for name, command in commands.items():
            stack.enter_context(process(command, env, folder / f"{name}.log"))
        until(lambda: answers(platform.url + "/healthz"))
        yield platform


def answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        return bool(direct.open(url, timeout=2).status == 200)
    except OSError:
        return False


def until(ask: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not ask():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(tmp_path_factory.mktemp("simulated")) as platform:
        yield platform


@pytest.fixture(scope="module")
def kubernetes(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    from devcluster import binaries

    cluster = request.getfixturevalue("devcluster")
    with running(
        tmp_path_factory.mktemp("kubernetes"),
        STOREYARD_CLUSTER="kubernetes",
        STOREYARD_KUBECONFIG=str(cluster.portal_kubeconfig),
        STOREYARD_HELM=str(binaries() / "helm"),
        # Its nodes are fake: nothing listens on a pod's address.
        STOREYARD_CLUSTER_ROUTES_TRAFFIC="false",
    ) as platform:
        yield platform


@pytest.fixture(params=["simulated", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def platform(request: Any) -> Platform:
    found: Platform = request.getfixturevalue(request.param)
    return found


# --- The browser -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        needs("browser", "apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def at_browser(chromium: Browser, platform: Platform, **options: Any) -> Iterator[Page]:
    """A page in a browser of its own; whatever it complains about fails the test."""
    context = chromium.new_context(base_url=platform.url, **options)
    context.set_default_timeout(PATIENCE)
    page, complaints = context.new_page(), []
    page.on("console", lambda m: complaints.append(m.text) if m.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        yield page
        assert complaints == []
    finally:
        context.close()


def log_in(page: Page, name: str) -> None:
    page.goto("/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("heading", name="My stores").wait_for()


def create(page: Page, name: str, address: str) -> None:
    page.goto("/stores/")
    page.get_by_role("link", name="Create").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address").fill(address)
    page.get_by_role("button", name="Create store").click()
    page.get_by_role("heading", name=name).wait_for()


def delete(page: Page, address: str, *, at_once: bool = True) -> None:
    page.get_by_role("link", name="Delete…").click()
    page.get_by_label("To confirm").fill(address)
    page.get_by_label("Delete at once").set_checked(at_once)
    page.get_by_role("button", name="Delete this store").click()


def status(page: Page) -> str:
    return page.locator(".heading .status").inner_text()


def too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > innerWidth"))


def reload_until(page: Page, wanted: str) -> None:
    def there() -> bool:
        page.reload()
        return status(page) == wanted

    until(there, PATIENCE / 1000)


# --- What people do ----------------------------------------------------------------------


def test_a_store_comes_and_goes_without_touching_the_page(platform, chromium):
    with at_browser(chromium, platform) as page:
        log_in(page, "alice")
        create(page, "Anna’s Ceramics", "annas-ceramics")
        page.evaluate("window.untouched = true")
        page.locator(".heading .status", has_text="Ready").wait_for()
        assert page.evaluate("window.untouched")
        assert page.get_by_role("link", name="https://annas-ceramics.").count() == 2
        assert page.locator("#announcer").inner_text() == "Anna’s Ceramics: Ready"
        # The storefront is shown as skipped, with the reason; never as passed.
        assert page.locator(".timeline li").count() == 6
        assert "does not route traffic" in page.locator(".timeline li").last.inner_text()

        delete(page, "annas-ceramics")
        page.get_by_text("The store is being deleted.").wait_for()
        page.evaluate("window.untouched = true")
        page.locator(".heading .status", has_text="Deleted").wait_for()
        assert page.evaluate("window.untouched")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(4000)
        assert asked == []


def test_a_store_comes_and_goes_without_javascript(platform, chromium):
    with at_browser(chromium, platform, java_script_enabled=False) as page:
        log_in(page, "dora")
        create(page, "Dora’s Books", "doras-books")
        if status(page) != "Ready":
            assert page.get_by_role("link", name="look again").count() == 1
        reload_until(page, "Ready")
        page.get_by_role("button", name="Refresh").click()
        page.get_by_text("The store is being looked at again.").wait_for()
        reload_until(page, "Ready")
        delete(page, "wrong")
        page.get_by_text("That is not this store's name").wait_for()
        page.get_by_label("To confirm").fill("doras-books")
        page.get_by_label("Delete at once").check()
        page.get_by_role("button", name="Delete this store").click()
        page.get_by_text("The store is being deleted.").wait_for()
        reload_until(page, "Deleted")
        page.get_by_role("button", name="Log out").click()
        page.get_by_role("heading", name="Welcome back").wait_for()


def test_a_deletion_is_undone_then_hurried_and_proven(platform, chromium):
    with at_browser(chromium, platform) as page:
        log_in(page, "ida")
        create(page, "Ida’s Clocks", "idas-clocks")
        page.locator(".heading .status", has_text="Ready").wait_for()
        delete(page, "idas-clocks", at_once=False)
        page.get_by_text("For 10 minutes you can have it back.").wait_for()
        page.get_by_text("Close storefront Done").wait_for()
        left = page.locator("time[data-until]").inner_text()
        page.wait_for_function(
            "left => document.querySelector('time[data-until]').textContent !== left", arg=left
        )
        page.get_by_role("button", name="Keep the store").click()
        page.get_by_text("You keep it").wait_for()
        page.locator(".heading .status", has_text="Ready").wait_for()
        page.get_by_role("heading", name="Undone deletion").wait_for()

        delete(page, "idas-clocks", at_once=False)
        page.get_by_role("button", name="Delete now").click()
        page.get_by_text("The store is being deleted.").wait_for()
        page.locator(".heading .status", has_text="Deleted").wait_for()
        page.get_by_role("heading", name="Receipt of the deletion").wait_for()
        rows = page.locator(".items tbody tr")
        assert rows.count() > 10 and rows.filter(has_text="kept").count() == 0
        assert page.get_by_role("button", name="Print").count() == 1


def test_a_deletion_is_undone_then_hurried_and_proven_without_javascript(simulated, chromium):
    with at_browser(chromium, simulated, java_script_enabled=False) as page:
        log_in(page, "ida")
        create(page, "Ida’s Rings", "idas-rings")
        reload_until(page, "Ready")
        delete(page, "idas-rings", at_once=False)
        assert status(page) == "Closing"
        assert page.locator("time[data-until]").inner_text().startswith("9 min ")
        page.get_by_role("button", name="Keep the store").click()
        reload_until(page, "Ready")
        delete(page, "idas-rings", at_once=False)
        page.get_by_role("button", name="Delete now").click()
        reload_until(page, "Deleted")
        assert page.get_by_role("heading", name="Receipt of the deletion").count() == 1
        assert page.get_by_role("button", name="Print").count() == 0


def test_what_went_wrong_is_told_with_its_remedy_and_its_evidence(simulated, chromium):
    with at_browser(chromium, simulated) as page:
        log_in(page, "ida")
        create(page, "Setup-fails <b>always", "setup-fails")
        page.locator(".heading .status", has_text="Failed").wait_for()
        told = page.locator(".callout", has_text="This store could not be finished")
        told.get_by_text("What this rests on").click()
        assert told.locator(".evidence li").first.is_visible()
        told.get_by_role("button", name="Retry").click()
        page.get_by_text("Trying again, from the first step.").wait_for()


def test_the_list_follows_a_store_by_itself(simulated, chromium):
    with at_browser(chromium, simulated) as page:
        log_in(page, "emil")
        create(page, "Emil’s Lamps", "emils-lamps")
        page.goto("/stores/")
        page.locator("td .status", has_text="Ready").wait_for()
        page.get_by_role("link", name="Ready 1").click()
        page.wait_for_url("**/stores/?status=ready")
        page.get_by_label("Search by name or address").fill("nothing like it")
        page.keyboard.press("Enter")
        page.get_by_role("heading", name="Nothing found").wait_for()


def test_the_address_is_checked_while_typing(simulated, chromium):
    with at_browser(chromium, simulated) as page:
        log_in(page, "flora")
        page.goto("/stores/new/")
        page.get_by_label("Name").press_sequentially("Flora’s Roses")
        page.get_by_text("https://floras-roses.stores.localhost is free").wait_for()
        page.get_by_label("Address").press_sequentially("www")
        page.get_by_text("“www” is reserved").wait_for()


def test_two_clicks_make_one_store(simulated, chromium):
    with at_browser(chromium, simulated) as page:
        log_in(page, "flora")
        page.goto("/stores/new/")
        page.get_by_label("Name").fill("Twice")
        page.get_by_label("Address").fill("twice-only")
        page.get_by_role("button", name="Create store").dblclick()
        page.get_by_role("heading", name="Twice").wait_for()
        made = "from stores.models import Store; print(Store.objects.filter(name='Twice').count())"
        assert simulated.shell(made).strip() == "1"


def test_focus_and_unfolded_parts_survive_a_change(simulated, chromium):
    with at_browser(chromium, simulated) as page:
        log_in(page, "gustav")
        create(page, "Gustav’s Tools", "gustavs-tools")
        page.locator(".heading .status", has_text="Ready").wait_for()
        page.get_by_role("button", name="Refresh").click()
        page.get_by_text("The store is being looked at again.").wait_for()
        page.get_by_text("What went on earlier").click()
        page.get_by_role("link", name="Delete…").focus()
        page.locator(".heading .status", has_text="Ready").wait_for()
        assert page.evaluate("document.activeElement.id") == "do-delete"
        assert page.locator("#earlier").get_attribute("open") is not None


def test_an_expired_login_takes_the_whole_page_to_the_login_and_back(simulated, chromium):
    with at_browser(chromium, simulated) as page:
        log_in(page, "gustav")
        page.goto("/stores/?q=tools")
        page.context.clear_cookies()
        page.get_by_role("heading", name="Welcome back").wait_for()
        page.get_by_label("Username").fill("gustav")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url("**/stores/?q=tools")


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_and_complains_about_nothing(width, scheme, simulated, chromium):
    size = {"width": width, "height": 800}
    with at_browser(chromium, simulated, viewport=size, color_scheme=scheme) as page:
        page.goto("/login/")
        assert page.evaluate("document.documentElement.dataset.bsTheme") == scheme
        log_in(page, "hanna")
        if page.get_by_text("No store yet").count():
            create(page, "Hanna’s " + "very" * 10 + " long name", "h" * 40)
        page.goto("/stores/")
        store = page.locator(".store-name").first.get_attribute("href")
        for url in ("/stores/", "/stores/new/", store, f"{store}delete/", "/stores/?q=none"):
            page.goto(url)
            assert not too_wide(page), f"{url} is wider than {width}"
            page.wait_for_timeout(300)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_failure_a_closing_shop_and_a_receipt_fit_a_phone(scheme, simulated, chromium):
    size = {"width": 360, "height": 800}
    with at_browser(chromium, simulated, viewport=size, color_scheme=scheme) as page:
        log_in(page, "jonas")
        create(page, "Setup-fails " + "very" * 10, f"fails-{scheme}")
        page.locator(".heading .status", has_text="Failed").wait_for()
        page.get_by_text("What this rests on").click()
        assert not too_wide(page)
        delete(page, f"fails-{scheme}", at_once=False)
        page.get_by_role("heading", name="Nothing is destroyed yet").wait_for()
        assert not too_wide(page)
        page.get_by_role("button", name="Delete now").click()
        page.get_by_role("heading", name="Receipt of the deletion").wait_for()
        assert not too_wide(page)


def test_the_keyboard_is_enough(simulated, chromium):
    with at_browser(chromium, simulated) as page:
        log_in(page, "hanna")
        page.goto("/stores/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
