"""`python -m soak`: see --help."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import django

SETTINGS = {
    "STOREYARD_CLUSTER": "kubernetes",
    "GRACE_SECONDS": "5",
    "RETRY_SECONDS": "1,2,4",
    "LOG_LEVEL": "INFO",
}


def main() -> int:
    arguments = parse()
    signal.signal(signal.SIGTERM, interrupt)
    seed = arguments.seed if arguments.seed is not None else int(time.time())
    print(f"soak: seed {seed}, {arguments.minutes:g} minutes, on {database_name(arguments)}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storeyard-soak-")))
        violations = run(folder, stack, arguments, seed)
        if violations or arguments.keep:
            keep(folder, seed)
    print("\n".join(violations) or "soak: everything is as it should be")
    print(f"soak: seed {seed}: {len(violations)} violations")
    return 1 if violations else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m soak",
        description="Random owners use Storeyard on a local control plane of its own while its "
        "processes are killed and stopped, its database and its cluster restarted, and requests "
        "disturbed. Ends with 1 if an invariant does not hold in the end. The same seed makes the "
        "same choices.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--seed", type=int, help="of all choices; without it, a new one")
    parser.add_argument("--minutes", type=float, default=10, help="of harm, before it settles")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL server of its own")
    parser.add_argument("--keep", action="store_true", help="keep the logs even if all is well")
    return parser.parse_args()


def database_name(arguments: argparse.Namespace) -> str:
    return "PostgreSQL" if arguments.postgres else "SQLite"


def run(folder: Path, stack: ExitStack, arguments: argparse.Namespace, seed: int) -> list[str]:
    server = None
    url = f"sqlite:///{folder / 'soak.sqlite3'}"
    if arguments.postgres:
        from portal.tests import postgres

        server = stack.enter_context(postgres.running())
        url = server.url
    os.environ |= SETTINGS | {"DATABASE_URL": url, "STOREYARD_RUN_DIR": str(folder)}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    from soak.history import History
    from soak.stage import Stage

    stage = stack.enter_context(Stage(folder, url, server))
    return History(stage, seed, arguments.minutes * 60).run()


def keep(folder: Path, seed: int) -> None:
    """What the processes wrote, for whoever looks into it."""
    kept = Path(tempfile.gettempdir()) / f"storeyard-soak-{seed}-{os.getpid()}"
    kept.mkdir()
    for file in [*folder.glob("*.log"), *folder.glob("*.sqlite3*")]:
        (kept / file.name).write_bytes(file.read_bytes())
    print(f"soak: logs in {kept}")


def interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
