"""A worker that comes to harm at a chosen moment: a program that tests run.

Its argument is JSON: [{"store": id, "step": name, "moment": one of MOMENTS}, …]. Each is done by a
process of its own, as a pass of the real runner over the real cluster. Prints {id: pid} first and
{id: exit code} last; -9 says that it was killed.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any
from uuid import UUID

import django

PATIENCE_SECONDS = 60.0


def die(*args: Any, **kwargs: Any) -> None:
    """What kill -9 does: no handler, no finally, nothing written any more."""
    os.kill(os.getpid(), signal.SIGKILL)


def pause() -> None:
    """Until somebody sends SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def after_step(name: str) -> None:
    """The step's work is done; that it is done is written nowhere."""
    from provisioning import steps

    def doomed(step: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(step)
        def wrapped(work: Any) -> None:
            step(work)
            die()

        return wrapped if step.__name__ == name else step

    steps.PROVISION = tuple(map(doomed, steps.PROVISION))
    steps.TEAR_DOWN = tuple(map(doomed, steps.TEAR_DOWN))


def before_the_uid_is_known(name: str) -> None:
    """The namespace is made, its uid is not yet in the row."""
    from provisioning import steps

    steps.remember_namespace = die


def before_the_release_is_known(name: str) -> None:
    """Helm has ended well, the namespace's annotation does not say so yet."""
    from provisioning.cluster.kubernetes import KubernetesCluster

    KubernetesCluster.remember_release = die


def while_helm_runs(name: str) -> None:
    """The kernel tells Helm to end, Helm does what it can."""
    strike_in_helm(lambda helm: die())


def together_with_helm(name: str) -> None:
    """As when the machine goes: the release stays pending-install."""

    def strike(helm: subprocess.Popen[bytes]) -> None:
        os.killpg(helm.pid, signal.SIGKILL)
        die()

    strike_in_helm(strike)


def strike_in_helm(strike: Callable[[subprocess.Popen[bytes]], None]) -> None:
    """As soon as Helm has written down what it is about to do."""
    from provisioning.cluster import get_cluster
    from provisioning.cluster.helm import Helm

    def finish(self: Helm, process: subprocess.Popen[bytes], values: bytes, beat: Any) -> bytes:
        namespace = process.args[process.args.index("--namespace") + 1]
        process.stdin.write(values)
        process.stdin.close()
        while get_cluster().release_state("store", namespace) != "pending-install":
            if process.poll() is not None:
                sys.exit("Helm was too fast for this test")
        strike(process)
        raise AssertionError("still alive")

    Helm.finish = finish


def paused_before_the_namespace(name: str) -> None:
    from provisioning import steps

    before = steps.manifests.namespace

    def namespace(store: Any) -> Any:
        pause()
        return before(store)

    steps.manifests.namespace = namespace


def paused_and_killed(name: str) -> None:
    """Late, and not even able to take back what it made late."""
    paused_before_the_namespace(name)
    before_the_uid_is_known(name)


MOMENTS: dict[str, Callable[[str], None]] = {
    moment.__name__: moment
    for moment in (
        after_step,
        before_the_uid_is_known,
        before_the_release_is_known,
        while_helm_runs,
        together_with_helm,
        paused_before_the_namespace,
        paused_and_killed,
    )
}


def work(store: str, step: str, moment: str) -> None:
    """Passes until the moment comes, or one if nobody is to be killed."""
    from provisioning import runner

    MOMENTS[moment](step)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        runner.converge(UUID(store))
        if moment == "paused_before_the_namespace":
            return
        time.sleep(0.1)
    sys.exit(f"The moment {moment} {step} did not come.")


def start(task: dict[str, str]) -> int:
    if pid := os.fork():
        return pid
    try:
        work(task["store"], task.get("step", ""), task["moment"])
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    # It takes seconds: once, before the fork. The connection is made after it.
    import kubernetes  # noqa: F401

    tasks = json.loads(sys.argv[1])
    pids = {task["store"]: start(task) for task in tasks}
    print(json.dumps(pids), flush=True)
    ends = {store: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for store, pid in pids.items()}
    print(json.dumps(ends), flush=True)


if __name__ == "__main__":
    main()
