"""The command line of every component. No admission flag: the defaults are what is tested."""

import random
import socket
from collections.abc import Mapping
from pathlib import Path

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
# There is one of each. They elect all the same, as their Leases tell whether they are at work;
# shorter than the default, so that a silent one is soon known to be.
ELECTED = ("kube-controller-manager", "kube-scheduler")
LEADER_ELECTION = (
    "--leader-elect=true",
    "--leader-elect-lease-duration=10s",
    "--leader-elect-renew-deadline=8s",
    "--leader-elect-retry-period=1s",
)
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def free_ports() -> dict[str, int]:
    """A port for each listener; below the range the system takes outgoing connections from."""
    ports: dict[str, int] = {}
    while len(ports) < len(PORTS):
        port = random.randrange(20000, 32000)
        if port not in ports.values() and _free(port):
            ports[PORTS[len(ports)]] = port
    return ports


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def commands(
    programs: Path, root: Path, ports: Mapping[str, int], *, audit_log: bool
) -> dict[str, list[str]]:
    identities = root / "identities"
    arguments = {
        "etcd": _etcd(root, ports),
        "kube-apiserver": _apiserver(root, identities, ports, audit_log),
        "kube-controller-manager": _controller_manager(root, identities, ports),
        "kube-scheduler": _scheduler(root, ports),
        "kwok": _kwok(root, ports),
    }
    return {name: [str(programs / name), *arguments[name]] for name in COMPONENTS}


def _etcd(root: Path, ports: Mapping[str, int]) -> list[str]:
    client = f"http://127.0.0.1:{ports['etcd']}"
    peer = f"http://127.0.0.1:{ports['etcd-peer']}"
    return [
        f"--data-dir={root / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--auto-compaction-retention=1",
        "--log-level=warn",
    ]


def _apiserver(
    root: Path, identities: Path, ports: Mapping[str, int], audit_log: bool
) -> list[str]:
    arguments = [
        f"--etcd-servers=http://127.0.0.1:{ports['etcd']}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['kube-apiserver']}",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={identities / 'apiserver.crt'}",
        f"--tls-private-key-file={identities / 'apiserver.key'}",
        f"--client-ca-file={identities / 'ca.crt'}",
        "--authorization-mode=RBAC",
        "--anonymous-auth=false",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={identities / 'sa.pub'}",
        f"--service-account-signing-key-file={identities / 'sa.key'}",
        "--service-cluster-ip-range=10.0.0.0/16",
        "--allow-privileged=true",
        "--profiling=false",
    ]
    if audit_log:
        arguments.append(f"--audit-policy-file={root / 'audit-policy.yaml'}")
        arguments.append(f"--audit-log-path={root / 'audit.log'}")
    return arguments


def _controller_manager(root: Path, identities: Path, ports: Mapping[str, int]) -> list[str]:
    return [
        f"--kubeconfig={root / 'kube-controller-manager.kubeconfig'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['kube-controller-manager']}",
        *LEADER_ELECTION,
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={identities / 'sa.key'}",
        f"--root-ca-file={identities / 'ca.crt'}",
        # The default of 20 would be the first thing any test of throughput measures.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


def _scheduler(root: Path, ports: Mapping[str, int]) -> list[str]:
    return [
        f"--kubeconfig={root / 'kube-scheduler.kubeconfig'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={ports['kube-scheduler']}",
        *LEADER_ELECTION,
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def _kwok(root: Path, ports: Mapping[str, int]) -> list[str]:
    return [
        f"--kubeconfig={root / 'kwok.kubeconfig'}",
        f"--config={root / 'kwok.yaml'}",
        "--manage-all-nodes=true",
        "--node-ip=127.0.0.1",
        "--cidr=10.244.0.0/16",
        # No leases: a restarted kwok would wait for those of the old one to run out.
        "--node-lease-duration-seconds=0",
        # Without an address it would listen on every interface.
        f"--server-address=127.0.0.1:{ports['kwok']}",
    ]
