"""The figures of a run, as a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contest import Figures
from bench.latency import percentile

LABEL, CELL = 40, 13
OURS = "storeyard"


@dataclass
class Report:
    facts: dict[str, Any]
    options: dict[str, Any]
    contest: dict[str, Figures] = field(default_factory=dict)
    latencies: list[Latency] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        stores = self.options["stores"]
        return {
            "facts": self.facts,
            "options": self.options,
            "contest": {
                name: dict[str, Any](rows(figures, stores))
                | {"kinds of objects": dict(sorted(figures.objects.items()))}
                for name, figures in self.contest.items()
            },
            "latencies": [latency.as_json() for latency in self.latencies],
        }

    def lines(self) -> list[str]:
        said = [", ".join(f"{name} {value}" for name, value in self.facts.items())]
        said.append(", ".join(f"{name} {value}" for name, value in self.options.items()))
        if self.contest:
            said += ["", *contest_lines(self.contest, self.options["stores"])]
        if self.latencies:
            said += ["", *latency_lines(self.latencies)]
        return said


@dataclass(frozen=True)
class Latency:
    """Milliseconds; `aim` for the 95th percentile, on an idle machine."""

    name: str
    values: Sequence[float]
    aim: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "aim": self.aim, **dict(self.columns())}

    def columns(self) -> list[tuple[str, float]]:
        return [
            ("p50", round(percentile(self.values, 50), 1)),
            ("p95", round(percentile(self.values, 95), 1)),
            ("max", round(max(self.values), 1)),
            ("n", len(self.values)),
        ]


def rows(figures: Figures, stores: int) -> list[tuple[str, float | None]]:
    """Label and value of each line of the contest; None where the contestant has no such thing."""
    server = figures.server
    return [
        ("time until all are ready, s", figures.seconds),
        ("CPU seconds per store, in all", figures.cpu / stores),
        ("  client with its Helm", figures.client / stores),
        ("    Helm alone", None if figures.helm is None else figures.helm / stores),
        ("  API server", server["kube-apiserver"] / stores),
        ("  etcd", server["etcd"] / stores),
        ("  controllers and scheduler", figures.controllers / stores),
        ("  fake kubelets", server["kwok"] / stores),
        ("Helm processes per store", figures.helm_runs / stores),
        ("passes per store", None if figures.passes is None else figures.passes / stores),
        ("objects per store", figures.objects.total() / stores),
    ]


def contest_lines(contest: dict[str, Figures], stores: int) -> list[str]:
    others = [name for name in contest if name != OURS]
    ratios = [f"ours/{name}" for name in others] if OURS in contest else []
    table = {name: rows(figures, stores) for name, figures in contest.items()}
    said = [line(f"{stores} stores at once", [*contest, *ratios])]
    for at, (label, _) in enumerate(next(iter(table.values()))):
        values = {name: made[at][1] for name, made in table.items()}
        cells = [number(value) for value in values.values()]
        cells += [ratio(values[OURS], values[name]) for name in others if ratios]
        said.append(line(label, cells))
    if len({tuple(sorted(figures.objects.items())) for figures in contest.values()}) > 1:
        said.append("The contestants made different objects; see --json.")
    return said


def latency_lines(latencies: Sequence[Latency]) -> list[str]:
    said = [line("Idle system, milliseconds", ["p50", "p95", "max", "n", "aim for p95"])]
    for latency in latencies:
        cells = [f"{value:g}" for _, value in latency.columns()]
        aim = "-" if latency.aim is None else f"< {latency.aim:g}"
        said.append(line(latency.name, [*cells, aim]))
    return said


def line(label: str, cells: Sequence[str]) -> str:
    return label.ljust(LABEL) + "".join(cell.rjust(CELL) for cell in cells)


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def ratio(ours: float | None, theirs: float | None) -> str:
    return f"{ours / theirs:.2f}" if ours is not None and theirs else "-"
