"""What is worked out of the cluster as a whole, from raw objects."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from provisioning.cluster import facts
from provisioning.cluster.quantities import amount


@pytest.mark.parametrize(
    ("text", "value"),
    [("100m", "0.1"), ("1", "1"), ("1Gi", 1024**3), ("1.5G", 1.5e9), ("2e3", 2000), ("0", 0)],
)
def test_amounts_are_read_as_kubernetes_writes_them(text: str, value: Any) -> None:
    assert amount(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "much", "1Q", "Gi", "1 Gi"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        amount(text)


def pod(node: str = "n1", phase: str = "Running", **spec: Any) -> dict[str, Any]:
    return {"spec": {"nodeName": node, **spec}, "status": {"phase": phase}}


def asking(cpu: str, memory: str) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu, "memory": memory}}}


def node(**changes: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "n1"},
        "spec": changes,
        "status": {
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def test_a_nodes_room_is_what_it_has_less_what_its_pods_ask_for() -> None:
    requests = facts.Requests()
    requests.add(pod(containers=[asking("500m", "1Gi"), asking("250m", "512Mi")]))
    # What runs first needs its room too, and gives it back.
    requests.add(pod(containers=[asking("1", "1Gi")], initContainers=[asking("2", "128Mi")]))
    requests.add(pod(phase="Succeeded", containers=[asking("1", "1Gi")]))
    requests.add({"spec": {"containers": [asking("1", "1Gi")]}, "status": {"phase": "Pending"}})
    (found,) = facts.nodes([node()], requests)
    assert found["free_cpu"] == 4000 - 750 - 2000
    assert found["free_memory"] == 8 * 1024**3 - 2.5 * 1024**3
    assert found["free_pods"] == 108
    assert found["usable"] is True


@pytest.mark.parametrize(
    "spec",
    [{"unschedulable": True}, {"taints": [{"key": "x", "effect": "NoSchedule"}]}],
    ids=["cordoned", "tainted"],
)
def test_a_node_that_takes_no_pods_is_not_usable(spec: dict[str, Any]) -> None:
    (found,) = facts.nodes([node(**spec)], facts.Requests())
    assert found["usable"] is False
