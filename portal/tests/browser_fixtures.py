"""A pytest plugin: platforms that run for the whole session, and a browser for each test file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from portal.tests.browser_kit import a_browser
from portal.tests.platforms import Platform, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running(tmp_path_factory.mktemp("simulated")) as platform:
        yield platform


@pytest.fixture(scope="session")
def kubernetes(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    from devcluster import binaries

    cluster = request.getfixturevalue("devcluster")
    with running(
        tmp_path_factory.mktemp("kubernetes"),
        STOREYARD_CLUSTER="kubernetes",
        STOREYARD_KUBECONFIG=str(cluster.portal_kubeconfig),
        STOREYARD_HELM=str(binaries() / "helm"),
        # Its nodes are fake: nothing listens on a pod's address.
        STOREYARD_CLUSTER_ROUTES_TRAFFIC="false",
    ) as platform:
        yield platform


@pytest.fixture(params=["simulated", pytest.param("kubernetes", marks=pytest.mark.cluster)])
def either_platform(request: Any) -> Platform:
    """Another name than the one of provisioning.tests.real_fixtures: the last plugin would win."""
    found: Platform = request.getfixturevalue(request.param)
    return found


# Not for the session: while it is open its event loop runs in this thread, and Django refuses
# every test after it the database.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with a_browser() as browser:
        yield browser
