"""A deleted store leaves no trace in the cluster (S51): looked for by its id, in every kind there is."""

from __future__ import annotations

import pytest

from provisioning.tests.real_platform import TEST, Platform
from stores import services
from stores.lifecycle import Status

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]


def everything(platform: Platform) -> str:
    """Every object of every kind that can be listed, as an administrator sees it; events too."""
    kubectl = platform.devcluster.kubectl
    kinds = kubectl("api-resources", "--verbs=list", "--output=name").split()
    assert len(kinds) > 30
    return kubectl("get", ",".join(kinds), "--all-namespaces", "--output=yaml")


def test_nothing_in_the_cluster_names_a_deleted_store(platform: Platform) -> None:
    platform.start_worker()
    platform.start_watcher()
    store = platform.create()
    platform.wait_for(store, Status.READY)
    before = everything(platform)
    marks = [str(store.pk), store.namespace, store.namespace_uid, store.address]
    assert all(mark in before for mark in marks)  # else the look would prove nothing
    services.delete_store(store, actor=TEST)
    platform.wait_for(store, Status.DELETED)
    after = everything(platform)
    assert [mark for mark in marks if mark in after] == []
