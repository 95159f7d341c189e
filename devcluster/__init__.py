"""A real Kubernetes control plane on this machine, for development and tests.

etcd, API server, controllers, scheduler and Helm are the real ones; the kubelet
and the volumes are faked by kwok, so pods turn Ready and nothing runs in them.
"""

from devcluster.build import binaries
from devcluster.cluster import DevCluster
from devcluster.errors import DevClusterError
from devcluster.proxy import Proxy, Request

__all__ = ["DevCluster", "DevClusterError", "Proxy", "Request", "binaries"]
