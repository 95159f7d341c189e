"""``make screenshots``: the pictures of README.md and docs/, taken of the running product.

Web, worker and watcher run on a simulated cluster in a folder that is thrown away; what the pictures
show is made by clicking, as a merchant would. Look at each picture before you keep it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from portal.tests.browser_kit import a_browser, at_browser, create, wait_for_status
from portal.tests.platforms import Person, Platform, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

DOCS = Path(settings.BASE_DIR) / "docs"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
READY = {"Anna’s Ceramics": "annas-ceramics", "Bergamot & Tea": "bergamot-tea"}
# The simulated cluster takes its faults from the names that stores are made with. Pictures show
# better ones.
BETTER = {"Setup-fails": "Harbour Books", "Slow": "Little Lamp Shop", "Degraded": "Olive & Oak"}
RENAME = "from stores.models import Store; Store.objects.filter(name={0!r}).update(name={1!r})"


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        a_browser() as browser,
        running(Path(folder)) as platform,
    ):
        anna = platform.person("anna", max_stores=8)
        for name, picture in PICTURES.items():
            picture(browser, platform, anna, DOCS / f"{name}.png")
            print(f"docs/{name}.png: {(DOCS / f'{name}.png').stat().st_size // 1024} KB")


@contextmanager
def desk(browser: Browser, platform: Platform, anna: Person, **more: Any) -> Iterator[Page]:
    options = {"viewport": DESK, "reduced_motion": "reduce", "color_scheme": "light", **more}
    with at_browser(browser, platform, anna, **options) as page:
        yield page


def better_name(platform: Platform, name: str) -> None:
    platform.shell(RENAME.format(name, BETTER[name]))


def take(page: Page, path: Path, *, whole: bool = False) -> None:
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    page.screenshot(path=path, full_page=whole)


def store(browser: Browser, platform: Platform, anna: Person, path: Path) -> None:
    with desk(browser, platform, anna) as page:
        for name, address in READY.items():
            create(page, name, address)
            wait_for_status(page, "Ready")
        page.goto("/stores/")
        page.get_by_role("link", name="Anna’s Ceramics").click()
        page.get_by_text("Healthy").first.wait_for()
        take(page, path)


def create_form(browser: Browser, platform: Platform, anna: Person, path: Path) -> None:
    with desk(browser, platform, anna) as page:
        page.goto("/stores/new/")
        page.get_by_label("Name").press_sequentially("Harbour Books")
        page.get_by_text("is free").first.wait_for()
        take(page, path)


def diagnosis(browser: Browser, platform: Platform, anna: Person, path: Path) -> None:
    with desk(browser, platform, anna) as page:
        create(page, "Setup-fails", "harbour-books")
        wait_for_status(page, "Failed")
        better_name(platform, "Setup-fails")
        page.reload()
        page.get_by_text("What this rests on").click()
        take(page, path)


def progress(browser: Browser, platform: Platform, anna: Person, path: Path) -> None:
    with desk(browser, platform, anna, viewport={"width": 1280, "height": 1080}) as page:
        create(page, "Degraded", "olive-and-oak")
        wait_for_status(page, "Ready")
        better_name(platform, "Degraded")
        create(page, "Slow", "little-lamp-shop")
        page.locator(".timeline li", has_text="Wait until running Waiting").wait_for()
        better_name(platform, "Slow")
        page.reload()
        take(page, path)


def stores_list(browser: Browser, platform: Platform, anna: Person, path: Path) -> None:
    with desk(browser, platform, anna) as page:
        create(page, "Slow", "pepper-mill")
        platform.shell(RENAME.format("Slow", "Pepper Mill"))
        page.goto("/stores/")
        page.get_by_text("Provisioning").first.wait_for()
        take(page, path)


def phone(browser: Browser, platform: Platform, anna: Person, path: Path) -> None:
    with desk(browser, platform, anna, viewport=PHONE, device_scale_factor=2) as page:
        page.goto("/stores/")
        take(page, path)


def dark(browser: Browser, platform: Platform, anna: Person, path: Path) -> None:
    with desk(browser, platform, anna, color_scheme="dark") as page:
        page.goto("/stores/")
        page.get_by_role("link", name="Anna’s Ceramics").click()
        page.get_by_text("Healthy").first.wait_for()
        take(page, path)


# In this order: each leaves its stores to the next.
PICTURES = {
    "store": store,
    "create": create_form,
    "diagnosis": diagnosis,
    "progress": progress,
    "list": stores_list,
    "phone": phone,
    "dark": dark,
}
