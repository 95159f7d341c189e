"""What comes over the wire to a browser: bytes of answers, headers included, as Chromium counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from portal.tests.browser_kit import a_browser

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

# A live part asks again in between, as it does for anybody who looks around.
LOOK_MILLISECONDS = 1000


def first_and_second(port: int, cookie: str, paths: Sequence[str]) -> tuple[int, int]:
    """Of somebody who opens these pages with an empty cache, and of the same person later."""
    url = f"http://127.0.0.1:{port}"
    with a_browser() as browser:
        context = browser.new_context(base_url=url)
        name, _, value = cookie.partition("=")
        secure = name.startswith("__")
        context.add_cookies(
            [{"name": name, "value": value, "domain": "127.0.0.1", "path": "/", "secure": secure}]
        )
        return visit(context, paths), visit(context, paths)


def visit(context: BrowserContext, paths: Sequence[str]) -> int:
    page = context.new_page()
    wire = context.new_cdp_session(page)
    transferred: list[int] = []

    def finished(event: dict[str, Any]) -> None:
        transferred.append(int(event["encodedDataLength"]))

    wire.send("Network.enable")
    wire.on("Network.loadingFinished", finished)
    for path in paths:
        page.goto(path)
        if path not in page.url:
            raise BenchError(f"Asked for {path}, the browser came to {page.url}.")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(LOOK_MILLISECONDS)
    page.close()
    return sum(transferred)
