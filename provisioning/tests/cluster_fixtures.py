"""The real control plane for tests that carry the mark ``cluster``."""

from collections.abc import Iterator

import pytest

from devcluster import DevCluster, binaries
from devcluster.testing import require_programs
from provisioning.cluster.kubernetes import KubernetesCluster


@pytest.fixture(scope="session")
def devcluster() -> Iterator[DevCluster]:
    """One control plane for all tests of a run; each test has namespaces of its own."""
    require_programs()
    # Pods take a moment, so that a test can see what it waits for.
    with DevCluster(ready_after="1s") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def real_cluster(devcluster: DevCluster) -> KubernetesCluster:
    """With the rights that charts/portal gives to the worker, not an administrator's."""
    return KubernetesCluster.from_kubeconfig(
        str(devcluster.portal_kubeconfig), helm=str(binaries() / "helm"), routes_traffic=False
    )
