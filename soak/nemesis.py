"""Who does harm: kills, stops and starts again, cuts, delays and refuses. Everything it does ends."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError
from django.db import connection

from devcluster.faults import (
    WATCH,
    WRITES,
    Fault,
    answer_lost,
    answered,
    slowed,
    swallowed,
    watch_expired,
    watch_stalled,
)
from provisioning.errors import ClusterUnavailable
from stores.lifecycle import Status
from stores.models import Store

if TYPE_CHECKING:
    from devcluster.proxy import Exchange, Rule
    from soak.stage import Stage

Later = Callable[[float, Callable[[], None]], None]
ACTS = {
    "kill_part": 22, "kill_helm": 10, "kill_middle": 6, "kill_service": 8, "end_service": 5,
    "stop_part": 10, "stop_helm": 8, "stop_service": 3, "disturb": 20, "cut": 4,
    "tamper": 8, "restart_database": 5, "restart_apiserver": 4, "pause_apiserver": 3, "stop_controllers": 5,
}  # fmt: skip
PARTS = ("worker-1", "worker-2")
ALL = (*PARTS, "watcher")
# What somebody with rights on the cluster might take away from a store.
TAKEN = (
    ("Deployment", "store-web"), ("Service", "store-web"), ("StatefulSet", "store-db"),
    ("NetworkPolicy", "store-default-deny"), ("LimitRange", "store-limits"),
    ("ResourceQuota", "store-quota"),
)  # fmt: skip
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
# Where, and what happens to every so many requests there.
DISTURBANCES: tuple[tuple[str, Fault, int], ...] = (
    (WRITES, answered(409), 5),
    (WRITES, answered(429, retry_after=1), 4),
    (".*", answered(500), 6),
    (".*", answered(503), 4),
    (WRITES, answer_lost, 4),
    (".*", slowed(1.5), 3),
    ("GET|PATCH", swallowed, 20),
    (WATCH, watch_expired, 1),
    (WATCH, watch_stalled, 1),
)


def every(number: int, fault: Fault) -> Fault:
    """It happens to every so many of the requests that the rule takes."""
    lock = threading.Lock()
    seen = 0

    def sometimes(exchange: Exchange) -> None:
        nonlocal seen
        with lock:
            seen += 1
            now = seen % number == 0
        fault(exchange) if now else exchange.relay()

    return sometimes


class Nemesis:
    def __init__(self, stage: Stage, choose: random.Random, later: Later) -> None:
        self.stage, self.choose, self.later = stage, choose, later
        self.done: Counter[str] = Counter()
        self.undo: list[Callable[[], None]] = []

    def pause(self, mean: float) -> float:
        return self.choose.uniform(0.3, 1.7) * mean

    def plan(self) -> tuple[str, str, float, float]:
        """What is done, to which service, to which one there, for how long.

        All of it is chosen at once, so that the choices do not depend on what there is.
        """
        name = self.choose.choices(list(ACTS), weights=list(ACTS.values()))[0]
        service, watched = self.choose.choice(PARTS), self.choose.choice(ALL)
        which, seconds = self.choose.random(), self.choose.uniform(1, 12)
        return name, watched if name.endswith("_service") else service, which, seconds

    def act(self) -> None:
        name, self.service, self.which, self.seconds = self.plan()
        try:
            done = getattr(self, name)()
        except (DatabaseError, ClusterUnavailable):  # away, through an earlier act
            connection.close()
            done = False
        self.done[name if done is not False else f"{name} missed"] += 1

    def end(self) -> None:
        """Take back what is still in force."""
        while self.undo:
            self.undo[0]()

    def for_a_while(self, undo: Callable[[], None]) -> None:
        def once() -> None:
            if once in self.undo:
                self.undo.remove(once)
                undo()

        self.undo.append(once)
        self.later(self.seconds, once)

    # --- Processes -----------------------------------------------------------------------

    def one_of(self, found: list[int]) -> int:
        return found[int(self.which * len(found))] if found else 0

    def part(self) -> int:
        """A worker, busy or idle, the monitor or the pusher: whoever is without children, but Helm."""
        generations = self.stage.tree(self.service)
        python = [
            [pid for pid in generation if pid not in self.stage.helms()]
            for generation in generations
        ]
        return self.one_of([g for g in python if g][-1] if any(python) else [])

    def kill_part(self) -> bool:
        return self.send(self.part(), signal.SIGKILL)

    def kill_middle(self) -> bool:
        """The sentinel, or the queue's own parent: whoever is between the service and its parts."""
        return self.send(self.one_of(sum(self.stage.tree(self.service)[1:-1], [])), signal.SIGKILL)

    def kill_service(self) -> bool:
        return self.send(self.one_of(self.stage.tree(self.service)[:1][0]), signal.SIGKILL)

    def end_service(self) -> bool:
        return self.send(self.one_of(self.stage.tree(self.service)[:1][0]), signal.SIGTERM)

    def kill_helm(self) -> bool:
        return self.send(self.one_of(self.stage.helms()), signal.SIGKILL)

    def stop_part(self) -> bool:
        return self.stop(self.part())

    def stop_helm(self) -> bool:
        return self.stop(self.one_of(self.stage.helms()))

    def stop_service(self) -> bool:
        return self.stop(self.one_of(self.stage.tree(self.service)[:1][0]))

    def stop(self, pid: int) -> bool:
        if not self.send(pid, signal.SIGSTOP):
            return False
        self.for_a_while(lambda: self.send(pid, signal.SIGCONT))
        return True

    def send(self, pid: int, number: signal.Signals) -> bool:
        with suppress(ProcessLookupError):
            if pid:
                os.kill(pid, number)
                return True
        return False

    # --- The cluster and the database ----------------------------------------------------

    def disturb(self) -> None:
        verb, fault, number = DISTURBANCES[int(self.which * len(DISTURBANCES))]
        rule: Rule = self.stage.proxy.rule(every(number, fault), verb=verb)
        if verb == WATCH:
            self.stage.proxy.cut()
        self.for_a_while(lambda: self.stage.proxy.remove(rule))

    def tamper(self) -> bool:
        """Somebody takes something away from a store that is ready."""
        ready = list(Store.objects.filter(status=Status.READY).order_by("created_at"))
        if self.stage.cluster_away or not ready:
            return False
        kind, name = TAKEN[int(self.which * len(TAKEN))]
        store = ready[int(self.seconds * 1000) % len(ready)]
        self.stage.platform.admin.delete(kind, name, store.namespace)
        return True

    def cut(self) -> None:
        self.stage.proxy.cut()

    def restart_database(self) -> bool:
        if self.stage.server is None or self.stage.server.process is None:
            return False
        self.stage.stop_database()
        self.for_a_while(self.stage.start_database)
        return True

    def restart_apiserver(self) -> bool:
        return self.away("kube-apiserver")

    def stop_controllers(self) -> bool:
        return self.away(CONTROLLERS[int(self.which * len(CONTROLLERS))])

    def away(self, name: str) -> bool:
        devcluster = self.stage.devcluster
        if self.stage.cluster_away or name not in devcluster.processes:
            return False
        self.stage.cluster_away = name == "kube-apiserver"
        devcluster.stop_process(name, kill=True)
        self.for_a_while(lambda: self.back(name))
        return True

    def back(self, name: str) -> None:
        if name == "kube-apiserver":
            self.stage.cluster_away = False
        elif self.stage.cluster_away:  # without the API server nobody else gets up
            self.seconds = 1.0
            return self.for_a_while(lambda: self.back(name))
        self.stage.devcluster.start_process(name)

    def pause_apiserver(self) -> bool:
        if self.stage.cluster_away:
            return False
        self.stage.cluster_away = True
        self.stage.devcluster.pause("kube-apiserver")
        self.for_a_while(self.resume_apiserver)
        return True

    def resume_apiserver(self) -> None:
        self.stage.devcluster.resume("kube-apiserver")
        self.stage.cluster_away = False
