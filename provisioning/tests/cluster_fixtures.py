"""The real control plane for tests that carry the mark ``cluster``."""

import os
from collections.abc import Iterator

import pytest

from devcluster import DevCluster, binaries
from devcluster.build import built
from provisioning.cluster.kubernetes import KubernetesCluster


@pytest.fixture(scope="session")
def devcluster() -> Iterator[DevCluster]:
    """One control plane for all tests of a run; each test has namespaces of its own."""
    required = "cluster" in os.environ.get("STOREYARD_REQUIRE", "").split(",")
    if not built() and not required:
        pytest.skip("the control plane is not built: run `make cluster`")
    # Pods take a moment, so that a test can see what it waits for.
    with DevCluster(ready_after="1s") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def real_cluster(devcluster: DevCluster) -> KubernetesCluster:
    """With the rights that charts/portal gives to the worker, not an administrator's."""
    return KubernetesCluster.from_kubeconfig(
        str(devcluster.portal_kubeconfig), helm=str(binaries() / "helm"), routes_traffic=False
    )
