"""What the portal's worker may do in a cluster, and everything it may not.

Each refusal is asked for with the worker's own token against a real API server,
with the rights and the policy exactly as the chart installs them.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import DevCluster, DevClusterError
from devcluster.testing import eventually, require_programs

pytestmark = pytest.mark.cluster
CHART = Path(__file__).parents[1]
TINY_STORE = Path(__file__).with_name("tiny-store.yaml")
POLICY = "ValidatingAdmissionPolicy"
RBAC = "Forbidden.*cannot"
# Of every store here, and in tiny-store.yaml.
HOST = "shop.example.org"
WORKER = {"kind": "ServiceAccount", "name": "portal-worker", "namespace": "portal-system"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[DevCluster]:
    require_programs()
    with DevCluster() as cluster:
        yield cluster


@pytest.fixture
def store(cluster: DevCluster) -> Iterator[str]:
    """A store namespace that the worker made and may write in."""
    name = f"store-shop-{uuid.uuid4().hex[:6]}"
    _apply(cluster, _namespace(name))
    _apply(cluster, _binding(name))
    assert eventually(lambda: _may(cluster, "list", "secrets", name))
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def foreign(cluster: DevCluster) -> Iterator[str]:
    """A namespace that is named like a store's and is somebody else's."""
    name = f"store-theirs-{uuid.uuid4().hex[:6]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def test_the_chart_passes_a_strict_lint(cluster: DevCluster) -> None:
    assert "0 chart(s) failed" in cluster.helm("lint", "--strict", str(CHART))


def test_an_unknown_value_is_refused(cluster: DevCluster) -> None:
    with pytest.raises(DevClusterError, match="additional properties"):
        cluster.helm("template", str(CHART), "--set", "serviceAcounts.web.name=x")


def test_no_role_has_a_wildcard_or_a_way_to_more_rights(cluster: DevCluster) -> None:
    rendered = yaml.safe_load_all(cluster.helm("template", "portal", str(CHART)))
    roles = [d for d in rendered if d and d["kind"] in ("ClusterRole", "Role")]
    rules = [rule for role in roles for rule in role["rules"]]
    assert rules
    granted = {(resource, verb) for rule in rules for resource in rule["resources"]
               for verb in rule["verbs"]}  # fmt: skip
    resources, verbs = {r for r, _ in granted}, {v for _, v in granted}
    assert "*" not in resources | verbs
    assert verbs.isdisjoint({"escalate", "impersonate", "deletecollection"})
    dangerous = {"pods/exec", "pods/attach", "nodes/proxy", "serviceaccounts/token"}
    assert resources.isdisjoint(dangerous | {"clusterrolebindings", "roles"})
    assert {verb for resource, verb in granted if resource == "clusterroles"} == {"bind"}


def test_it_sees_whether_controllers_and_scheduler_are_at_work_and_no_other_lease(
    cluster: DevCluster,
) -> None:
    for name in ("kube-controller-manager", "kube-scheduler"):
        lease = _as_worker(cluster, "get", "lease", name, "-n", "kube-system", "-o", "json")
        assert json.loads(lease)["spec"]["renewTime"]
        with pytest.raises(DevClusterError, match=RBAC):
            _as_worker(cluster, "delete", "lease", name, "-n", "kube-system")
    for where in ("-A", "--namespace=kube-system", "--namespace=portal-system"):
        with pytest.raises(DevClusterError, match=RBAC):
            _as_worker(cluster, "get", "leases", where)


def test_the_web_account_has_neither_rights_nor_a_token(cluster: DevCluster) -> None:
    web = "system:serviceaccount:portal-system:portal-web"
    with pytest.raises(DevClusterError, match=RBAC):
        cluster.kubectl("get", "namespaces", f"--as={web}")
    account = cluster.kubectl("get", "sa", "portal-web", "-n", "portal-system", "-o", "json")
    assert json.loads(account)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("where", ["-A", "--namespace=kube-system", "--namespace=portal-system"])
def test_it_cannot_read_secrets_outside_stores(cluster: DevCluster, where: str) -> None:
    with pytest.raises(DevClusterError, match=RBAC):
        _as_worker(cluster, "get", "secrets", where)


def test_it_cannot_read_the_secrets_of_a_namespace_named_like_a_store(
    cluster: DevCluster, foreign: str
) -> None:
    with pytest.raises(DevClusterError, match=RBAC):
        _as_worker(cluster, "get", "secrets", "-n", foreign)


@pytest.mark.parametrize("namespace", ["kube-system", "default", "portal-system"])
def test_it_cannot_bind_itself_outside_stores(cluster: DevCluster, namespace: str) -> None:
    with pytest.raises(DevClusterError, match=f"{POLICY}.*in store namespaces only"):
        _apply(cluster, _binding(namespace))


def test_it_cannot_bind_itself_in_a_namespace_named_like_a_store(
    cluster: DevCluster, foreign: str
) -> None:
    with pytest.raises(DevClusterError, match=f"{POLICY}.*in store namespaces only"):
        _apply(cluster, _binding(foreign))


def test_it_cannot_bind_cluster_admin_in_a_store(cluster: DevCluster, store: str) -> None:
    cluster.kubectl("delete", "rolebinding", "storeyard-operator", "-n", store)
    with pytest.raises(DevClusterError, match="(?i)forbidden"):
        _apply(cluster, _binding(store, role="cluster-admin"))


def test_it_cannot_bind_its_role_to_somebody_else(cluster: DevCluster, store: str) -> None:
    for subjects in ([WORKER | {"name": "default"}], [WORKER, WORKER | {"name": "default"}], []):
        with pytest.raises(DevClusterError, match=f"{POLICY}.*to itself only"):
            _apply(cluster, _binding(store, subjects=subjects))


def test_it_cannot_write_another_binding_in_a_store(cluster: DevCluster, store: str) -> None:
    with pytest.raises(DevClusterError, match=f"{POLICY}.*only write the RoleBinding"):
        _apply(cluster, _binding(store, name="second"))


def test_it_cannot_make_a_namespace_that_is_not_a_store(cluster: DevCluster) -> None:
    with pytest.raises(DevClusterError, match=f"{POLICY}.*name starts with"):
        _apply(cluster, _namespace("shop"))


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("app.kubernetes.io/managed-by", None),
        ("storeyard.dev/store", None),
        ("storeyard.dev/store", "not-a-uuid"),
        ("pod-security.kubernetes.io/enforce", None),
        ("pod-security.kubernetes.io/enforce", "privileged"),
        ("pod-security.kubernetes.io/enforce-version", None),
        ("pod-security.kubernetes.io/enforce-version", "v1.20"),
    ],
)
def test_it_cannot_make_or_change_a_store_to_lack_its_labels(
    cluster: DevCluster, store: str, label: str, value: str | None
) -> None:
    unlabelled = _namespace("store-unlabelled-0000ff")
    unlabelled["metadata"]["labels"].pop(label)
    if value:
        unlabelled["metadata"]["labels"][label] = value
    with pytest.raises(DevClusterError, match=POLICY):
        _apply(cluster, unlabelled)
    with pytest.raises(DevClusterError, match=POLICY):
        _label(cluster, store, {label: value})


def test_it_cannot_hand_a_namespace_to_another_store(cluster: DevCluster, store: str) -> None:
    with pytest.raises(DevClusterError, match=f"{POLICY}.*from one store to another"):
        _label(cluster, store, {"storeyard.dev/store": str(uuid.uuid4())})


@pytest.mark.parametrize("verb", ["delete", "label", "adopt"])
def test_it_cannot_touch_a_system_namespace(cluster: DevCluster, verb: str) -> None:
    with pytest.raises(DevClusterError, match=POLICY):
        _touch(cluster, "portal-system", verb)


@pytest.mark.parametrize("verb", ["delete", "label", "adopt"])
def test_it_cannot_touch_a_namespace_named_like_a_store(
    cluster: DevCluster, foreign: str, verb: str
) -> None:
    with pytest.raises(DevClusterError, match=f"{POLICY}.*not a store's"):
        _touch(cluster, foreign, verb)


def test_it_can_put_back_the_labels_that_somebody_took_from_a_store(cluster: DevCluster) -> None:
    stripped = _namespace("store-stripped-0000fe")
    stripped["metadata"]["annotations"] = {"storeyard.dev/owner": str(uuid.uuid4())}
    labels = stripped["metadata"]["labels"]
    _apply(cluster, stripped)
    name = stripped["metadata"]["name"]
    try:
        gone = [f"{label}-" for label in labels]
        cluster.kubectl("label", "namespace", name, *gone)
        with pytest.raises(DevClusterError, match=POLICY):
            _touch(cluster, name, "delete")
        _label(cluster, name, labels)
        with pytest.raises(DevClusterError, match=f"{POLICY}.*from one store to another"):
            _label(cluster, name, {"storeyard.dev/store": str(uuid.uuid4())})
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.parametrize("subresource", ["status", "finalize"])
def test_it_cannot_write_what_a_namespace_says_of_itself(
    cluster: DevCluster, store: str, subresource: str
) -> None:
    with pytest.raises(DevClusterError, match="(?i)forbidden"):
        _as_worker(
            cluster, "replace", "--raw", f"/api/v1/namespaces/{store}/{subresource}", "-f", "-",
            input=json.dumps(_namespace(store)),
        )  # fmt: skip


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "LoadBalancer"},
        {"type": "NodePort"},
        {"type": "ExternalName", "externalName": "example.org"},
        {"externalIPs": ["203.0.113.7"]},
    ],
    ids=["LoadBalancer", "NodePort", "ExternalName", "externalIPs"],
)
def test_it_cannot_open_a_store_past_the_ingress(
    cluster: DevCluster, store: str, spec: dict[str, Any]
) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": store},
        "spec": {"ports": [{"port": 80}], **spec},
    }
    with pytest.raises(DevClusterError, match=f"{POLICY}.*Services of a store"):
        _apply(cluster, service)


BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


def _rule(host: str | None) -> dict[str, Any]:
    path = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
    return {**({"host": host} if host else {}), "http": {"paths": [path]}}


def _ingress(namespace: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": spec,
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"rules": [_rule("bobs.example.org")]},
        {"rules": [_rule(HOST), _rule("portal.example.org")]},
        {"rules": [_rule("*.example.org")]},
        {"rules": [_rule(None)]},
        {"defaultBackend": BACKEND},
        {"rules": [_rule(HOST)], "defaultBackend": BACKEND},
        {"rules": [_rule(HOST)], "tls": [{"hosts": ["bobs.example.org"]}]},
    ],
    ids=["foreign", "one-more", "wildcard", "any", "default", "default-too", "certificate"],
)
def test_it_cannot_let_a_store_answer_at_another_host(
    cluster: DevCluster, store: str, spec: dict[str, Any]
) -> None:
    with pytest.raises(DevClusterError, match=f"{POLICY}.*A store "):
        _apply(cluster, _ingress(store, **spec))


def test_a_store_may_answer_at_its_own_host(cluster: DevCluster, store: str) -> None:
    tls = [{"hosts": [HOST]}]
    _apply(cluster, _ingress(store, rules=[_rule(HOST)], tls=tls))


def test_it_cannot_run_a_command_in_a_pod_or_make_a_token(cluster: DevCluster, store: str) -> None:
    assert not _may(cluster, "create", "pods", store, "exec")
    assert not _may(cluster, "create", "serviceaccounts", store, "token")


def test_it_sees_everything_it_reports_on(cluster: DevCluster) -> None:
    kinds = (
        "nodes,persistentvolumes,storageclasses,pods,services,persistentvolumeclaims,"
        "resourcequotas,limitranges,events,deployments,statefulsets,replicasets,jobs,cronjobs,"
        "networkpolicies,ingresses"
    )
    assert _as_worker(cluster, "get", kinds, "-A")
    # There may be no class: it is the right that counts.
    assert _may(cluster, "list", "ingressclasses.networking.k8s.io", "default")
    for lease in ("kube-controller-manager", "kube-scheduler"):
        assert _as_worker(cluster, "get", "lease", lease, "-n", "kube-system")
    assert not _may(cluster, "list", "leases.coordination.k8s.io", "kube-system")


def test_it_can_do_everything_a_store_needs(
    cluster: DevCluster, store: str, tmp_path: Path
) -> None:
    for manifest in _guardrails(store):
        _apply(cluster, manifest)
        _apply(cluster, manifest)
    assert eventually(lambda: _quota_counts(cluster, store))
    chart = _tiny_chart(tmp_path)
    _helm(cluster, "install", "shop", chart, "--namespace", store, "--wait", "--timeout=60s")
    _helm(cluster, "upgrade", "shop", chart, "--namespace", store, "--set", "replicas=2")
    _helm(cluster, "rollback", "shop", "1", "--namespace", store)
    history = _helm(cluster, "history", "shop", "--namespace", store, "-o", "json")
    assert [revision["status"] for revision in json.loads(history)][-1] == "deployed"
    pods = _as_worker(cluster, "get", "pods", "-n", store, "-o", "name").split()
    assert pods
    assert _may(cluster, "get", "pods", store, "log")
    _helm(cluster, "uninstall", "shop", "--namespace", store)
    _as_worker(cluster, "delete", "namespace", store, "--wait=false")
    assert eventually(lambda: store not in cluster.kubectl("get", "namespaces"), seconds=40)


def _namespace(name: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/managed-by": "storeyard",
        "storeyard.dev/store": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
    }
    for mode in ("enforce", "audit", "warn"):
        labels[f"pod-security.kubernetes.io/{mode}"] = "restricted"
        labels[f"pod-security.kubernetes.io/{mode}-version"] = "v1.34"
    metadata = {"name": name, "labels": labels, "annotations": {"storeyard.dev/host": HOST}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def _binding(
    namespace: str, *, name: str = "storeyard-operator", role: str = "storeyard-store-operator",
    subjects: list[dict[str, str]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [WORKER] if subjects is None else subjects,
    }


def _guardrails(namespace: str) -> list[dict[str, Any]]:
    def manifest(version: str, kind: str, name: str, **rest: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": namespace}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}

    limit = {"type": "Container", "default": {"cpu": "1", "memory": "1Gi"},
             "defaultRequest": {"cpu": "100m", "memory": "128Mi"}}  # fmt: skip
    policy = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    return [
        manifest("v1", "ResourceQuota", "store-quota", spec={"hard": {"pods": "20"}}),
        manifest("v1", "LimitRange", "store-limits", spec={"limits": [limit]}),
        manifest("networking.k8s.io/v1", "NetworkPolicy", "store-default-deny", spec=policy),
        manifest("v1", "Secret", "shop-passwords", stringData={"password": "x"}),
    ]


def _tiny_chart(folder: Path) -> str:
    """One of every kind the store charts render, small enough to read."""
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: tiny, version: 0.1.0}")
    (folder / "values.yaml").write_text("replicas: 1")
    (folder / "templates" / "all.yaml").write_text(TINY_STORE.read_text())
    return str(folder)


def _as_worker(cluster: DevCluster, *arguments: str, input: str | None = None) -> str:
    return cluster.kubectl(*arguments, input=input, kubeconfig=cluster.portal_kubeconfig)


def _helm(cluster: DevCluster, *arguments: str) -> str:
    return cluster.helm(*arguments, kubeconfig=cluster.portal_kubeconfig)


def _apply(cluster: DevCluster, manifest: dict[str, Any]) -> None:
    _as_worker(cluster, "apply", "--server-side", "-f", "-", input=json.dumps(manifest))


def _label(cluster: DevCluster, namespace: str, labels: dict[str, str | None]) -> None:
    patch = json.dumps({"metadata": {"labels": labels}})
    _as_worker(cluster, "patch", "namespace", namespace, "--type=merge", "-p", patch)


def _touch(cluster: DevCluster, namespace: str, verb: str) -> None:
    if verb == "delete":
        _as_worker(cluster, "delete", "namespace", namespace, "--wait=false")
    elif verb == "label":
        _label(cluster, namespace, {"team": "storeyard"})
    else:
        _label(cluster, namespace, _namespace(namespace)["metadata"]["labels"])


def _may(
    cluster: DevCluster, verb: str, resource: str, namespace: str, subresource: str = ""
) -> bool:
    question = ("auth", "can-i", verb, resource, f"--subresource={subresource}", "-n", namespace)
    try:
        return "yes" in _as_worker(cluster, *question)
    except DevClusterError:
        return False


def _quota_counts(cluster: DevCluster, namespace: str) -> bool:
    quota = _as_worker(
        cluster, "get", "resourcequota", "store-quota", "-n", namespace, "-o", "json"
    )
    return bool(json.loads(quota).get("status", {}).get("hard"))
