"""`python -m bench.web`: what pages cost, with few stores in the database and with many. See --help."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError

if TYPE_CHECKING:
    pass

DATABASES = ("sqlite", "postgres")
PEOPLE = 40
# What a measurement of the highest rate takes turns in, so that a busy moment hits both.
ROUNDS = 3


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, interrupt)
    if not (arguments.pages or arguments.live or arguments.crowd):
        return each_by_itself()
    try:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storeyard-web-")))
            measure(folder, arguments)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 1
    return 0


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.web",
        description="What pages cost, with few stores in the database and with many, on SQLite and "
        "on PostgreSQL (--pages); how soon an open page shows a change in the cluster (--live); "
        "pages while many stores are set up (--crowd). Without one of these, all three.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--pages", choices=DATABASES, help="what pages cost, on this database")
    part.add_argument("--live", action="store_true", help="how soon a change is on an open page")
    part.add_argument("--crowd", action="store_true", help="pages while many stores are set up")
    parser.add_argument("--few", type=int, default=100, help="stores")
    parser.add_argument("--many", type=int, default=10_000, help="stores")
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    parser.add_argument("--seconds", type=float, default=15, help="for each page")
    parser.add_argument("--events", type=int, default=50, help="changes of each kind, for --live")
    parser.add_argument("--people", type=int, default=20, help="who poll, for --crowd")
    parser.add_argument("--stores", type=int, default=40, help="set up meanwhile, for --crowd")
    parser.add_argument("--patience", type=float, default=600, help="seconds, for anything at most")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def each_by_itself() -> int:
    """Every part in a process and with a database of its own."""
    program = [sys.executable, "-m", "bench.web", *sys.argv[1:]]
    parts = [*(["--pages", database] for database in DATABASES), ["--live"], ["--crowd"]]
    return max(subprocess.run([*program, *part], check=False).returncode for part in parts)


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    if arguments.live or arguments.crowd:
        from bench import live

        live.measure(folder, arguments)
        return
    with ExitStack() as stack:
        if arguments.pages == "postgres" and "DATABASE_URL" not in os.environ:
            from portal.tests import postgres

            os.environ["DATABASE_URL"] = stack.enter_context(postgres.server())
        measure_pages(folder, arguments)


def measure_pages(folder: Path, arguments: argparse.Namespace) -> None:
    from bench.serving import production

    os.environ.update(production(folder))
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    from bench import pages
    from bench.ground import facts
    from bench.populace import Populace

    populace, found = Populace(), []
    for count in (arguments.few, arguments.many):
        say(f"{count} stores on {arguments.pages}")
        populace.grow(count)
        found.append(pages.measure(folder, populace, arguments))
    visits = pages.visits(folder, populace)
    report = {"facts": facts(), "measured": [one.as_json() for one in found], "visits": visits}
    print(json.dumps(report, indent=2) if arguments.json else "\n".join(pages.lines(report)))


def say(what: str) -> None:
    print(f"{what} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
