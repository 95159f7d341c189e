"""How long a provision takes: measured, from the last ones of the same engine, never made up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from statistics import median

from stores.models import Operation, OperationStep

# As many of the last successful ones as are looked at. Setting up from nothing and trying again
# both run every step; a refresh or a repair mostly finds things done.
LAST = 20
KINDS = (Operation.Kind.CREATE, Operation.Kind.RETRY)


def step_durations(engine: str) -> dict[str, timedelta]:
    """The median of each step; empty where there is no history yet."""
    operations = Operation.objects.filter(
        kind__in=KINDS, outcome=Operation.Outcome.SUCCEEDED, store__engine=engine
    )
    last = operations.order_by("-id").values("pk")[:LAST]
    taken: dict[str, list[float]] = defaultdict(list)
    for step in OperationStep.objects.filter(operation__in=last):
        if length := step.duration:
            taken[step.name].append(length.total_seconds())
    return {name: timedelta(seconds=median(values)) for name, values in taken.items()}


def estimated_duration(engine: str) -> timedelta | None:
    """From a store's admission to its being ready; None: no estimate yet."""
    return total(step_durations(engine).values())


def total(durations: Iterable[timedelta]) -> timedelta | None:
    return sum(durations, timedelta()) or None
