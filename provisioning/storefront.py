"""Asking a shop's public address as a customer would, and no further than that address."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import Any

TIMEOUT_SECONDS = 5.0


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer of the shop's; following it could lead anywhere."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def silent_because(url: str) -> str:
    """Empty if the shop answers with a page, else why it does not, in a few words."""
    # No proxy from the environment either: only the address that we built.
    opener = urllib.request.build_opener(NoRedirects, urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_SECONDS) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        return str(getattr(error, "reason", error))[:200] or type(error).__name__
    # A shop may send customers from http to https, or to a language: that is an answer too.
    return "" if 200 <= status < 400 else f"HTTP {status}"
