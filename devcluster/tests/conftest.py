from collections.abc import Iterator

import pytest

from devcluster import DevCluster
from devcluster.testing import require_programs


@pytest.fixture(scope="session")
def running() -> Iterator[DevCluster]:
    require_programs()
    with DevCluster(audit_log=True) as cluster:
        yield cluster


@pytest.fixture
def namespace(running: DevCluster) -> Iterator[str]:
    """A namespace whose accounts exist, so that pods can be made at once."""
    name = running.kubectl(
        "create", "-f", "-", "-o", "jsonpath={.metadata.name}",
        input='{"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "trial-"}}',
    )  # fmt: skip
    running.kubectl("wait", "--for=create", "serviceaccount/default", "-n", name)
    yield name
    running.kubectl("delete", "namespace", name, "--wait=false")
