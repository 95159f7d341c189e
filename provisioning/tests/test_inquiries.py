"""What pages ask the cluster: answered once, by one, and forgotten whatever happens."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django_q.signing import SignedPackage

from provisioning import inquiries, tasks
from provisioning.cluster import get_cluster
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.engines import password
from provisioning.errors import ClusterUnavailable, NotYet
from provisioning.tests.conftest import deliver
from provisioning.watcher import Watcher
from stores import inquiries as asked
from stores import sealing
from stores.actor import Actor
from stores.errors import Refused
from stores.inquiry import Inquiry
from stores.messages import Message
from stores.models import Store

Kind = Inquiry.Kind


@pytest.fixture
def ready(store: Store, work: Callable[[Store], None]) -> Store:
    work(store)
    assert store.status == "ready"
    return store


def credentials(store: Store, actor: Actor) -> tuple[Inquiry, sealing.Key]:
    key = sealing.Key()
    return asked.ask_credentials(store, key.public, actor=actor), key


def in_secret(cluster: SimulatedCluster, store: Store) -> dict[str, str]:
    data = cluster.get("Secret", "store-wordpress", store.namespace)["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def opened(inquiry: Inquiry, key: sealing.Key) -> dict[str, str]:
    answered = asked.take(inquiry.pk)
    assert answered is not None and not answered.failure, answered and answered.failure
    return dict(json.loads(key.open(bytes(answered.sealed), inquiry.pk)))


# --- Credentials -------------------------------------------------------------------------


def test_who_asked_gets_the_password_that_is_in_the_secret_and_nobody_else_can_open_it(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    inquiry, key = credentials(ready, as_alice)
    deliver(cluster)
    row = Inquiry.objects.get(pk=inquiry.pk)
    secret = in_secret(cluster, ready)
    assert secret["admin-password"].encode() not in bytes(row.sealed)
    with pytest.raises(sealing.Broken):
        sealing.Key().open(bytes(row.sealed), inquiry.pk)
    with pytest.raises(sealing.Broken):  # as an answer to another question
        key.open(bytes(row.sealed), uuid4())
    shown = opened(inquiry, key)
    assert shown == {"user": secret["admin-user"], "password": secret["admin-password"]}


def test_an_answer_is_taken_once_and_nothing_of_it_is_left(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    inquiry, key = credentials(ready, as_alice)
    deliver(cluster)
    assert opened(inquiry, key)["password"]
    assert asked.take(inquiry.pk) is None
    assert not Inquiry.objects.exists()


def test_asking_is_in_the_history_exactly_once_and_no_secret_with_it(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    inquiry, key = credentials(ready, as_alice)
    deliver(cluster)
    password = opened(inquiry, key)["password"]
    (event,) = ready.audit_events.filter(action__startswith="store.reveal")
    assert (event.action, event.actor_id) == ("store.reveal", as_alice.user.pk)
    assert password not in str(event.details)


def test_a_question_of_a_store_that_has_no_shop_yet_is_refused_and_not_audited(
    store: Store, as_alice: Actor
) -> None:
    with pytest.raises(Refused, match="not set up yet"):
        credentials(store, as_alice)
    assert not store.audit_events.filter(action="store.reveal").exists()
    assert not Inquiry.objects.exists()


def test_a_store_that_is_deleted_while_somebody_waits_gives_nothing_away(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    inquiry, _key = credentials(ready, as_alice)
    Store.objects.filter(pk=ready.pk).update(status="deleting")
    inquiries.answer(inquiry.pk, cluster)
    assert asked.take(inquiry.pk).failure["code"] == "credentials-absent"


def test_the_secret_of_another_namespace_of_that_name_is_not_read(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    inquiry, _key = credentials(ready, as_alice)
    Store.objects.filter(pk=ready.pk).update(namespace_uid="another")
    inquiries.answer(inquiry.pk, cluster)
    row = asked.take(inquiry.pk)
    assert (row.failure["code"], bytes(row.sealed)) == ("credentials-absent", b"")


def test_a_secret_that_is_gone_is_said_to_be(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    cluster.delete("Secret", "store-wordpress", ready.namespace)
    inquiry, _key = credentials(ready, as_alice)
    inquiries.answer(inquiry.pk, cluster)
    assert asked.take(inquiry.pk).failure["code"] == "credentials-absent"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClusterUnavailable("away"), "inquiry-unavailable"),
        (NotYet(Message("access-pending")), "inquiry-refused"),
        (ValueError("hunter2"), "inquiry-failed"),
    ],
)
def test_why_there_is_no_answer_is_said_and_the_error_is_not(
    error: Exception, code: str, ready: Store, as_alice: Actor, cluster: SimulatedCluster,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def fails(*_: Any) -> None:
        raise error

    inquiry, _key = credentials(ready, as_alice)
    monkeypatch.setattr(cluster, "get", fails)
    with caplog.at_level(logging.DEBUG):
        assert inquiries.answer(inquiry.pk, cluster)
    row = asked.take(inquiry.pk)
    assert row.failure["code"] == code
    assert str(Message.from_json(row.failure)).endswith(".")
    assert "hunter2" not in caplog.text + str(row.failure)


def test_an_initial_password_is_192_random_bits_and_no_two_are_alike() -> None:
    made = {password() for _ in range(1000)}
    assert len(made) == 1000
    assert {len(base64.urlsafe_b64decode(one)) * 8 for one in made} == {192}


# --- Logs and events ---------------------------------------------------------------------


def ask(kind: Inquiry.Kind, store: Store, actor: Actor, **params: Any) -> Inquiry:
    return asked.ask(kind, store, actor=actor, params=params)


def test_a_log_is_answered_by_component(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    inquiry = ask(Kind.LOGS, ready, as_alice, component="web", lines=50)
    inquiries.answer_waiting(Kind.LOGS, cluster, threading.Event())
    ((name, text),) = asked.take(inquiry.pk).answer["logs"].items()
    assert name.startswith("store-web-") and name.endswith("/web")
    assert "no real container" in text


def test_events_are_answered(ready: Store, as_alice: Actor, cluster: SimulatedCluster) -> None:
    cluster.disturb("Deployment", "store-web", ready.namespace, "unready")
    inquiry = ask(Kind.EVENTS, ready, as_alice)
    inquiries.answer_waiting(Kind.EVENTS, cluster, threading.Event())
    (event,) = asked.take(inquiry.pk).answer["events"]
    assert event["reason"] == "Unhealthy"
    assert event["of"].startswith("Pod/store-web-")


# --- One answers, and nothing stays ------------------------------------------------------


def test_of_worker_and_watcher_one_answers(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    inquiry = ask(Kind.EVENTS, ready, as_alice)
    assert [inquiries.answer(inquiry.pk, cluster) for _ in range(3)] == [True, False, False]


@pytest.mark.django_db(transaction=True)
def test_of_many_who_answer_at_the_same_moment_one_does(store: Store, as_alice: Actor) -> None:
    inquiry = ask(Kind.EVENTS, store, as_alice)
    claims: list[bool] = []
    together = threading.Barrier(6)

    def claim() -> None:
        together.wait()
        claims.append(asked.claim(inquiry.pk) is not None)
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == [False] * 5 + [True]


def test_a_question_that_nobody_waits_for_any_more_is_not_answered(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    inquiry = ask(Kind.EVENTS, ready, as_alice)
    asked.withdraw(inquiry.pk)
    assert inquiries.answer(inquiry.pk, cluster) is False
    assert not Inquiry.objects.exists()


def test_whoever_dies_after_claiming_or_answering_leaves_nothing_for_longer_than_a_minute(
    ready: Store, as_alice: Actor, cluster: SimulatedCluster
) -> None:
    claimed = ask(Kind.EVENTS, ready, as_alice)
    asked.claim(claimed.pk)
    answered, _key = credentials(ready, as_alice)
    inquiries.answer(answered.pk, cluster)
    asked.forget_expired()
    assert Inquiry.objects.count() == 2
    Inquiry.objects.update(expires_at=Now() - timedelta(seconds=1))
    assert asked.claim(claimed.pk) is None
    tasks.reconcile()  # the clock
    assert not Inquiry.objects.exists()
    # And it can be asked again.
    inquiry, key = credentials(ready, as_alice)
    inquiries.answer(inquiry.pk, cluster)
    assert opened(inquiry, key)["password"]


def test_an_expired_question_is_thrown_away_by_the_next_who_asks(
    ready: Store, as_alice: Actor
) -> None:
    old = ask(Kind.EVENTS, ready, as_alice)
    Inquiry.objects.update(expires_at=Now() - timedelta(seconds=1))
    new = ask(Kind.EVENTS, ready, as_alice)
    assert list(Inquiry.objects.values_list("pk", flat=True)) == [new.pk] != [old.pk]


def test_the_task_of_a_question_carries_its_id_and_nothing_else(
    ready: Store, as_alice: Actor
) -> None:
    queued = apps.get_model("django_q", "OrmQ").objects.all()
    queued.delete()
    inquiry, _key = credentials(ready, as_alice)
    (task,) = (SignedPackage.loads(row.payload) for row in queued)
    assert (task["func"], task["args"]) == (f"{tasks.__name__}.answer_inquiry", (str(inquiry.pk),))
    # A page that is only looked at leaves nothing in the queue: the watcher looks by itself.
    queued.delete()
    ask(Kind.LOGS, ready, as_alice, component="web", lines=10)
    ask(Kind.EVENTS, ready, as_alice)
    assert not queued.exists()


def test_a_task_about_no_question_is_ignored(db: None, tmp_path: Path, settings: Any) -> None:
    settings.SIMULATED_CLUSTER_FILE = tmp_path / "empty.sqlite3"
    get_cluster.cache_clear()
    tasks.answer_inquiry("nonsense")
    tasks.answer_inquiry(str(uuid4()))


@pytest.mark.django_db(transaction=True)
def test_the_watcher_answers_while_no_worker_does(
    store: Store, work: Callable[[Store], None], cluster: SimulatedCluster, as_alice: Actor
) -> None:
    work(store)
    over = threading.Event()
    watcher = threading.Thread(target=Watcher(cluster).answer, args=(Kind.CREDENTIALS, over))
    watcher.start()
    try:
        inquiry, key = credentials(store, as_alice)
        answered = None
        for _ in range(100):
            if answered := asked.take(inquiry.pk):
                break
            over.wait(0.05)
    finally:
        over.set()
        watcher.join()
    assert answered is not None
    assert json.loads(key.open(bytes(answered.sealed), inquiry.pk))["password"]


def test_while_the_database_is_away_the_watcher_says_so_seldom_and_goes_on(
    db: None, cluster: SimulatedCluster, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, settings: Any,
) -> None:  # fmt: skip
    settings.INQUIRY_POLL_SECONDS = 0.001
    monkeypatch.setattr("provisioning.watcher.BEAT_SECONDS", 0.2)
    over, looks = threading.Event(), []

    def away(kind: str) -> list[UUID]:
        looks.append(kind)
        if len(looks) == 4:
            over.set()
        if len(looks) < 3:
            raise OperationalError("the database is away")
        return []

    monkeypatch.setattr(asked, "waiting", away)
    began = time.monotonic()
    Watcher(cluster).answer(Kind.LOGS, over)
    assert len(looks) == 4
    assert time.monotonic() - began > 0.4
    assert caplog.text.count("could not answer logs, because of the database") == 2
