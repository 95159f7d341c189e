"""An API server that misbehaves: every broken answer is "not now", and no watch ends over one."""

import json
import queue
import socket
import threading
import time

import pytest
import yaml

from provisioning.cluster import watching
from provisioning.cluster.api import Api, refusal
from provisioning.cluster.kubernetes import KubernetesCluster
from provisioning.cluster.watching import KindWatch
from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed


@pytest.fixture
def peer(tmp_path):
    """A server that does what the test says with each connection; and an Api that asks it."""
    server = socket.create_server(("127.0.0.1", 0))
    state = {"answer": b"", "asked": 0}

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            state["asked"] += 1
            with connection:
                connection.recv(65536)
                connection.sendall(state["answer"])

    threading.Thread(target=serve, daemon=True).start()

    def connect(scheme: str) -> Api:
        path = tmp_path / f"{scheme}.kubeconfig"
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }
        path.write_text(yaml.safe_dump(config))
        return Api.connect(str(path))

    yield connect, state
    server.close()


def answer(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + body


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        ("https", b""),
        ("https", b"not tls at all"),
        ("http", b""),
        ("http", b"nonsense"),
        ("http", answer(b'{"items": [', length=500)),
        ("http", answer(b"<html>a proxy</html>")),
        ("http", answer(b"no", "503 Service Unavailable")),
        ("http", answer(b"no", "429 Too Many Requests")),
    ],
)
def test_a_broken_answer_means_that_the_cluster_is_away(peer, scheme, said):
    connect, state = peer
    state["answer"] = said
    with pytest.raises(ClusterUnavailable):
        connect(scheme).request("GET", "/api/v1/namespaces")


def test_a_cluster_that_asks_for_a_pause_gets_it(peer):
    connect, state = peer
    state["answer"] = answer(b"no", "429 Too Many Requests\r\nRetry-After: 7")
    with pytest.raises(ClusterUnavailable) as refused:
        connect("http").request("GET", "/api/v1/namespaces")
    assert refused.value.retry_after == 7


REFUSED = {"message": 'ingresses is forbidden: User "a" cannot list resource "ingresses"'}


def test_what_we_may_not_see_is_not_taken_for_absent_and_the_log_names_it(
    peer, monkeypatch, caplog
):
    connect, state = peer
    cluster = KubernetesCluster(connect("http"), None, name="c", routes_traffic=True)
    state["answer"] = answer(json.dumps(REFUSED).encode(), "403 Forbidden")
    with pytest.raises(NotYet):
        cluster.routes("store-a")
    namespace = {"metadata": {"name": "store-a", "uid": "1"}}
    monkeypatch.setattr(cluster, "get", lambda *_: namespace)
    monkeypatch.setattr(cluster, "volumes_of", lambda _: [])
    assert [item["kind"] for item in cluster.inventory("store-a", "1")] == ["Namespace"]
    assert "store-a" in caplog.text and "Ingress, HTTPRoute" in caplog.text
    state["answer"] = answer(b"{}", "404 Not Found")
    assert cluster.routes("store-a") == []


@pytest.mark.parametrize(("scheme", "said"), [("https", b""), ("http", answer(b"{}"))])
def test_a_watch_outlives_answers_it_does_not_understand(peer, scheme, said):
    connect, state = peer
    state["answer"] = said
    over = threading.Event()
    watch = KindWatch(connect(scheme), "Deployment", queue.Queue(), over)
    thread = threading.Thread(target=watch.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while state["asked"] < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state["asked"] >= 3 and thread.is_alive()
    over.set()


def test_whoever_is_slow_in_taking_changes_holds_up_the_watch_and_not_the_memory(peer):
    """And when nobody takes any more, the watch ends all the same."""
    connect, state = peer
    item = {"metadata": {"name": "a", "namespace": "n", "resourceVersion": "1"}}
    events = [
        {"type": "ADDED", "object": {**item, "metadata": {**item["metadata"], "uid": str(n)}}}
        for n in range(9)
    ]
    over, changes = threading.Event(), queue.Queue(2)
    watch = KindWatch(connect("http"), "LimitRange", changes, over)
    state["answer"] = answer("\n".join(map(json.dumps, events)).encode() + b"\n")
    thread = threading.Thread(target=watch.follow, args=("1",), daemon=True)
    thread.start()
    assert len([changes.get(timeout=10) for _ in range(5)]) == 5
    time.sleep(0.2)
    assert changes.full() and thread.is_alive()
    over.set()
    thread.join(10)
    assert not thread.is_alive()


def test_the_changes_that_wait_are_limited(peer, monkeypatch):
    connect, state = peer
    made = []
    monkeypatch.setattr(watching, "MOST_WAITING", 3)
    monkeypatch.setattr(watching.KindWatch, "run", lambda watch: made.append(watch.changes))
    assert list(watching.watch(connect("http"), lambda: bool(made))) == []
    assert made[0].maxsize == 3


@pytest.mark.parametrize(
    ("status", "text", "means"),
    [
        (500, "failed calling webhook x: timeout", NotYet),
        (500, "etcdserver: leader changed", ClusterUnavailable),
        (401, "Unauthorized", ClusterUnavailable),
        (403, 'pods is forbidden: User "a" cannot list resource "pods"', NotYet),
        (403, "exceeded quota: store-quota", StepFailed),
        (422, "Invalid value", StepFailed),
    ],
)
def test_refusals_are_told_apart(status, text, means):
    assert type(refusal(status, json.dumps({"message": text}).encode(), "GET /x")) is means


def test_a_kubeconfig_that_is_not_there_is_said_with_the_way_out(tmp_path):
    with pytest.raises(ClusterMisconfigured, match="Set STOREYARD_KUBECONFIG"):
        Api.connect(str(tmp_path / "nowhere"))
