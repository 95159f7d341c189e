"""The fault proxy, between kubectl or the Python client's own library and the real API server."""

import json
import threading
import time
from collections.abc import Iterator

import pytest
import urllib3

from devcluster import DevCluster, DevClusterError, Proxy, Request
from devcluster.faults import (
    WATCH,
    answer_lost,
    answered,
    slowed,
    stale,
    swallowed,
    watch_expired,
    watch_stalled,
)
from devcluster.testing import eventually

pytestmark = pytest.mark.cluster
NODE = "/api/v1/nodes/node-1"


@pytest.fixture
def proxy(running: DevCluster) -> Iterator[Proxy]:
    with running.proxy() as opened:
        yield opened


@pytest.fixture
def pool(running: DevCluster, proxy: Proxy) -> Iterator[urllib3.PoolManager]:
    """Asks through the proxy as the administrator does: with a token, as certificates end there."""
    token = running.kubectl("create", "token", "default", "--namespace", "kube-system").strip()
    running.kubectl(
        "create", "clusterrolebinding", "proxied", "--clusterrole=cluster-admin",
        "--serviceaccount=kube-system:default",
    )  # fmt: skip
    with urllib3.PoolManager(
        ca_certs=str(running.root / "identities" / "ca.crt"),
        headers={"Authorization": f"Bearer {token}"},
        retries=False,
        timeout=5,
    ) as manager:
        yield manager
    running.kubectl("delete", "clusterrolebinding", "proxied")


def test_what_no_rule_takes_is_passed_on_and_counted(running: DevCluster, proxy: Proxy) -> None:
    nodes = running.kubectl("get", "nodes", "-o", "name", kubeconfig=proxy.kubeconfig)
    assert nodes.split() == ["node/node-1"]
    [request] = proxy.seen(verb="GET", path=r"^/api/v1/nodes\?")
    assert request.status == 200
    assert request.agent.startswith("kubectl")


def test_the_token_is_passed_through(running: DevCluster, proxy: Proxy) -> None:
    who = running.kubectl(
        "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}", kubeconfig=proxy.kubeconfig
    )
    assert who == "system:serviceaccount:portal-system:portal-worker"


def test_only_the_nth_request_of_its_kind_meets_the_fault(
    proxy: Proxy, pool: urllib3.PoolManager
) -> None:
    rule = proxy.rule(answered(503), path=NODE, nth=2)
    statuses = [pool.request("GET", proxy.server + NODE).status for _ in range(3)]
    pool.request("GET", f"{proxy.server}/version")
    assert statuses == [200, 503, 200]
    assert rule.seen == 3


def test_a_refusal_says_what_the_api_server_would_say(
    proxy: Proxy, pool: urllib3.PoolManager
) -> None:
    proxy.rule(answered(429, retry_after=7), path=NODE)
    refused = pool.request("GET", proxy.server + NODE)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "7")
    assert refused.json()["reason"] == "TooManyRequests"


def test_a_rule_ends_with_its_block(proxy: Proxy, pool: urllib3.PoolManager) -> None:
    with proxy.ruled(answered(500), verb="GET"):
        assert pool.request("GET", proxy.server + NODE).status == 500
    assert pool.request("GET", proxy.server + NODE).status == 200


def test_a_slow_answer_comes_late_and_whole(proxy: Proxy, pool: urllib3.PoolManager) -> None:
    proxy.rule(slowed(0.5), path=NODE)
    began = time.monotonic()
    assert pool.request("GET", proxy.server + NODE).json()["metadata"]["name"] == "node-1"
    assert time.monotonic() - began >= 0.5


def test_a_black_hole_takes_the_request_and_answers_nothing(
    proxy: Proxy, pool: urllib3.PoolManager
) -> None:
    proxy.rule(swallowed, path=NODE)
    with pytest.raises(urllib3.exceptions.ReadTimeoutError):
        pool.request("GET", proxy.server + NODE, timeout=0.5)
    [request] = proxy.seen(path=NODE)
    assert request.status == 0


def test_a_request_whose_answer_is_lost_was_done(
    running: DevCluster, proxy: Proxy, pool: urllib3.PoolManager, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    proxy.rule(answer_lost, verb="POST", path=path)
    with pytest.raises(urllib3.exceptions.ProtocolError):
        create_config(pool, proxy, path, "lost")
    assert running.api.exists(f"{path}/lost")
    assert [request.status for request in proxy.writes(path)] == [201]


def test_a_function_runs_between_the_kth_write_and_its_answer(
    running: DevCluster, proxy: Proxy, pool: urllib3.PoolManager, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    there: list[tuple[Request, bool]] = []

    def look(request: Request) -> None:
        there.append((request, running.api.exists(f"{path}/second")))

    proxy.after_answer(look, path=namespace, nth=2)
    # What the API server refuses changes nothing, and is no write.
    for name in ("first", "First!", "second", "third"):
        create_config(pool, proxy, path, name)
    [(request, done)] = there
    assert (request.verb, request.status, done) == ("POST", 201, True)
    assert len(proxy.writes(namespace)) == 3


def test_a_watch_is_streamed_and_can_be_cut(
    running: DevCluster, proxy: Proxy, pool: urllib3.PoolManager, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    stream = open_watch(pool, proxy, path)
    create_config(pool, proxy, path, "seen")
    names = []
    while "seen" not in names:
        names.append(json.loads(stream.readline())["object"]["metadata"]["name"])
    assert proxy.seen(verb=WATCH, path=path)[0].status == 200
    threading.Timer(0.2, proxy.cut).start()
    with pytest.raises((urllib3.exceptions.HTTPError, OSError)):
        while stream.readline():
            pass
        raise OSError("ended")
    assert eventually(lambda: pool.request("GET", proxy.server + NODE).status == 200)


def test_a_stalled_watch_is_open_and_silent(
    proxy: Proxy, pool: urllib3.PoolManager, namespace: str
) -> None:
    proxy.rule(watch_stalled, verb=WATCH)
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    stream = open_watch(pool, proxy, path, seconds=0.5)
    create_config(pool, proxy, path, "unseen")
    with pytest.raises((urllib3.exceptions.ReadTimeoutError, TimeoutError)):
        stream.readline()


def test_an_expired_watch_says_so_in_its_stream(
    proxy: Proxy, pool: urllib3.PoolManager, namespace: str
) -> None:
    proxy.rule(watch_expired, verb=WATCH)
    stream = open_watch(pool, proxy, f"/api/v1/namespaces/{namespace}/configmaps")
    event = json.loads(stream.read())
    assert (event["type"], event["object"]["code"]) == ("ERROR", 410)


def test_a_stale_answer_is_the_first_one_again(
    running: DevCluster, proxy: Proxy, pool: urllib3.PoolManager, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/changing"
    create_config(pool, proxy, path.rpartition("/")[0], "changing")
    with proxy.ruled(stale(), verb="GET"):
        before = pool.request("GET", proxy.server + path).json()
        running.kubectl("delete", "configmap", "changing", "--namespace", namespace)
        assert pool.request("GET", proxy.server + path).json() == before
    assert pool.request("GET", proxy.server + path).status == 404


def test_helm_works_through_the_proxy(running: DevCluster, proxy: Proxy) -> None:
    with pytest.raises(DevClusterError, match='cannot list resource "secrets"'):
        running.helm("status", "nothing", kubeconfig=proxy.kubeconfig)
    assert any(request.agent.startswith("Helm/") for request in proxy.requests)


def create_config(pool: urllib3.PoolManager, proxy: Proxy, path: str, name: str) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    pool.request("POST", proxy.server + path, json=manifest)


def open_watch(
    pool: urllib3.PoolManager, proxy: Proxy, path: str, seconds: float = 10
) -> urllib3.BaseHTTPResponse:
    return pool.request(
        "GET", f"{proxy.server}{path}?watch=true", preload_content=False, timeout=seconds
    )
