"""`python -m bench`: see --help."""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.ground import Ground, Options, facts
from devcluster.cluster import DevCluster
from devcluster.errors import DevClusterError

if TYPE_CHECKING:
    from bench.report import Report

PARTS = ("contest", "health", "scale")
# Long enough that the portal has gone back to waiting when a pod turns ready.
LATENCY_READY_AFTER = "2s"


def main() -> int:
    arguments = parse()
    if not chosen(arguments):
        return each_by_itself()
    # As Ctrl-C: everything that was started is stopped on the way out.
    signal.signal(signal.SIGTERM, interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="storeyard-bench-") as folder:
            print_report(run(Ground(Path(folder), options(arguments)), arguments), arguments.json)
    except (BenchError, DevClusterError) as error:
        print(f"bench: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
    else:
        return 0
    return 1


def chosen(arguments: argparse.Namespace) -> list[str]:
    return [part for part in PARTS if getattr(arguments, part)]


def each_by_itself() -> int:
    """Every part in a process and with a database of its own: what one leaves is not for the next."""
    program = [sys.executable, "-m", "bench", *sys.argv[1:]]
    return max(subprocess.run([*program, f"--{part}"], check=False).returncode for part in PARTS)


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Storeyard and a plain shell script make the same stores, each on a fresh local "
        "control plane, and how soon an idle Storeyard notices (--contest); how soon trouble is told "
        "(--health); what many stores cost, beside asking for each (--scale). Without one of these, "
        "all three, one after the other. DATABASE_URL names an empty database to use instead of "
        "SQLite, for one of them.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--stores", type=int, default=40, help="how many at once")
    parser.add_argument("--workers", type=int, default=2, help="and the script's parallel stores")
    parser.add_argument("--starting", type=int, default=10, help="MAX_STORES_STARTING")
    parser.add_argument("--ready-after", default="0s", help="how long a pod takes, in the contest")
    parser.add_argument("--script-first", action="store_true", help="let the script begin")
    parser.add_argument(
        "--tuned-script", action="store_true", help="also a script with the flags Storeyard uses"
    )
    parser.add_argument("--samples", type=int, default=20, help="stores for the first latency")
    parser.add_argument("--rings", type=int, default=60, help="rings for the second")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--contest", action="store_true", help="who makes stores faster")
    part.add_argument("--health", action="store_true", help="how soon trouble is told")
    part.add_argument("--scale", action="store_true", help="what many stores cost")
    parser.add_argument("--events", type=int, default=50, help="of trouble, for that")
    parser.add_argument("--few", type=int, default=10, help="stores to compare many with")
    parser.add_argument("--many", type=int, default=1000, help="stores, for that")
    parser.add_argument("--no-script", action="store_true", help="Storeyard alone")
    parser.add_argument("--seconds", type=float, default=600, help="to wait for anything at most")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def options(arguments: argparse.Namespace) -> Options:
    named = vars(arguments)
    return Options(**{name: named[name] for name in Options.__dataclass_fields__})


def run(ground: Ground, arguments: argparse.Namespace) -> Report:
    ground.prepare()
    from bench.report import Report
    from stores.models import Store

    if Store.objects.exists():
        raise BenchError("DATABASE_URL names a database that has stores: use an empty one.")
    report = Report(facts(), asdict(ground.options))
    measures = {"contest": measure_contest, "health": measure_health, "scale": measure_scale}
    measures[chosen(arguments)[0]](ground, arguments, report)
    return report


def measure_contest(ground: Ground, arguments: argparse.Namespace, report: Report) -> None:
    parts = [measure_ours] if arguments.no_script else [measure_ours, measure_scripts]
    for measure in reversed(parts) if arguments.script_first else parts:
        measure(ground, arguments, report)


def measure_ours(ground: Ground, _: argparse.Namespace, report: Report) -> None:
    from bench import contest, latency
    from bench.observer import Observer
    from bench.portal import Portal
    from bench.report import OURS, Latency

    with (
        DevCluster(ready_after=ground.options.ready_after) as cluster,
        Portal(ground, cluster.portal_kubeconfig) as portal,
    ):
        say("Storeyard makes its stores")
        report.contest[OURS] = contest.storeyard(ground, portal, cluster)
        say("Storeyard notices")
        cluster.set_ready_after(LATENCY_READY_AFTER)
        observer = Observer(cluster.kubeconfig, ground.options.seconds)
        observer.start()
        noticed = latency.ready_to_row(portal, observer, ground.options.samples)
        starts, lengths = latency.ring_to_pass(portal, ground.options.rings)
    report.latencies += [
        Latency("last workload ready -> row is READY", noticed, aim=500),
        Latency("ring -> pass begins", starts, aim=150),
        Latency("a pass over a READY store", lengths),
    ]


def measure_health(ground: Ground, arguments: argparse.Namespace, report: Report) -> None:
    from bench import health
    from bench.portal import Portal
    from bench.report import Latency

    with DevCluster() as cluster, Portal(ground, cluster.portal_kubeconfig) as portal:
        say("Storeyard tells of trouble")
        cluster.set_ready_after(health.RECOVERY)
        told = health.unready_to_told(portal, cluster.kubeconfig, arguments.events)
    report.latencies += [
        Latency("a pod turns unready -> row is degraded", told[0], aim=250),
        Latency("a pod turns unready -> an open page says so", told[1], aim=5000),
    ]


def measure_scale(ground: Ground, arguments: argparse.Namespace, report: Report) -> None:
    from bench.scale import Stores

    with DevCluster(nodes=10) as cluster:
        stores = Stores(ground, cluster.kubeconfig)
        for count in (arguments.few, arguments.many):
            say(f"{count} stores are made, and looked at")
            stores.grow(count)
            report.scales.append(stores.measure())


def measure_scripts(ground: Ground, arguments: argparse.Namespace, report: Report) -> None:
    from bench import contest

    scripts: dict[str, dict[str, str]] = {"script": {}}
    if arguments.tuned_script:
        scripts["tuned"] = contest.TUNED
    for name, flags in scripts.items():
        with DevCluster(ready_after=ground.options.ready_after) as cluster:
            say(f"The {name} makes its stores" if name == "script" else "The tuned script does")
            report.contest[name] = contest.script(ground, cluster, name, flags)


def say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


def print_report(report: Report, as_json: bool) -> None:
    print(json.dumps(report.as_json(), indent=2) if as_json else "\n".join(report.lines()))


if __name__ == "__main__":
    sys.exit(main())
