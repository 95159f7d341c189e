"""Kubernetes' way to write amounts: "100m", "1Gi", "2e3".

The official client can read them too, but importing it takes seconds, also where there is no cluster.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

SUFFIXES = {
    "": Decimal(1), "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
}  # fmt: skip
QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([numkMGTPE]?i?)")


@lru_cache(4096)
def amount(text: str | int | float) -> Decimal:
    """Raises ValueError for what is no quantity."""
    found = QUANTITY.fullmatch(str(text))
    if not found or found[2] not in SUFFIXES:
        raise ValueError(f"{text!r} is no quantity")
    return Decimal(found[1]) * SUFFIXES[found[2]]
