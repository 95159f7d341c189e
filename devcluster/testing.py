"""For tests that want something this machine may not have: above all, the real control plane."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from devcluster.build import binaries, built

T = TypeVar("T")


def required(what: str) -> bool:
    return what in os.environ.get("STOREYARD_REQUIRE", "").split(",")


def needs(what: str, how: str) -> None:
    """Skip because ``what`` is missing, saying how to get it; fail where CI requires it."""
    if required(what):
        pytest.fail(f"{what} is required here and missing: {how}")
    pytest.skip(f"{what} is missing: {how}")


def require_programs() -> None:
    """Skip if they are not compiled; compile them where the tests are required."""
    if required("cluster"):
        binaries()
    elif not built():
        needs("cluster", "run `make cluster` once, it compiles the control plane")


def eventually(ask: Callable[[], T], seconds: float = 20) -> T:
    """The first true answer; a false one at last if it stays false."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer
