"""The figures of a run, as a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.contest import Figures
from bench.latency import percentile
from bench.scale import Scale

LABEL, CELL = 42, 13
OURS = "storeyard"


@dataclass
class Report:
    facts: dict[str, Any]
    options: dict[str, Any]
    contest: dict[str, Figures] = field(default_factory=dict)
    latencies: list[Latency] = field(default_factory=list)
    scales: list[Scale] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        stores = self.options["stores"]
        return {
            "facts": self.facts,
            "options": self.options,
            "contest": {
                name: {
                    **{row.key: row.value for row in rows(figures, stores)},
                    "objects_by_kind": dict(sorted(figures.objects.items())),
                }
                for name, figures in self.contest.items()
            },
            "latencies": [latency.as_json() for latency in self.latencies],
            "scales": [scale.as_json() for scale in self.scales],
        }

    def lines(self) -> list[str]:
        said = [", ".join(f"{name} {value}" for name, value in self.facts.items())]
        said.append(", ".join(f"{name} {value}" for name, value in self.options.items()))
        if self.contest:
            said += ["", *contest_lines(self.contest, self.options["stores"])]
        if self.latencies:
            said += ["", *latency_lines(self.latencies)]
        if self.scales:
            said += ["", *scale_lines(self.scales)]
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


@dataclass(frozen=True)
class Row:
    """`value` is None where the contestant has no such thing."""

    key: str
    label: str
    value: float | None


def rows(figures: Figures, stores: int) -> list[Row]:
    def each(key: str, label: str, value: float | None) -> Row:
        return Row(key, label, None if value is None else value / stores)

    server = figures.server
    return [
        Row("seconds", "until all are ready, s (aim: ratio <= 1)", figures.seconds),
        each("cpu", "CPU seconds per store", figures.cpu),
        each("cpu_client", "  client with its Helm", figures.client),
        each("cpu_helm", "    Helm alone", figures.helm),
        each("cpu_apiserver", "  API server", server["kube-apiserver"]),
        each("cpu_etcd", "  etcd", server["etcd"]),
        each("cpu_controllers", "  controllers and scheduler", figures.controllers),
        each("cpu_kubelets", "  fake kubelets", server["kwok"]),
        each("helm_processes", "Helm processes per store", figures.helm_runs),
        each("passes", "passes per store", figures.passes),
        each("objects", "objects per store", figures.objects.total()),
    ]


def contest_lines(contest: dict[str, Figures], stores: int) -> list[str]:
    others = [name for name in contest if name != OURS]
    ratios = [f"ours/{name}" for name in others] if OURS in contest else []
    # Ours first, whoever began.
    table = {name: rows(contest[name], stores) for name in sorted(contest, key=lambda n: n != OURS)}
    said = [line(f"{stores} stores at once", [*table, *ratios])]
    for row in next(iter(table.values())):
        values = {name: value_of(made, row.key) for name, made in table.items()}
        cells = [number(value) for value in values.values()]
        cells += [ratio(values[OURS], values[name]) for name in others if ratios]
        said.append(line(row.label, cells))
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


def scale_lines(scales: Sequence[Scale]) -> list[str]:
    def row(label: str, *values: float, digits: int = 0) -> str:
        change = f"x {values[-1] / values[0]:.3g}" if values[0] else "-"
        return line(label, [*(f"{value:.{digits}f}" for value in values), change])

    return [
        line("A look at all stores", [*(f"{one.stores} stores" for one in scales), "change"]),
        row("objects looked at", *(one.objects for one in scales)),
        row("sweep: requests (aim: the same)", *(one.survey_requests for one in scales)),
        row("sweep: further pages", *(one.survey_pages for one in scales)),
        row("sweep: CPU seconds of ours (aim: < 5)", *(one.sweep_cpu for one in scales), digits=2),
        row("sweep: seconds", *(one.sweep_seconds for one in scales), digits=2),
        row("polling each: requests", *(one.polling_requests for one in scales)),
        row("polling each: CPU seconds of ours", *(one.polling_cpu for one in scales), digits=2),
        row("polling each: seconds", *(one.polling_seconds for one in scales), digits=2),
        row("watcher: MB at its highest (aim: < 150)", *(one.watcher_mb for one in scales)),
    ]


def value_of(made: Sequence[Row], key: str) -> float | None:
    return next(row.value for row in made if row.key == key)


def line(label: str, cells: Sequence[str]) -> str:
    return label.ljust(LABEL) + "".join(cell.rjust(CELL) for cell in cells)


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def ratio(ours: float | None, theirs: float | None) -> str:
    return f"{ours / theirs:.2f}" if ours is not None and theirs else "-"
