"""Asking a shop as a customer would: only the address we built, and no further."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from provisioning import storefront


class Shop(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status = int(self.path.strip("/") or 200)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/200")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def shop():
    server = HTTPServer(("127.0.0.1", 0), Shop)
    Shop.asked.clear()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_shop_that_answers_with_a_page_is_not_silent(shop):
    assert storefront.silent_because(f"{shop}/200") == ""


@pytest.mark.parametrize("status", [404, 500, 503])
def test_a_shop_that_answers_with_an_error_is_silent_because_of_it(shop, status):
    assert storefront.silent_because(f"{shop}/{status}") == f"HTTP {status}"


def test_a_redirect_is_an_answer_and_is_not_followed(shop):
    assert storefront.silent_because(f"{shop}/302") == ""
    assert Shop.asked == ["/302"]


def test_a_proxy_in_the_environment_is_not_asked(shop, monkeypatch):
    monkeypatch.setenv("http_proxy", f"{shop}/503")
    monkeypatch.delenv("no_proxy", raising=False)
    assert storefront.silent_because(f"{shop}/200") == ""


def test_nobody_there_is_said_in_a_few_words():
    assert "refused" in storefront.silent_because("http://127.0.0.1:1/")
