"""Every page in every state, in Chromium: axe, contrast, the policy for content, widths, valid HTML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from portal.tests import html_checker, pages
from portal.tests.crawl import Looked, look_at_acts, look_at_all, look_at_errors
from portal.tests.platforms import Platform, running

ADMIN = "/admin/"
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(
        tmp_path_factory.mktemp("still"),
        still=True,
        CREATES_PER_HOUR="1000",
        REFRESHES_PER_HOUR="0",
        # Nobody answers here.
        LOGS_WAIT_SECONDS="0.1",
    ) as platform:
        yield platform


@pytest.fixture(scope="module")
def situation(still: Platform) -> dict[str, Any]:
    made = still.shell(
        "import json; from portal.tests import situations; print(json.dumps(situations.make()))"
    )
    return dict(json.loads(made.splitlines()[-1]))


@pytest.fixture(scope="module", params=["portal", "errors", "admin", "acts"])
def looked(still: Platform, situation: dict[str, Any], request: Any) -> Looked:
    if request.param == "errors":
        return look_at_errors(still, situation)
    if request.param == "acts":
        return look_at_acts(still, situation)
    wanted = [
        visit
        for visit in pages.visits(situation)
        if visit.path.startswith(ADMIN) == (request.param == "admin")
    ]
    return look_at_all(wanted, still, situation)


def none_of(found: list[str]) -> None:
    assert not found, f"{len(found)}:\n" + "\n".join(found)


def test_every_route_has_an_example(situation):
    none_of(pages.without_example(situation))


def test_axe_finds_nothing(looked):
    none_of(looked.axe)


def test_nothing_is_cut_off(looked):
    none_of(looked.too_wide)


def test_nobody_complains(looked):
    none_of(looked.complaints)


def test_all_html_is_valid(looked, tmp_path):
    none_of(html_checker.errors(looked.html, tmp_path))
