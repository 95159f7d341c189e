"""How to tell that a component is ready for work."""

import http.client
import ssl
from collections.abc import Callable

from devcluster.api import Api
from devcluster.errors import DevClusterError


def node_ready(api: Api, name: str) -> bool:
    conditions = api.get(f"/api/v1/nodes/{name}").get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def fenced(api: Api, user: str) -> bool:
    """Is the worker refused a namespace that is not a store's? A rehearsal only."""
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "not-a-store"}}
    try:
        api.create("/api/v1/namespaces?dryRun=All", namespace, as_user=user)
    except DevClusterError as refusal:
        return "ValidatingAdmissionPolicy" in str(refusal)
    return False


def _plain(path: str) -> Callable[[Api, int], bool]:
    return lambda _, port: _answers(http.client.HTTPConnection("127.0.0.1", port, timeout=5), path)


def _tls(path: str) -> Callable[[Api, int], bool]:
    # These certify themselves; nothing but the word "ok" is read.
    context = ssl._create_unverified_context()
    return lambda _, port: _answers(
        http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context), path
    )


def _answers(connection: http.client.HTTPConnection, path: str) -> bool:
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


CHECKS: dict[str, Callable[[Api, int], bool]] = {
    "etcd": _plain("/readyz"),
    "kube-apiserver": lambda api, _: api.ready(),
    "kube-controller-manager": _tls("/healthz"),
    "kube-scheduler": _tls("/healthz"),
    "kwok": _plain("/healthz"),
}
