"""docs/reliability.md and docs/security.md name tests: each is there, and nothing is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
NAMED = re.compile(r"`([a-z/_0-9]+\.py)::(test_[a-z0-9_]+)`")
ROW = re.compile(r"^\| (F\d+) \|(.*)\|(.*)\|(.*)\|$", re.MULTILINE)
DOCS = ("docs/reliability.md", "docs/security.md")


def text_of(doc: str) -> str:
    return (ROOT / doc).read_text()


def named_in(text: str) -> set[tuple[str, str]]:
    return {(found[1], found[2]) for found in NAMED.finditer(text)}


@pytest.mark.parametrize("doc", DOCS)
def test_every_test_that_is_named_is_there(doc):
    named = named_in(text_of(doc))
    assert named
    missing = [
        f"{path}::{name}"
        for path, name in sorted(named)
        if f"def {name}(" not in ((ROOT / path).read_text() if (ROOT / path).exists() else "")
    ]
    assert missing == []


def test_there_is_a_row_for_every_failure_in_order():
    rows = ROW.findall(text_of("docs/reliability.md"))
    assert [row[0] for row in rows] == [f"F{number}" for number in range(1, 85)]


def test_at_least_seventy_are_shown_by_tests_and_the_others_say_why_not():
    shown = 0
    for number, _, _, by in ROW.findall(text_of("docs/reliability.md")):
        if named_in(by):
            shown += 1
        else:
            assert by.strip().startswith("Does not apply: "), number
    assert shown >= 70


def test_every_invariant_has_a_row_and_a_test_that_breaks_it():
    rows = re.findall(r"^\| (I\d+) \|", text_of("docs/reliability.md"), re.MULTILINE)
    assert rows == [f"I{number}" for number in range(1, 13)]
    breaking = (ROOT / "provisioning/tests/test_invariants.py").read_text()
    assert all(f"def test_{number.lower()}_" in breaking for number in rows)


@pytest.mark.parametrize("number", [10, *range(13, 17), *range(21, 31), 51, 52])
def test_every_security_requirement_so_far_has_a_row_with_its_test(number):
    [row] = re.findall(rf"^\| S{number} \|.*$", text_of("docs/security.md"), re.MULTILINE)
    assert named_in(row) or "Does not apply: " in row
