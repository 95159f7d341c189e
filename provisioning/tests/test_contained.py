"""What somebody could do who reaches the queue's tables, or sends it what nobody means: nothing."""

from __future__ import annotations

import pickle
import time
import uuid
from base64 import b64encode
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ, Task
from django_q.signing import SignedPackage

from provisioning import tasks
from provisioning.checks import check_queue, check_worker
from provisioning.lease import Lease
from provisioning.tests.real_platform import until
from provisioning.tests.worker_rig import Rig
from stores import services
from stores.lifecycle import Status
from stores.models import Store

pytest_plugins = ["provisioning.tests.worker_rig"]


class Evil:
    """Runs a command in whoever unpickles it."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.proof,))


def test_the_trap_works(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Evil(tmp_path / "proof")))
    assert (tmp_path / "proof").exists()


# --- Tables ------------------------------------------------------------------------------


def lay_trap(proof: Path, task_id: str) -> None:
    """What one INSERT into the queue's table of results can do: they are not signed."""
    now = timezone.now()
    evil = b64encode(pickle.dumps(Evil(proof))).decode()
    for number, success in enumerate((True, False)):
        pk = f"{task_id[:31]}{number}"
        Task.objects.create(
            id=pk, name="x", func="x", started=now, stopped=now, success=success, attempt_count=1
        )
        table = Task._meta.db_table
        with connection.cursor() as cursor:
            for column in ("args", "kwargs", "result"):
                cursor.execute(f"UPDATE {table} SET {column} = %s WHERE id = %s", [evil, pk])


@pytest.mark.slow
def test_an_evil_result_in_the_queues_table_is_read_by_nobody(rig: Rig) -> None:
    """S22: no result is kept, so none is looked up; and none of our tasks ends in a failure."""
    proof = rig.folder / "proof"
    lay_trap(proof, uuid.uuid4().hex)
    worker = rig.start_worker()
    rig.wait_for(rig.create(), Status.READY)
    tasks.queue.prune()
    assert worker.stop() == 0
    assert not proof.exists()
    assert Task.objects.count() == 2, "nothing was added either"
    list(Task.objects.values_list("result"))
    assert proof.exists(), "or it would have been no trap"


@pytest.mark.slow
def test_a_task_that_is_signed_with_another_key_is_not_run(rig: Rig, monkeypatch) -> None:
    """S22: to put code into the queue one needs the SECRET_KEY, not only the database."""
    from django_q.conf import Conf

    proof = rig.folder / "proof"
    monkeypatch.setattr(Conf, "SECRET_KEY", "the attacker's")
    payload = SignedPackage.dumps({"id": "1", "name": "x", "func": "x", "args": (Evil(proof),)})
    monkeypatch.undo()
    OrmQ.objects.create(key="storeyard", payload=payload, lock=timezone.now())
    worker = rig.start_worker()
    until(lambda: not OrmQ.objects.filter(payload=payload).exists(), "it to be thrown away")
    rig.wait_for(rig.create(), Status.READY)
    assert worker.stop() == 0
    assert not proof.exists()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_web_process_needs_no_right_to_the_queues_results(alice, as_alice) -> None:
    """S22: with a role of its own that may only put tasks in, a store is created and deleted."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite knows no roles; on PostgreSQL by make test-postgres")
    role = f"web_{uuid.uuid4().hex[:8]}"
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {role}")
        cursor.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        )
        cursor.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        cursor.execute(f"REVOKE ALL ON django_q_task, django_q_schedule FROM {role}")
        cursor.execute(f"SET ROLE {role}")
    try:
        store = services.create_store(actor=as_alice, owner=alice, name="Anna", address="anna")
        services.delete_store(store, actor=as_alice)
        assert OrmQ.objects.count() == 2
        with pytest.raises(Exception, match="permission denied"):
            Task.objects.create(id="1", name="x", func="x", started=timezone.now())
        with pytest.raises(Exception, match="permission denied"):
            Task.objects.count()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET ROLE")
            cursor.execute(f"DROP OWNED BY {role}")
            cursor.execute(f"DROP ROLE {role}")


# --- Tasks -------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize(
    "argument", ["6f1c1d86-4c67-4d3f-9f0a-3d2f6f4f7d11", "nonsense", "", None, 7, ["a"]]
)
def test_a_ring_for_what_is_no_store_does_nothing(argument) -> None:
    """F18."""
    tasks.converge_store(argument)
    assert not OrmQ.objects.exists() and not Store.objects.exists()


def test_a_second_ring_is_over_in_a_moment(store: Store) -> None:
    """F11, F12: whoever comes second finds the lease taken, or nothing left to do."""
    lease = Lease.take(store.pk)
    assert lease
    began = time.monotonic()
    tasks.converge_store(str(store.pk))
    assert time.monotonic() - began < 1
    store.refresh_from_db()
    assert store.fence == lease.fence


def test_an_error_in_a_pass_is_not_the_queues_to_keep(store: Store, monkeypatch) -> None:
    """Its text could hold anything. The pass logs it, with a reference that the store shows."""

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(tasks.runner.Pass, "go", broken)
    tasks.converge_store(str(store.pk))
    store.refresh_from_db()
    assert store.message["code"] == "internal-error"
    assert "hunter2" not in str(store.message)


# --- Settings ----------------------------------------------------------------------------


def test_no_cache_is_shared_and_none_is_needed() -> None:
    """F29: each process has its own (Django's default), and nobody asks it whether a worker lives."""
    assert settings.CACHES["default"]["BACKEND"].endswith("LocMemCache")
    sources = [
        path
        for folder in ("portal", "provisioning", "stores")
        for path in (settings.BASE_DIR / folder).rglob("*.py")
        if "tests" not in path.parts
    ]
    assert len(sources) > 50
    assert [path for path in sources if "django_q.status" in path.read_text()] == []


def test_the_settings_as_shipped_need_no_warning() -> None:
    assert check_worker(None) == [] and check_queue(None) == []


def test_a_grace_that_is_shorter_than_helm_is_warned_of(settings) -> None:
    settings.HELM_SECONDS, settings.WORKER_GRACE_SECONDS = 100, 239
    [warning] = check_worker(None)
    assert warning.id == "provisioning.W001" and "may take (240)" in warning.msg


@pytest.mark.parametrize("name", ["HEARTBEAT_LIMIT_SECONDS", "WORKER_SILENT_SECONDS"])
def test_heartbeats_that_come_too_rarely_are_warned_of(settings, name) -> None:
    setattr(settings, name, settings.HEARTBEAT_SECONDS)
    assert [warning.id for warning in check_worker(None)] == ["provisioning.W002"]


def test_what_the_queue_must_be_told(settings) -> None:
    """F13, F20, F30, and the worker's own: each of these undone undoes a promise."""
    shipped = {
        "max_attempts": 1, "ack_failures": True, "catch_up": False, "save_limit": -1, "recycle": 0,
        "queue_limit": 1, "bulk": 1, "broker_class": "stores.queue.Doorbell",
    }  # fmt: skip
    assert shipped.items() <= settings.Q_CLUSTER.items()
