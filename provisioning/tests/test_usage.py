"""What a store uses of its plan: from the cluster's count to the row, and in people's units."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from provisioning import observing, usage
from provisioning.cluster.simulated import SimulatedCluster
from provisioning.picture import Picture
from stores.models import Store

COUNTED = {
    "pods": {"used": "3", "hard": "20"},
    "requests.cpu": {"used": "350m", "hard": "4"},
    "limits.memory": {"used": "2Gi", "hard": "8Gi"},
    "requests.storage": {"used": "512Mi", "hard": "50Gi"},
}


def test_usage_is_told_in_order_and_in_units_that_people_read() -> None:
    rows = usage.rows(COUNTED)
    assert [(one.label, one.used, one.hard, one.percent) for one in rows] == [
        ("CPU", "0.4", "4", 9),
        ("Memory", "2 GiB", "8 GiB", 25),
        ("Disk", "512 MiB", "50 GiB", 1),
        ("Pods", "3", "20", 15),
    ]


def test_before_anybody_has_counted_there_is_nothing_to_tell() -> None:
    assert usage.rows({}) == []


@pytest.mark.parametrize(("used", "hard"), [("9", "4"), ("0", "0"), ("1", "0")])
def test_more_than_everything_is_never_used(used: str, hard: str) -> None:
    (row,) = usage.rows({"pods": {"used": used, "hard": hard}})
    assert row.percent == 100


def look(cluster: SimulatedCluster) -> None:
    observing.observe(Picture.of(cluster.survey()), cluster)


def test_what_a_store_uses_is_in_its_row_and_written_only_when_it_changes(
    store: Store, work: Callable[[Store], None], cluster: SimulatedCluster
) -> None:
    work(store)
    look(cluster)
    store.refresh_from_db()
    assert store.usage["pods"] == {"used": "2", "hard": "20"}
    assert store.usage["requests.storage"] == {"used": "10Gi", "hard": "50Gi"}
    before = store.revision
    look(cluster)
    store.refresh_from_db()
    assert store.revision == before
    cluster.delete("Deployment", "store-web", store.namespace)
    look(cluster)
    store.refresh_from_db()
    assert store.usage["pods"]["used"] == "1"
    assert store.revision > before


def test_what_another_namespace_of_that_name_uses_is_nobodys(
    store: Store, work: Callable[[Store], None], cluster: SimulatedCluster
) -> None:
    work(store)
    Store.objects.filter(pk=store.pk).update(namespace_uid="another")
    look(cluster)
    store.refresh_from_db()
    assert store.usage == {}
