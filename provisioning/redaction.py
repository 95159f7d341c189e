"""Text that comes out of the cluster, made fit to be kept and shown: nothing in it opens a door.

What a shop's containers write is anybody's text. Passwords, tokens and keys are taken out, control
characters are written as their codes; pages escape the rest, as they do all text. Where it is not
certain that something is a secret it is taken out all the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

GONE = "[redacted]"
LINE = 300
# Of a log no more is looked at: the end says most, and somebody could write one for us to read.
LONGEST = 16384
# What a name must have in it for its value to be nobody's business.
# (Secrets that a quota counts are none.)
SECRET_NAME = (
    r"(?<!count/)(?!secrets[=:]\s*\d)(?:pass(?:wor[dt]|wd|phrase|code)?|pwd|secret|token|api[_-]?key|access[_-]?key"
    r"|private[_-]?key|auth[_-]?key|credentials?|salt|nonce|session(?:id)?|signature)"
)
# Quoted, its quotes perhaps escaped themselves (JSON in JSON) or never closed; or up to a space.
VALUE = (
    r"(?:\\*\"(?:\\.|[^\"\\\n])*(?:\\?\"|\\?(?=\n|$))"
    r"|\\*'(?:\\.|[^'\\\n])*(?:\\?'|\\?(?=\n|$))"
    r"|\S+)"
)


def if_it_is_one(instead: str) -> Callable[[re.Match[str]], str]:
    """For a pattern that takes the whole word either way, its last group only if it is a secret: one
    that searched on within the word would read it again from every place in it."""
    return lambda found: found.expand(instead) if found[found.re.groups] else found[0]


RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    # The end may have been cut off.
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.S), GONE),
    (re.compile(r"((?:proxy-)?authorization|(?:set-)?cookie)(\\*[\"']?\s*[:=]\s*).*", re.I), rf"\1\2{GONE}"),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.I), rf"\1 {GONE}"),
    # As far as the last @: a password may hold anything.
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/\"'<>:@]*:(?:([^\s\"'<>]*@)|[^\s\"'<>]*)", re.I),
     if_it_is_one(rf"\1{GONE}@")),
    (re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/\"'<>]+@", re.I), rf"\1{GONE}@"),
    (re.compile(rf"({SECRET_NAME}[\w.-]{{0,40}}\\*[\"']?\s*(?:=>|[:=])\s*){VALUE}", re.I), rf"\1{GONE}"),
    (re.compile(rf"(--?[\w-]{{0,30}}?{SECRET_NAME}[\w.-]{{0,40}}\s+){VALUE}", re.I), rf"\1{GONE}"),
    (re.compile(rf"(\bidentified\s+(?:by|with\s+\S+\s+(?:by|as))\s+){VALUE}", re.I), rf"\1{GONE}"),
    # PHP writes the arguments of the functions that failed.
    (re.compile(r"(\b(?:\w*connect|PDO->__construct)\()[^)\n]*", re.I), rf"\1{GONE}"),
    (re.compile(r"\beyJ[\w-]+(\.[\w-]+\.?[\w-]*)?"), if_it_is_one(GONE)),
    (re.compile(r"(?<!sha256:)(?<![0-9a-fA-F])[0-9a-fA-F]{32,}(?![0-9a-fA-F])"), GONE),
)  # fmt: skip
# Everything that moves a cursor, ends a line in secret or turns the direction of writing.
CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
RANDOM = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def redact(text: str) -> str:
    """The text without what looks like a secret, its lines kept."""
    text = text.replace("\r\n", "\n")
    for pattern, instead in RULES:
        text = pattern.sub(instead, text)
    text = RANDOM.sub(lambda run: GONE if looks_random(run[0]) else run[0], text)
    return escape_controls(text)


def one_line(text: str, limit: int = LINE) -> str:
    """Redacted, then made a single line of at most so many characters."""
    return cut(" ".join(redact(text).split()), limit)


def tail(text: str, limit: int, longest: int = LONGEST) -> str:
    """Redacted, then its end: what a program said last says most. No more than ``longest`` is read."""
    text = redact(end_of(text, longest)).strip("\n")
    return text if len(text) <= limit else f"…{text[1 - limit :]}"


def end_of(text: str, longest: int = LONGEST) -> str:
    """Without the line, or at least the word, that is cut: half a secret is not known for one."""
    if len(text) <= longest:
        return text
    text = text[-longest:]
    return text.partition("\n")[2] or " ".join(text.split(" ")[1:])


def cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def clean(value: Any, limit: int = LINE) -> Any:
    """A JSON value, each text in it made one redacted line."""
    if isinstance(value, str):
        return one_line(value, limit)
    if isinstance(value, dict):
        return {key: clean(part, limit) for key, part in value.items()}
    if isinstance(value, list):
        return [clean(part, limit) for part in value]
    return value


def escape_controls(text: str) -> str:
    text = CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # Half a character can be neither stored nor sent.
    return LONE_SURROGATE.sub("\ufffd", text)


def looks_random(run: str) -> bool:
    """As made by a machine: the kinds of letters change all the time, as in no name and no path."""
    if run.count("/") > len(run) / 16:
        return any(looks_random(part) for part in run.split("/") if len(part) >= 24)
    kinds = [kind_of(letter) for letter in run]
    if not {"lower", "upper"} <= set(kinds):
        return False
    switches = sum(before != after for before, after in pairwise(kinds))
    return switches >= len(run) * (0.3 if "digit" in kinds else 0.4)


def kind_of(letter: str) -> str:
    if letter.isdigit():
        return "digit"
    if letter.isalpha():
        return "upper" if letter.isupper() else "lower"
    return "sign"
