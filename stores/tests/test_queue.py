"""What may be put into the queue, and how it is taken out again."""

from __future__ import annotations

import ast
import os
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.brokers import get_broker
from django_q.models import Failure, OrmQ, Schedule, Success, Task
from django_q.scheduler import scheduler
from django_q.signing import SignedPackage
from django_q.tasks import async_task

from stores import queue
from stores.models import Store
from stores.services import create_store
from stores.tests.test_services import in_parallel

CONVERGE = "provisioning.tasks.converge_store"


@pytest.fixture
def store(alice, as_alice) -> Store:
    store = create_store(actor=as_alice, owner=alice, name="Anna", address="anna")
    OrmQ.objects.all().delete()
    return store


def messages() -> list[dict]:
    return [SignedPackage.loads(row.payload) for row in OrmQ.objects.order_by("pk")]


# --- What goes in ------------------------------------------------------------------------


def test_a_task_carries_the_name_of_a_function_and_an_id_and_nothing_else(store):
    queue.ring(store.pk)
    [message] = messages()
    assert (message["func"], message["args"], message["kwargs"]) == (CONVERGE, (str(store.pk),), {})
    assert "hook" not in message and "chain" not in message


@pytest.mark.parametrize("name", [queue.CONVERGE, queue.HEARTBEAT])
def test_every_task_that_is_queued_is_there(name):
    assert callable(import_string(name))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "argument", [object(), ["a"], {"a": 1}, b"bytes", datetime.now(UTC), uuid.uuid4()]
)
def test_what_is_more_than_a_number_or_a_text_is_no_argument(argument):
    """An object would be pickled, and fail at the next deployment that renames its class: F18, S21."""
    for arguments in ({"args": [argument]}, {"kwargs": {"store": argument}}):
        with pytest.raises(ValueError, match="something else than ids"):
            async_task(CONVERGE, *arguments.get("args", ()), **arguments.get("kwargs", {}))
    assert not OrmQ.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "task",
    [("os.system", "true"), (os.system, "true"), ("stores.services.delete_store", "1")],
)
def test_only_tasks_of_ours_are_queued(task):
    with pytest.raises(ValueError, match="no task of Storeyard's"):
        async_task(*task)
    assert not OrmQ.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("option", ["hook", "chain"])
def test_a_task_calls_nothing_afterwards(option):
    with pytest.raises(ValueError, match="no task of Storeyard's"):
        async_task(CONVERGE, "1", **{option: "os.system"})


def test_only_the_doorbell_queues_anything():
    """And it does so with ids only: the calls are read, whoever makes them."""
    calls = {}
    for path in settings.BASE_DIR.glob("*/**/*.py"):
        if {".venv", "tests", "bench"} & set(path.relative_to(settings.BASE_DIR).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("async_task"):
                calls.setdefault(relative(path), []).append(ast.unparse(node))
    assert calls == {
        "stores/queue.py": [
            "async_task(CONVERGE, str(store_id), q_options={'broker': Doorbell(delay=seconds)})",
            "async_task(ANSWER, str(inquiry_id))",
            "async_task(SEND_LETTERS)",
            "async_task(HEARTBEAT, q_options={'cluster': group})",
        ]
    }


def relative(path: Path) -> str:
    return str(path.relative_to(settings.BASE_DIR))


# --- Schedules ---------------------------------------------------------------------------


def schedule(name: str, **changes: object) -> Schedule:
    due = timezone.now() - timedelta(hours=12)
    fields = {
        "func": "provisioning.tasks.reconcile",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
    }
    return Schedule.objects.create(name=name, next_run=due, repeats=-1, **fields | changes)


@pytest.mark.django_db(transaction=True)
def test_a_schedule_that_names_something_else_runs_nothing(tmp_path):
    """S23: whoever can write that row could otherwise run any function of Python's."""
    proof = tmp_path / "proof"
    schedule("evil", func="os.system", args=f"'touch {proof}'")
    scheduler()
    assert not OrmQ.objects.exists()
    assert not proof.exists()


@pytest.mark.django_db(transaction=True)
def test_a_clock_that_stood_still_for_twelve_hours_strikes_once():
    """F20."""
    reconcile = schedule("reconcile")
    for _ in range(3):
        scheduler()
    assert [message["func"] for message in messages()] == ["provisioning.tasks.reconcile"]
    reconcile.refresh_from_db()
    assert reconcile.next_run > timezone.now()


@pytest.mark.django_db(transaction=True)
def test_two_queues_at_the_same_schedule_strike_once():
    """F21. Each holds the row while it looks (PostgreSQL), or the database (SQLite)."""
    schedule("reconcile")
    assert in_parallel(2, lambda n: scheduler()) == [None, None]
    # Two may look one after the other; the second finds that it is not due any more.
    assert len(messages()) == 1


# --- What comes out ----------------------------------------------------------------------


def delivered(broker: object) -> list[int]:
    return [pk for pk, _ in broker.dequeue() or []]  # type: ignore[attr-defined]


def test_the_oldest_ring_is_delivered_first(store, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "poll": 0}
    for _ in range(3):
        queue.ring(store.pk)
    rows = list(OrmQ.objects.order_by("pk").values_list("pk", flat=True))
    broker = get_broker()
    assert [*delivered(broker), *delivered(broker), *delivered(broker)] == rows
    assert delivered(broker) == [], "each once"


def test_a_ring_for_later_is_counted_now_and_heard_then(store, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "poll": 0}
    rings = store.rings
    OrmQ.objects.all().delete()
    queue.ring(store.pk, seconds=3600)
    store.refresh_from_db()
    assert store.rings == rings + 1
    assert delivered(get_broker()) == []
    OrmQ.objects.update(lock=F("lock") - timedelta(seconds=3600))
    assert len(delivered(get_broker())) == 1


def test_a_heartbeat_is_heard_by_its_own_group_only_and_before_everything_else(store, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "poll": 0}
    queue.ring(store.pk)
    queue.send_heartbeat("ours")
    ring, heartbeat = OrmQ.objects.order_by("pk").values_list("pk", flat=True)
    settings.WORKER_GROUP = "theirs"
    assert [*delivered(get_broker()), *delivered(get_broker())] == [ring]
    OrmQ.objects.update(lock=Now())
    settings.WORKER_GROUP = "ours"
    assert [*delivered(get_broker()), *delivered(get_broker())] == [heartbeat, ring]


def test_a_heartbeat_is_out_until_it_is_acknowledged(db, settings):
    settings.WORKER_GROUP = "ours"
    queue.send_heartbeat("ours")
    assert queue.heartbeat_is_out("ours") and not queue.heartbeat_is_out("theirs")
    [pk] = delivered(get_broker())
    assert queue.heartbeat_is_out("ours")
    get_broker().acknowledge(pk)
    assert not queue.heartbeat_is_out("ours")


def test_the_clock_of_a_machine_moves_nothing_in_the_queue(store, settings, monkeypatch):
    """F28: hidden and shown again by the database's clock, whatever this process thinks it is."""
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "poll": 0}
    for hours in (-12, 12):
        later = timezone.now() + timedelta(hours=hours)
        monkeypatch.setattr(timezone, "now", lambda later=later: later)
        queue.ring(store.pk)
        assert len(delivered(get_broker())) == 1
        assert delivered(get_broker()) == []
    monkeypatch.undo()
    OrmQ.objects.update(lock=F("lock") - timedelta(seconds=settings.Q_CLUSTER["retry"] + 1))
    assert len(delivered(get_broker())) == 1


@pytest.mark.django_db(transaction=True)
def test_of_eight_who_reach_for_a_task_at_once_one_gets_it(store, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "poll": 0}
    queue.ring(store.pk)
    taken: list[int] = []
    assert in_parallel(8, lambda n: taken.extend(delivered(get_broker()))) == [None] * 8
    assert len(taken) == 1


def test_another_secret_key_cannot_read_it_and_throws_it_away(store, settings, monkeypatch):
    """F17: that is the queue's way. The ring stays counted on the row, and the clock delivers it."""
    from django_q.conf import Conf

    queue.ring(store.pk)
    monkeypatch.setattr(Conf, "SECRET_KEY", "another")
    [row] = OrmQ.objects.all()
    with pytest.raises(Exception, match="does not match"):
        SignedPackage.loads(row.payload)
    row.delete()
    store.refresh_from_db()
    assert store.rings >= 1
    assert Store.objects.due().filter(pk=store.pk).exists()


# --- Together with the row ---------------------------------------------------------------


def test_a_store_and_its_task_are_there_together_or_not_at_all(alice, as_alice):
    """F22, F23: between the two there is no moment to be killed in."""

    class Killed(BaseException):
        pass

    with pytest.raises(Killed), transaction.atomic():
        create_store(actor=as_alice, owner=alice, name="Anna", address="anna")
        assert OrmQ.objects.count() == 1
        raise Killed
    assert not Store.objects.exists() and not OrmQ.objects.exists()
    create_store(actor=as_alice, owner=alice, name="Anna", address="anna")
    assert Store.objects.count() == OrmQ.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_nobody_sees_the_task_before_the_store(alice, as_alice):
    """F23: another connection, which looks before the transaction is over."""
    seen = []
    with transaction.atomic():
        create_store(actor=as_alice, owner=alice, name="Anna", address="anna")
        in_parallel(1, lambda n: seen.append((Store.objects.count(), OrmQ.objects.count())))
    assert seen == [(0, 0)]


# --- What is left behind -----------------------------------------------------------------


def failure(**age: int) -> str:
    moment = timezone.now() - timedelta(**age)
    return Task.objects.create(
        id=uuid.uuid4().hex, name="a", func=CONVERGE, started=moment, stopped=moment, success=False
    ).pk


def test_old_failures_and_heartbeats_of_dead_groups_are_thrown_away(store):
    """F30."""
    recent = failure(days=6)
    for _ in range(3):
        failure(days=8)
    queue.ring(store.pk)
    queue.send_heartbeat("dead")
    OrmQ.objects.update(lock=Now() - timedelta(days=2))
    queue.prune()
    assert list(Failure.objects.values_list("pk", flat=True)) == [recent]
    assert list(OrmQ.objects.values_list("key", flat=True)) == ["storeyard"], "a ring is never old"


def test_throwing_away_reads_no_pickles(db, django_assert_num_queries):
    """F30, S22: an evil row is deleted unread."""
    failure(days=8)
    Task.objects.update(args="not a pickle", result="not a pickle")
    with django_assert_num_queries(2):
        queue.prune()
    assert not Task.objects.exists()


def test_successes_are_not_kept():
    """F30: else each would be read again, and unpickled, at every task that ends."""
    assert settings.Q_CLUSTER["save_limit"] == -1
    assert Success._meta.proxy
