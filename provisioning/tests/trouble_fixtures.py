"""A namespace to make trouble in: a plugin, named by each file that wants it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from devcluster import DevCluster, binaries
from provisioning.cluster.kubernetes import KubernetesCluster
from provisioning.tests.trouble_kit import Ground


@pytest.fixture(scope="module")
def admin(devcluster: DevCluster) -> KubernetesCluster:
    helm = str(binaries() / "helm")
    return KubernetesCluster.from_kubeconfig(str(devcluster.kubeconfig), helm=helm)


@pytest.fixture
def ground(
    real_cluster: KubernetesCluster, admin: KubernetesCluster, devcluster: DevCluster
) -> Iterator[Ground]:
    ground = Ground(real_cluster, admin, devcluster)
    yield ground
    admin.delete("Namespace", ground.namespace)
