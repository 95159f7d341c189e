"""What pages ask, answered from a real control plane, whatever the workers have in their hands."""

from __future__ import annotations

import base64
import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.db.models.functions import Now

from devcluster import binaries
from provisioning.cluster import telling
from provisioning.cluster.kubernetes import KubernetesCluster
from provisioning.tests.real_platform import OpenPlatform, Platform, until
from provisioning.tests.trouble_kit import Ground, workload
from provisioning.tests.trouble_kit import until as eventually
from stores import inquiries, sealing
from stores.actor import Actor
from stores.inquiry import Inquiry
from stores.lifecycle import Status
from stores.models import Store

if TYPE_CHECKING:
    from devcluster.proxy import Exchange

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures", "provisioning.tests.trouble_fixtures"]


def reveal(platform: Platform, store: Store) -> tuple[dict[str, str], float]:
    """What is in the answer, and how many seconds it took."""
    key, began = sealing.Key(), time.monotonic()
    actor = Actor(platform.alice, "test")
    inquiry = inquiries.ask_credentials(store, key.public, actor=actor)
    answer = until(lambda: inquiries.take(inquiry.pk), "an answer")
    assert not answer.failure
    took = time.monotonic() - began
    return json.loads(key.open(bytes(answer.sealed), inquiry.pk)), took


def in_secret(platform: Platform, store: Store) -> dict[str, str]:
    found = platform.cluster.get("Secret", "store-wordpress", store.namespace)
    assert found is not None
    data = {key: base64.b64decode(value).decode() for key, value in found["data"].items()}
    return {"user": data["admin-user"], "password": data["admin-password"]}


def test_a_password_is_there_within_three_seconds_while_both_workers_hold_a_helm(
    open_platform: OpenPlatform,
) -> None:
    with open_platform(WORKERS=2) as platform:
        platform.start_worker()
        platform.start_watcher()
        store = platform.wait_for(platform.create(), Status.READY)
        with platform.helm_held():
            others = [platform.create(f"Shop {number}") for number in range(2)]
            for other in others:
                until(
                    lambda one=other: platform.helm_runs(one.namespace), "both workers to be busy"
                )
            shown, took = reveal(platform, store)
            busy = [Store.objects.get(pk=other.pk).lease_owner for other in others]
            assert all(busy), "a worker was free"
        assert shown == in_secret(platform, store)
        assert took < 3
        assert not Inquiry.objects.exists()
        for other in others:
            platform.wait_for(other, Status.READY)


def test_a_worker_answers_where_no_watcher_runs_and_whoever_dies_leaves_nothing(
    platform: Platform,
) -> None:
    worker, watcher = platform.start_worker(), platform.start_watcher()
    store = platform.wait_for(platform.create(), Status.READY)
    watcher.kill()
    shown, _took = reveal(platform, store)
    assert shown == in_secret(platform, store)
    # One question was claimed by somebody who died of it; the answer to another is for a process
    # that is no more.
    actor = Actor(platform.alice, "test")
    lost = inquiries.ask(Inquiry.Kind.EVENTS, store, actor=actor)
    assert inquiries.claim(lost.pk)
    orphan = inquiries.ask_credentials(store, sealing.Key().public, actor=actor)
    answered = Inquiry.objects.filter(pk=orphan.pk, answered_at__isnull=False)
    until(answered.exists, "an answer that nobody takes")
    worker.kill()
    Inquiry.objects.update(expires_at=Now() - timedelta(seconds=1))
    platform.start_watcher()
    until(lambda: not Inquiry.objects.exists(), "the clock to forget both")
    shown, _took = reveal(platform, store)
    assert shown == in_secret(platform, store)


# --- Logs --------------------------------------------------------------------------------


def through_proxy(proxy: Any) -> KubernetesCluster:
    return KubernetesCluster.from_kubeconfig(str(proxy.kubeconfig), helm=str(binaries() / "helm"))


def running(ground: Ground) -> str:
    """A pod whose container has started: "pod/container"."""
    ground.make(workload("StatefulSet", "store-db"))
    return str(next(iter(eventually(lambda: ground.cluster.logs(ground.namespace, "", 10))), ""))


def test_a_log_is_redacted_and_of_as_many_lines_as_were_asked_for(ground: Ground) -> None:
    name = running(ground)

    def wrote(exchange: Exchange) -> None:
        """What a kubelet answers: kwok, which is none, has no logs."""
        text = "one\nDB_PASSWORD=hunter2\n<script>alert(1)</script>\x1b[2J\n"
        exchange.answer(200, text.encode(), {"Content-Type": "text/plain"})

    with ground.devcluster.proxy() as proxy, proxy.ruled(wrote, path="/log"):
        logs = through_proxy(proxy).logs(ground.namespace, "", 77)
        (asked,) = proxy.seen(path="/log")
    assert set(logs) == {name}
    assert "tailLines=77" in asked.path and "previous" not in asked.path
    assert logs[name].startswith("one\n")
    assert "hunter2" not in logs[name] and "\x1b" not in logs[name]
    assert "<script>" in logs[name]  # as text: it is for the page to escape it


def test_of_a_log_of_endless_lines_fewer_are_read_and_no_more_than_fits(ground: Ground) -> None:
    name = running(ground)
    line = b"word " * 4000 + b"\n"

    def wrote(exchange: Exchange) -> None:
        asked = int(exchange.request_seen.path.partition("tailLines=")[2].partition("&")[0])
        # As the server does: from the first of the lines, as far as the limit goes.
        text = (line * asked)[: telling.LOG_BYTES - 5] if asked < 10 else line * asked
        exchange.answer(200, text[: telling.LOG_BYTES] + b"", {"Content-Type": "text/plain"})

    with ground.devcluster.proxy() as proxy, proxy.ruled(wrote, path="/log"):
        logs = through_proxy(proxy).logs(ground.namespace, "", 300)
        asked = [request.path for request in proxy.seen(path="/log")]
    assert [path.partition("tailLines=")[2].partition("&")[0] for path in asked] == [
        "300", "37", "4",
    ]  # fmt: skip
    assert 0 < len(logs[name]) <= telling.LOG_CHARACTERS


def test_a_node_that_does_not_answer_leaves_the_log_empty(ground: Ground) -> None:
    name = running(ground)

    def silent(exchange: Exchange) -> None:
        exchange.answer(502, b"no route to the node", {"Content-Type": "text/plain"})

    with ground.devcluster.proxy() as proxy, proxy.ruled(silent, path="/log"):
        assert through_proxy(proxy).logs(ground.namespace, "", 10) == {name: ""}
