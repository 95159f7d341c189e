"""On the real control plane: what a survey asks for does not grow with the stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from provisioning import manifests
from provisioning.cluster import surveying
from provisioning.cluster.kubernetes import KubernetesCluster
from stores.models import Store, User

pytestmark = pytest.mark.cluster

Asked = list[tuple[str, dict[str, Any]]]


@contextmanager
def asked_of(cluster: KubernetesCluster) -> Iterator[Asked]:
    asked: Asked = []
    request: Callable[..., Any] = cluster.api.request

    def noted(method: str, path: str, **options: Any) -> Any:
        asked.append((path, dict(options.get("query") or {})))
        return request(method, path, **options)

    cluster.api.request = noted  # type: ignore[method-assign]
    try:
        yield asked
    finally:
        del cluster.api.request


def make_store(cluster: KubernetesCluster) -> str:
    store = Store(owner=User(email="alice@example.com"), name="Survey", address="survey")
    store.namespace = f"store-survey-{store.pk.hex[:6]}"
    cluster.apply(manifests.namespace(store))
    return store.namespace


def test_one_survey_makes_the_same_requests_for_few_stores_and_for_many(
    real_cluster: KubernetesCluster,
) -> None:
    made = [make_store(real_cluster)]
    try:
        with asked_of(real_cluster) as few:
            real_cluster.survey()
        made += [make_store(real_cluster) for _ in range(12)]
        with asked_of(real_cluster) as many:
            survey = real_cluster.survey()
        assert {one.name for one in survey.namespaces} >= set(made)
        assert [path for path, _ in many] == [path for path, _ in few]
        assert not [path for path, _ in many if path.endswith("/secrets")]
        # Not one object of anybody else's that would have to be thrown away.
        unselected = {
            path for path, query in many if "labelSelector" in query and not query["labelSelector"]
        }
        assert unselected == {"/api/v1/persistentvolumes"}
    finally:
        for name in made:
            real_cluster.delete("Namespace", name)


def test_page_by_page_it_sees_the_same(
    real_cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {make_store(real_cluster) for _ in range(5)}
    try:
        monkeypatch.setattr(surveying, "PAGE", 2)
        with asked_of(real_cluster) as asked:
            assert {one.name for one in real_cluster.survey().namespaces} >= made
        assert [
            path for path, query in asked if path == "/api/v1/namespaces" and query.get("continue")
        ]
    finally:
        for name in made:
            real_cluster.delete("Namespace", name)
