"""Workers at the ready: a program that has everything loaded and forks a worker when told to.

Its arguments are a pipe and a file. A line in the pipe is the id of a store: a fork works on that one,
pass after pass, until it is settled. Into the file go {"store": id, "pid": pid} when one begins and
{"store": id, "code": exit code} when it has ended; -9 says that it was killed.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import traceback
from uuid import UUID

import django

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.1


def work(store_id: UUID) -> None:
    """As the queue would ring: a pass, then another one as soon as there is something to do."""
    from provisioning import runner
    from stores.models import Store

    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        runner.converge(store_id)
        store = Store.objects.get(pk=store_id)
        if store.is_settled and not store.operations.open().exists():
            return
        time.sleep(LOOK_SECONDS)
        until_it_is_worth_a_pass(store, deadline)
    sys.exit(f"{store.pk} is still {store.status}: {store.sentence}")


def until_it_is_worth_a_pass(store: object, deadline: float) -> None:
    """Every pass writes; to count writes, nobody passes while pods start or a namespace empties."""
    from provisioning.cluster import get_cluster
    from provisioning.errors import ClusterUnavailable, NotYet, StepFailed
    from stores.lifecycle import Status

    cluster = get_cluster()
    while time.monotonic() < deadline:
        try:
            if store.status == Status.DELETING:
                found = cluster.get("Namespace", store.namespace)
                waiting = found is not None and "deletionTimestamp" in found["metadata"]
            else:
                waiting = bool(cluster.not_ready(store.namespace))
        except (ClusterUnavailable, NotYet, StepFailed):
            return
        if not waiting:
            return
        time.sleep(LOOK_SECONDS)


def start(store_id: str) -> int:
    if pid := os.fork():
        return pid
    try:
        work(UUID(store_id))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def report(file: int, **what: object) -> None:
    os.write(file, json.dumps(what).encode() + b"\n")


def serve(orders: int, reports: int) -> None:
    at_work: dict[int, str] = {}
    rest = b""
    while True:
        if select.select([orders], [], [], 0.02)[0]:
            *whole, rest = (rest + os.read(orders, 65536)).split(b"\n")
            for line in whole:
                store_id = line.decode()
                pid = start(store_id)
                at_work[pid] = store_id
                report(reports, store=store_id, pid=pid)
        while at_work:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            report(reports, store=at_work.pop(pid), code=os.waitstatus_to_exitcode(status))


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    # They take seconds: once, before the fork. Connections are made after it.
    import kubernetes  # noqa: F401

    import provisioning.cluster.kubernetes
    import provisioning.runner  # noqa: F401

    pipe, file = sys.argv[1:]
    # Open for writing too: otherwise the first one who hangs up would end it.
    orders = os.open(pipe, os.O_RDWR)
    serve(orders, os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))


if __name__ == "__main__":
    main()
