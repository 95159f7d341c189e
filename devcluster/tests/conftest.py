from collections.abc import Iterator

import pytest

from devcluster import DevCluster
from devcluster.testing import eventually, require_programs


@pytest.fixture(scope="session")
def running() -> Iterator[DevCluster]:
    require_programs()
    with DevCluster(audit_log=True) as cluster:
        yield cluster


@pytest.fixture
def namespace(running: DevCluster) -> Iterator[str]:
    """A namespace whose accounts exist, so that pods can be made at once."""
    metadata = {"generateName": "trial-"}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
    name: str = running.api.create("/api/v1/namespaces", manifest)["metadata"]["name"]
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    assert eventually(lambda: running.api.exists(account))
    yield name
    running.kubectl("delete", "namespace", name, "--wait=false")
