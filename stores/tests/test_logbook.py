"""S46: whatever somebody writes, a log record stays one record, and names nobody."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from django.conf import settings

from stores import logbook
from stores.logbook import JsonLines, PlainLines

FAKE = "2026-01-01 00:00:00 INFO stores: everything was deleted by carol"
EVIL = f"Anna’s\r\n{FAKE}\n\x1b[2K\x85\u2028\u202eend"


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("stores", logging.WARNING, __file__, 1, message, args, info)


def raised(text: str) -> BaseException:
    try:
        raise ValueError(text)
    except ValueError:
        error = sys.exc_info()[1]
        assert error
        return error


def test_a_name_with_a_line_of_its_own_makes_no_second_line():
    line = PlainLines().format(record("store %s is ready", EVIL))
    assert "\n" not in line and "\r" not in line and line.isprintable()
    assert "Anna’s\\u000d\\u000a2026-01-01" in line


def test_an_errors_text_cannot_pass_for_a_record():
    text = PlainLines().format(record("it broke", error=raised(EVIL)))
    first, *others = text.split("\n")
    assert first.endswith("WARNING stores: it broke")
    assert others and all(line.startswith("    | ") for line in others)
    assert "\x1b" not in text and "\u202e" not in text


@pytest.mark.parametrize("error", [None, raised(EVIL)])
def test_json_is_one_line_of_ascii_that_says_the_same(error):
    line = JsonLines().format(record("store %s", EVIL, error=error))
    assert line.isascii() and line.isprintable()
    said = json.loads(line)
    assert said["message"] == f"store {EVIL}"
    assert (said["level"], said["logger"]) == ("WARNING", "stores")
    assert ("traceback" in said) == bool(error)


@pytest.mark.parametrize("lines", [PlainLines, JsonLines])
def test_no_mail_address_reaches_a_log(lines):
    error = raised("Key (email)=(alice.b@shop.example.com) already exists")
    text = lines().format(record("%s", "to alice.b@shop.example.com", error=error))
    assert "alice" not in text and "already exists" in text


def test_a_record_names_what_it_was_written_for():
    with logbook.about({"request": "r-1", "store": "s-1", "person": ""}):
        assert "stores [request=r-1 store=s-1]: hello" in PlainLines().format(record("hello"))
        said = json.loads(JsonLines().format(record("hello")))
        with logbook.about({"store": "s-2"}):
            assert logbook.current() == {"store": "s-2"}
    assert (said["request"], said["store"]) == ("r-1", "s-1") and "person" not in said
    assert logbook.current() == {}


def test_every_handler_of_ours_writes_such_lines():
    used = {handler["formatter"] for handler in settings.LOGGING["handlers"].values()}
    ways = {settings.LOGGING["formatters"][name]["()"] for name in used}
    assert ways <= {"stores.logbook.PlainLines", "stores.logbook.JsonLines"}
    # Django's own, which would write what it is given.
    assert not logging.getLogger("django").handlers
