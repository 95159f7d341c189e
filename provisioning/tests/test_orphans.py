"""What has lost its other half is named, with what to do about it; what is well, or somebody else's,
is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from provisioning import manifests, orphans
from provisioning.cluster.base import SeenVolume
from stores.lifecycle import Status
from stores.models import Store
from stores.services import delete_store


@pytest.fixture
def ready(store: Store, work: Callable[[Store], None]) -> Store:
    work(store)
    assert store.status == Status.READY
    return store


def only(cluster, kind: str) -> orphans.Orphan:
    [found] = orphans.find(cluster)
    assert found.kind == kind
    return found


def test_a_store_at_work_a_ready_and_a_deleted_one_are_no_orphans(
    store, as_alice, cluster, work, clock
):
    assert orphans.find(cluster) == []
    work(store)
    assert orphans.find(cluster) == []
    delete_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.DELETED
    assert orphans.find(cluster) == []


def test_a_namespace_without_a_row(store, cluster):
    other = Store(owner=store.owner, namespace="store-lost-000000")
    cluster.apply(manifests.namespace(other))
    found = only(cluster, "namespace")
    assert (found.name, found.store) == ("store-lost-000000", str(other.pk))
    assert "adopt_stores" in found.why


def test_a_namespace_with_a_foreign_uid(ready, cluster):
    Store.objects.filter(pk=ready.pk).update(namespace_uid="the-real-one")
    kinds = {found.kind: found.why for found in orphans.find(cluster)}
    assert "foreign" in kinds["namespace"] and "the-real-one" in kinds["namespace"]
    assert kinds.keys() == {"namespace", "row"}


def test_a_namespace_of_a_deleted_store(store, cluster):
    store.operations.update(finished_at=store.created_at)
    Store.objects.update(status=Status.DELETED, slot=None, deleted_at=store.created_at)
    cluster.apply(manifests.namespace(store))
    assert "The next sweep removes it." in only(cluster, "namespace").why


def test_a_row_without_its_namespace(ready, cluster, clock):
    cluster.delete("Namespace", ready.namespace)
    clock.passes(60)
    found = only(cluster, "row")
    assert found.store == str(ready.pk) and "Restore it" in found.why


def with_volume(cluster, monkeypatch, volume: SeenVolume) -> None:
    survey = cluster.survey()
    more = replace(survey, volumes=[*survey.volumes, volume])
    monkeypatch.setattr(cluster, "survey", lambda: more)


@pytest.mark.parametrize(
    ("phase", "reclaim", "words"),
    [("Released", "Retain", "its storage class keeps it"), ("Failed", "Delete", "It is Failed")],
)
def test_a_disk_without_its_claim(ready, cluster, monkeypatch, phase, reclaim, words):
    with_volume(cluster, monkeypatch, SeenVolume("pv-1", ready.namespace, "data", phase, reclaim))
    assert words in only(cluster, "volume").why


def test_a_disk_of_a_store_that_is_gone(ready, as_alice, cluster, work, monkeypatch, clock):
    delete_store(ready, actor=as_alice)
    work(ready)
    volume = SeenVolume("pv-1", ready.namespace, "data", "Released", "Retain")
    with_volume(cluster, monkeypatch, volume)
    assert only(cluster, "volume").store == str(ready.pk)


def test_a_disk_of_somebody_else_is_not_ours_to_judge(ready, cluster, monkeypatch):
    volume = SeenVolume("pv-1", "their-database", "data", "Released", "Retain")
    with_volume(cluster, monkeypatch, volume)
    assert orphans.find(cluster) == []
