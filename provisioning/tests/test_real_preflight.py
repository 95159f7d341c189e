"""The answers before the click, from what a survey of a real control plane writes down."""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from devcluster import DevCluster
from devcluster.testing import eventually
from provisioning import preflight
from provisioning.cluster.kubernetes import KubernetesCluster
from provisioning.preflight import BLOCKER, OK
from stores.models import Snapshot, User

pytestmark = pytest.mark.cluster


def lines(cluster: KubernetesCluster, user: User) -> dict[str, str]:
    """Topic to kind, as of a look at the cluster now; without what no cluster has a say in."""
    Snapshot.objects.update_or_create(pk=1, defaults={"at": Now(), "facts": cluster.survey().facts})
    found = {line.topic: line.kind for line in preflight.check(user, "small")}
    return {topic: found[topic] for topic in ("storage", "room", "control-plane") if topic in found}


def test_a_cluster_that_works_has_room_for_a_store(
    real_cluster: KubernetesCluster, alice: User, settings
) -> None:
    settings.CLUSTER = "kubernetes"
    assert lines(real_cluster, alice) == {"storage": OK, "room": OK, "control-plane": OK}


def test_a_cluster_whose_nodes_take_no_pods_has_none(
    devcluster: DevCluster, real_cluster: KubernetesCluster, alice: User, settings
) -> None:
    settings.CLUSTER = "kubernetes"
    nodes = devcluster.kubectl("get", "nodes", "--output=name").split()
    devcluster.kubectl("cordon", *nodes)
    try:
        assert eventually(lambda: lines(real_cluster, alice)["room"] == BLOCKER)
    finally:
        devcluster.kubectl("uncordon", *nodes)
    assert eventually(lambda: lines(real_cluster, alice)["room"] == OK)


def test_a_storage_class_that_no_cluster_has_is_missed(
    real_cluster: KubernetesCluster, alice: User, settings
) -> None:
    settings.CLUSTER, settings.STORE_STORAGE_CLASS = "kubernetes", "of-my-dreams"
    assert lines(real_cluster, alice)["storage"] == BLOCKER
