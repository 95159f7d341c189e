"""The kill sweep: wherever a worker is killed, the store ends as if nobody had been.

An undisturbed run makes K writes to the API, Helm's own included. For every k from 1 to K a worker is
killed with -9 right after its kth write, Helm with it by its parent-death signal, and a fresh worker
goes on. On PostgreSQL a sample is enough: how a pass goes on depends on the cluster.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from devcluster import Proxy
from provisioning import drift
from provisioning.invariants import UNFINISHED
from provisioning.tests.real_checks import (
    Object,
    check_invariants,
    helm_processes,
    namespaces_of,
    passwords,
)
from provisioning.tests.real_dump import differences, dump
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform
from provisioning.tests.real_sweep import KILLED, Turn, Workers
from stores import services
from stores.lifecycle import Status
from stores.models import Store

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
pytest_plugins = ["provisioning.tests.real_fixtures"]

ON_POSTGRES = os.environ.get("DATABASE_URL", "").startswith("postgres")
EVERY = int(os.environ.get("SWEEP_EVERY", "5" if ON_POSTGRES else "1"))
AT_ONCE = int(os.environ.get("SWEEP_AT_ONCE", "4"))
DAMAGE = (("Deployment", "store-web"), ("Service", "store-web"), ("LimitRange", "store-limits"))
# A namespace takes seconds to empty, in which nobody has anything to do.
DELETIONS_AT_ONCE = 3 * AT_ONCE


@dataclass
class Sweep:
    """What one kind of work is when nobody is killed (in ``store``), and what it was for every k."""

    store: Store
    writes: list[str]
    before: dict[str, Object] = field(default_factory=dict)
    turns: list[Turn] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ks(self) -> list[int]:
        """1, then every so many, and always the last one."""
        count = len(self.writes)
        return sorted({*range(1, count + 1, EVERY), count})


@pytest.fixture(scope="module")
def proxy(request: pytest.FixtureRequest) -> Iterator[Proxy]:
    devcluster = request.getfixturevalue("devcluster")
    # Long enough for every pass that installs something to be followed by another one.
    devcluster.set_ready_after("500ms")
    with devcluster.proxy() as opened:
        yield opened
    devcluster.set_ready_after("1s")


@pytest.fixture(scope="module")
def platform(open_platform: OpenPlatform, proxy: Proxy) -> Iterator[Platform]:
    with open_platform(
        LEASE_SECONDS=1, TICK_SECONDS=1, RETRY_SECONDS="0.2,0.4,0.8", MAX_STORES_STARTING=100
    ) as opened:
        services.set_quota(opened.alice, 200, actor=TEST)
        yield opened


@pytest.fixture(scope="module")
def workers(platform: Platform, proxy: Proxy) -> Workers:
    return Workers(platform, proxy)


def undisturbed(workers: Workers, turn: Turn) -> Sweep:
    """The work done once in peace: what it writes, and what is there then."""
    before = len(workers.proxy.writes(turn.store.namespace))
    [turn] = workers.run([lambda: turn], 1)
    assert turn.codes == [0]
    writes = workers.proxy.writes(turn.store.namespace)[before:]
    sweep = Sweep(turn.store, [f"{write.verb} {write.path}" for write in writes])
    if turn.store.status == Status.READY:
        sweep.before = dump(workers.platform.admin, turn.store)
    return sweep


def swept(workers: Workers, sweep: Sweep, turns: list, at_once: int, what: str) -> Sweep:
    began = time.monotonic()
    sweep.turns = workers.run(turns, at_once)
    sweep.seconds = time.monotonic() - began
    killed = [turn for turn in sweep.turns if turn.death]
    print(f"{what}: K={len(sweep.writes)}, {len(killed)} killed, {sweep.seconds:.0f} s")
    return sweep


@pytest.fixture(scope="module")
def created(platform: Platform, workers: Workers) -> Sweep:
    # The first one also warms up what every one needs, so that it is not the one that is compared.
    undisturbed(workers, Turn(platform.create()))
    sweep = undisturbed(workers, Turn(platform.create()))
    turns = [partial(new_store, platform, k) for k in sweep.ks]
    return swept(workers, sweep, turns, AT_ONCE, "create")


def new_store(platform: Platform, k: int) -> Turn:
    return Turn(platform.create(), k)


def ready_stores(platform: Platform, workers: Workers, created: Sweep, count: int) -> list[Store]:
    """Those that were created; other work may make more writes, and then needs more of them."""
    stores = [turn.store for turn in created.turns]
    more = [partial(new_store, platform, 0)] * (count - len(stores))
    return [*stores, *(turn.store for turn in workers.run(more, AT_ONCE))][:count]


@pytest.fixture(scope="module")
def repaired(platform: Platform, workers: Workers, created: Sweep) -> Sweep:
    sweep = undisturbed(workers, damage(platform, Turn(created.store)))
    stores = ready_stores(platform, workers, created, len(sweep.ks))
    turns = [
        partial(damage, platform, Turn(store, k)) for store, k in zip(stores, sweep.ks, strict=True)
    ]
    return swept(workers, sweep, turns, AT_ONCE, "repair")


def damage(platform: Platform, turn: Turn) -> Turn:
    """Somebody takes away a guardrail and what the chart put there; a sweep has seen that."""
    store = turn.store
    turn.passwords = passwords(platform.admin, store)
    for kind, name in DAMAGE:
        platform.admin.delete(kind, name, store.namespace)
    assert services.repair_store(store, [drift.missing(kind, name) for kind, name in DAMAGE])
    store.refresh_from_db()
    return turn


@pytest.fixture(scope="module")
def deleted(platform: Platform, workers: Workers, created: Sweep, repaired: Sweep) -> Sweep:
    sweep = undisturbed(workers, delete(Turn(created.store)))
    stores = ready_stores(platform, workers, created, len(sweep.ks))
    turns = [partial(delete, Turn(store, k)) for store, k in zip(stores, sweep.ks, strict=True)]
    return swept(workers, sweep, turns, DELETIONS_AT_ONCE, "delete")


def delete(turn: Turn) -> Turn:
    services.delete_store(turn.store, actor=TEST, now=True)
    return turn


def test_a_store_is_the_same_whichever_write_its_worker_was_killed_after(
    platform: Platform, created: Sweep
) -> None:
    assert_all_were_killed(created)
    told = troubles(platform, created)
    assert not told, "\n".join(told)
    check_invariants(platform)


def test_a_store_is_put_right_whichever_write_its_worker_was_killed_after(
    platform: Platform, repaired: Sweep
) -> None:
    assert_all_were_killed(repaired)
    told = troubles(platform, repaired)
    assert not told, "\n".join(told)
    check_invariants(platform)


def test_a_store_is_gone_whichever_write_its_worker_was_killed_after(
    platform: Platform, deleted: Sweep
) -> None:
    assert_all_were_killed(deleted)
    left = [
        turn.name
        for turn in deleted.turns
        if turn.store.status != Status.DELETED or namespaces_of(platform.admin, turn.store)
    ]
    assert left == []
    check_invariants(platform)


def assert_all_were_killed(sweep: Sweep) -> None:
    """Or the tests would prove less than they say. How many passes a store needs may differ by one,
    so the last few writes need not come: then nobody was to be killed.
    """
    assert len(sweep.turns) == len(sweep.ks)
    assert [turn.name for turn in sweep.turns if turn.codes != expected(turn)] == []
    assert sum(1 for turn in sweep.turns if turn.death) >= 0.8 * len(sweep.ks)


def expected(turn: Turn) -> list[int]:
    return [KILLED, 0] if turn.rule and turn.rule.seen >= turn.k else [0]


def troubles(platform: Platform, sweep: Sweep) -> list[str]:
    return [
        f"{turn.name}: {trouble}"
        for turn in sweep.turns
        for trouble in trouble_of(platform, sweep, turn)
    ]


def trouble_of(platform: Platform, sweep: Sweep, turn: Turn) -> Iterator[str]:
    admin, store = platform.admin, turn.store
    if store.status != Status.READY:
        yield f"{store.status}: {store.sentence}"
    found = namespaces_of(admin, store)
    if [item["metadata"]["uid"] for item in found] != [store.namespace_uid]:
        yield f"{len(found)} namespaces"
    states = list(admin.revisions("store", store.namespace).values())
    if states.count("deployed") != 1 or UNFINISHED & set(states):
        yield f"the release is {states}"
    now = passwords(admin, store)
    if len(now) != 2 or {name: now.get(name) for name in turn.passwords} != turn.passwords:
        yield "other passwords"
    if helm := helm_processes(store.namespace):
        yield f"still at work: {helm}"
    yield from differences(sweep.before, dump(admin, store))
