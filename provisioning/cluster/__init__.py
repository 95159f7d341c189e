"""Which cluster this platform works on, from the settings."""

from functools import cache

from django.conf import settings

from provisioning.cluster.base import Cluster


@cache
def get_cluster() -> Cluster:
    """One per process, made on first use: after the worker's fork, never at import."""
    if settings.CLUSTER == "kubernetes":
        from provisioning.cluster.kubernetes import KubernetesCluster

        return KubernetesCluster.from_settings()
    from provisioning.cluster.simulated import SimulatedCluster

    return SimulatedCluster(settings.SIMULATED_CLUSTER_FILE)
