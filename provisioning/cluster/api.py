"""The Kubernetes API as raw JSON over the official client's connection: its credentials, TLS and
token rotation without its model classes, which cost ten times the CPU of the JSON itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed
from provisioning.redaction import one_line
from stores.messages import Message

# Every call: seconds to connect, seconds between two pieces of the answer. The client's default is
# to wait for ever.
TIMEOUT = (3.0, 20.0)
FIELD_MANAGER = "storeyard"
APPLY = "application/apply-patch+yaml"
JSON = "application/json"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

# kind: (path of its API group and version, name in the path, lives in a namespace)
KINDS: dict[str, tuple[str, str, bool]] = {
    "Namespace": ("/api/v1", "namespaces", False),
    "Node": ("/api/v1", "nodes", False),
    "PersistentVolume": ("/api/v1", "persistentvolumes", False),
    "StorageClass": ("/apis/storage.k8s.io/v1", "storageclasses", False),
    "ConfigMap": ("/api/v1", "configmaps", True),
    "Event": ("/api/v1", "events", True),
    "LimitRange": ("/api/v1", "limitranges", True),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims", True),
    "Pod": ("/api/v1", "pods", True),
    "ResourceQuota": ("/api/v1", "resourcequotas", True),
    "Secret": ("/api/v1", "secrets", True),
    "Service": ("/api/v1", "services", True),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True),
    "Deployment": ("/apis/apps/v1", "deployments", True),
    "ReplicaSet": ("/apis/apps/v1", "replicasets", True),
    "StatefulSet": ("/apis/apps/v1", "statefulsets", True),
    "CronJob": ("/apis/batch/v1", "cronjobs", True),
    "Job": ("/apis/batch/v1", "jobs", True),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases", True),
    "Ingress": ("/apis/networking.k8s.io/v1", "ingresses", True),
    "HTTPRoute": ("/apis/gateway.networking.k8s.io/v1", "httproutes", True),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies", True),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings", True),
    "IngressClass": ("/apis/networking.k8s.io/v1", "ingressclasses", False),
}


def path_of(kind: str, name: str = "", namespace: str = "") -> str:
    """The URL path of one object, or of all of a kind (in a namespace, or in all)."""
    prefix, plural, namespaced = KINDS[kind]
    inside = f"/namespaces/{namespace}" if namespaced and namespace else ""
    return f"{prefix}{inside}/{plural}" + (f"/{name}" if name else "")


class NotFound(Exception):
    """404 from the API server itself."""


class Conflict(Exception):
    """409: it exists already, or it is not the object we meant. The text is the server's."""


class Api:
    """One connection pool to one API server."""

    def __init__(self, client: Any) -> None:
        self.client = client

    @classmethod
    def connect(cls, kubeconfig: str = "") -> Api:
        """With a kubeconfig file, or as the ServiceAccount of the pod this runs in."""
        # Importing the client takes seconds: only processes that talk to a cluster pay for it.
        from kubernetes import client, config

        configuration = client.Configuration()
        try:
            if kubeconfig:
                config.load_kube_config(
                    config_file=kubeconfig,
                    client_configuration=configuration,
                    persist_config=False,
                )
            else:
                config.load_incluster_config(client_configuration=configuration)
        except (config.ConfigException, OSError) as error:
            raise ClusterMisconfigured(
                f"No usable cluster credentials ({error}). Set STOREYARD_KUBECONFIG to a kubeconfig "
                "file, or run inside the cluster with a ServiceAccount."
            ) from None
        # The default tries every GET three more times, each with the full timeout.
        configuration.retries = False
        # A watch of each kind beside the calls that are made meanwhile.
        configuration.connection_pool_maxsize = 32
        return cls(client.ApiClient(configuration))

    def request(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The answer as a dict; ``options`` as for ``open``.

        Raises NotFound, Conflict or one of ``provisioning.errors``.
        """
        response = self.open(method, path, **options)
        from urllib3.exceptions import HTTPError

        try:
            data = response.read()
        except (HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{method} {path}: {error}") from error
        if response.status < 300:
            return whole(data, f"{method} {path}")
        raise refusal(response.status, data, f"{method} {path}", retry_after(response))

    def open(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: tuple[float, float] = TIMEOUT,
    ) -> Any:
        """The response, its body not yet read: for watches."""
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        method, url, headers, _, _ = self.client.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params={"Accept": accept, "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        # The client serialises JSON itself and takes anything else as text.
        plain = content_type.endswith("json")
        payload = body if body is None or plain else as_yaml(body)
        try:
            return self.client.call_api(
                method, url, header_params=headers, body=payload, _request_timeout=timeout
            )
        # The client's own ApiException: what it makes of a broken TLS connection.
        except (HTTPError, OSError, ApiException) as error:
            raise ClusterUnavailable(f"{method} {path}: {error}") from error

    def objects(self, kind: str, namespace: str = "", **query: Any) -> list[dict[str, Any]]:
        """All objects of a kind; they are asked for page by page."""
        return [item for page in self.pages(kind, namespace, **query) for item in page["items"]]

    def objects_with_version(
        self, kind: str, namespace: str = "", **query: Any
    ) -> tuple[list[dict[str, Any]], str]:
        """The objects, and the resourceVersion a watch may go on from."""
        pages = list(self.pages(kind, namespace, **query))
        items = [item for page in pages for item in page["items"]]
        return items, pages[-1].get("metadata", {}).get("resourceVersion", "")

    def pages(
        self, kind: str, namespace: str = "", *, accept: str = JSON, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """The pages of a list, for whom the whole of it would be too much memory."""
        query = {"limit": 500, **query}
        while True:
            page = self.request(
                "GET", path_of(kind, namespace=namespace), query=query, accept=accept
            )
            more = page.get("metadata", {}).get("continue")
            # Items of a list carry no kind of their own.
            yield {**page, "items": [{**item, "kind": kind} for item in page.get("items") or []]}
            if not more:
                return
            query["continue"] = more


def as_yaml(value: Any) -> bytes:
    """JSON that is read as YAML too, which knows no surrogate pairs: what lies beyond the basic
    plane (emoji) stays as it is, the rest is escaped (YAML takes not every character as it is).
    """
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(
        r"[^\x20-\x7e\U00010000-\U0010ffff]", lambda found: f"\\u{ord(found[0]):04x}", text
    ).encode()


def whole(data: bytes, what: str) -> dict[str, Any]:
    """The object in an answer; one that is cut off is no answer."""
    try:
        return dict(json.loads(data)) if data else {}
    except ValueError as error:
        raise ClusterUnavailable(f"{what}: the answer is not whole") from error


def retry_after(response: Any) -> float:
    """Seconds that an overloaded server asks for; 0 where it does not say."""
    header = str(response.getheaders().get("Retry-After", ""))
    return float(header) if header.isdigit() else 0.0


def refusal(status: int, data: bytes, what: str, retry_after: float = 0.0) -> Exception:
    """The exception that stands for an answer of 300 or more."""
    try:
        answer = json.loads(data)
        text = str(answer.get("message", ""))
    except ValueError:
        text = data[:300].decode(errors="replace")
    text = text or f"{what}: HTTP {status}"
    if status == 404:
        # A namespace that is not there makes every create in it a 404 as well.
        return NotFound(text)
    if status == 409:
        return Conflict(text)
    # One store's admission that does not answer is not an outage for all.
    if status >= 500 and "webhook" in text:
        return NotYet(Message("busy"), text)
    if status in (401, 408, 429) or status >= 500:
        return ClusterUnavailable(f"{what}: HTTP {status}: {text}", retry_after)
    return denial(text)


def denial(text: str) -> NotYet | StepFailed:
    """What a refusal in words means for a store: wait a little, or it will not work like this."""
    if "being terminated" in text:
        return NotYet(Message("namespace-terminating", {"remaining": "it is being emptied"}))
    if "status unknown for quota" in text:
        return NotYet(Message("quota-pending"), text)
    # RBAC says «User "…" cannot patch resource …»; admission (quota, policies) says it otherwise.
    # The binding we just made takes a moment to be known.
    if re.search(r'User "[^"]*" cannot ', text):
        return NotYet(Message("access-pending"), text)
    return StepFailed(Message("rejected", {"reason": one_line(text, 500)}))
