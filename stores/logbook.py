"""Log lines that nobody can forge, and that say what they are about.

What people and shops write ends up in log messages: a control character in it is written as its
code, so that one record stays one line (``plain``) or one object (``json``), whatever is in it. Each
record names the request, the store and, by pseudonym, the person it was written for. Network
addresses are in the audit trail only, where they can be erased.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

Facts = dict[str, str]

# C0, C1, DEL, what Unicode counts as the end of a line, and what turns the direction of writing.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# Where an error's text quotes one: logs are kept where nobody erases anybody.
MAIL_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
CONTINUED = "    | "
_facts: ContextVar[Callable[[], Facts] | None] = ContextVar("facts", default=None)


@contextmanager
def about(facts: Callable[[], Facts] | Facts) -> Iterator[None]:
    """Everything logged in it names these; a function is asked when there is something to log."""
    token = _facts.set((lambda: facts) if isinstance(facts, dict) else facts)
    try:
        yield
    finally:
        _facts.reset(token)


def current() -> Facts:
    ask = _facts.get()
    return {key: value for key, value in ask().items() if value} if ask else {}


def facts_of(record: logging.LogRecord) -> Facts:
    """Django says of an answer that it was "Not Found" when the request is over: then by what it
    gives with the record."""
    if found := current():
        return found
    request = getattr(getattr(record, "request", None), "request_id", "")
    return {"request": request} if request else {}


def escaped(text: str) -> str:
    """On one line, whatever is in it."""
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", unnamed(text))


def unnamed(text: str) -> str:
    return MAIL_ADDRESS.sub("(an e-mail address)", text)


class PlainLines(logging.Formatter):
    """For people: a line for each record; those of a traceback are indented, so that none of them
    can be taken for a record."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%d %H:%M:%S")
        named = " ".join(f"{key}={value}" for key, value in facts_of(record).items())
        where = f"{record.name} [{named}]" if named else record.name
        first = escaped(f"{at} {record.levelname} {where}: {record.getMessage()}")
        return "\n".join([first, *(CONTINUED + escaped(line) for line in self.trace(record))])

    def trace(self, record: logging.LogRecord) -> list[str]:
        # By "\n" alone: any other end of a line is a control character in somebody's text.
        return self.formatException(record.exc_info).split("\n") if record.exc_info else []


class JsonLines(logging.Formatter):
    """For programs: one object for each record, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": unnamed(record.getMessage()),
            **facts_of(record),
        }
        if record.exc_info:
            said["traceback"] = unnamed(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=True, default=str)
