"""What a request's log lines say, and what not."""

from __future__ import annotations

import json
import logging

import pytest

from portal.tests.conftest import browser_of
from stores.logbook import JsonLines
from stores.models import Store


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.said: list[dict[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(json.loads(self.format(record)))


@pytest.fixture
def lines():
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.said
    logging.getLogger().removeHandler(handler)


def test_an_error_is_found_by_its_reference_and_names_the_person_by_pseudonym(
    alice, store, monkeypatch, lines
):
    def broken(*args: object) -> None:
        raise ValueError("nothing works")

    monkeypatch.setattr(Store, "get_status_display", broken)
    client = browser_of(alice)
    client.raise_request_exception = False
    answer = client.get(store.get_absolute_url())
    assert answer.status_code == 500
    (said,) = [line for line in lines if "traceback" in line]
    assert said["request"] == answer["X-Request-ID"]
    assert said["store"] == str(store.pk)
    assert said["person"] == alice.pseudonym
    text = json.dumps(lines)
    assert "alice" not in text and "127.0.0.1" not in text
    # S48: the page itself says no more than the reference.
    page = answer.content.decode()
    assert said["request"] in page
    for secret in ("nothing works", "ValueError", "Traceback", "Django", "portal/"):
        assert secret not in page


def test_what_is_asked_for_before_anybody_is_known_is_logged_too(db, client, lines):
    client.get("/nowhere/\u202eevil%0aline")
    assert [line["level"] for line in lines] == ["WARNING"]
    assert lines[0]["request"] and "person" not in lines[0]
