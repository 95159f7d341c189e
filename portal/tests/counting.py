"""A pytest plugin: what really ran, by mark, and what was missing for the rest, in a line each.

For CI, STOREYARD_MUST_RUN=browser,debian makes it a failure if none with such a mark ran, and
STOREYARD_TOTALS names a file to add the totals to.

A test on PostgreSQL is one that uses a database, or processes that do, while DATABASE_URL names one there.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

MARKS = ("browser", "cluster", "debian", "postgres")
outcomes: Counter[str] = Counter()
ran: Counter[str] = Counter()
missing: Counter[str] = Counter()


# First, so that -m can choose by the mark.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not os.environ.get("DATABASE_URL", "").startswith("postgres"):
        return
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if item.get_closest_marker("django_db") or {"db", "open_platform"} & set(fixtures):
            item.add_marker("postgres")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.passed:
        return
    outcomes[report.outcome] += 1
    if report.when == "call" and report.outcome != "skipped":
        ran.update(mark for mark in MARKS if mark in report.keywords)
    if report.skipped and isinstance(report.longrepr, tuple):
        missing[report.longrepr[2].removeprefix("Skipped: ")] += 1


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):  # the reports come together in xdist's controller
        return
    if did_not_run() and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    if path := os.environ.get("STOREYARD_TOTALS"):
        with Path(path).open("a") as file:
            file.write(json.dumps({"outcomes": outcomes, "ran": ran}) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason, count in missing.most_common():
        terminalreporter.write_line(f"skipped {count}: {reason}")
    counts = ", ".join(f"{mark} {ran[mark]}" for mark in MARKS)
    terminalreporter.write_line(f"ran by mark: {counts}")
    for mark in did_not_run():
        terminalreporter.write_line(f"ERROR: no test with the mark {mark} ran", red=True)


def did_not_run() -> list[str]:
    required = os.environ.get("STOREYARD_MUST_RUN", "").split(",")
    return [mark for mark in required if mark and not ran[mark]]
