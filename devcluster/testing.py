"""For tests that want the real control plane."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

import pytest

from devcluster.build import binaries, built

T = TypeVar("T")


def require_programs() -> None:
    """Skip if they are not compiled; compile them where the tests are required."""
    if "cluster" in os.environ.get("STOREYARD_REQUIRE", "").split(","):
        binaries()
    elif not built():
        pytest.skip("the control plane is not compiled yet: run `make cluster` once")


def eventually(ask: Callable[[], T], seconds: float = 20) -> T:
    """The first true answer; a false one at last if it stays false."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return answer
