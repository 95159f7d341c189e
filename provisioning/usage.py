"""What a store uses of its plan, in words and numbers that people read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext, gettext_lazy

from provisioning.cluster.quantities import amount

# In the order they are shown; the resources are those of the cluster's quota.
LABELS: dict[str, Any] = {
    "requests.cpu": gettext_lazy("CPU"),
    "limits.memory": gettext_lazy("Memory"),
    "requests.storage": gettext_lazy("Disk"),
    "pods": gettext_lazy("Pods"),
}
BYTES = ("limits.memory", "requests.storage")
GIB, MIB = 1024**3, 1024**2


@dataclass(frozen=True)
class Row:
    """``used`` and ``hard`` are texts with a unit; ``percent`` is between 0 and 100."""

    resource: str
    label: str
    used: str
    hard: str
    percent: int


def rows(usage: Mapping[str, Mapping[str, str]]) -> list[Row]:
    """Of ``Store.usage``: {resource: {"used", "hard"}}; empty where nobody has counted yet."""
    return [
        row(resource, str(label), usage[resource])
        for resource, label in LABELS.items()
        if resource in usage
    ]


def row(resource: str, label: str, counted: Mapping[str, str]) -> Row:
    used, hard = amount(counted["used"]), amount(counted["hard"])
    show = of_bytes if resource in BYTES else plain
    # Of nothing everything is used.
    percent = min(100, round(used * 100 / hard)) if hard else 100
    return Row(resource, label, show(used), show(hard), percent)


def of_bytes(value: Decimal) -> str:
    if value and value < GIB:
        return gettext("%(number)s MiB") % {"number": plain(value / MIB, 0)}
    return gettext("%(number)s GiB") % {"number": plain(value / GIB)}


def plain(value: Decimal, digits: int = 1) -> str:
    """Rounded; with a decimal only where there is something to say in it."""
    rounded = round(value, digits)
    return number_format(rounded, 0 if rounded == int(rounded) else digits)
