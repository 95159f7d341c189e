"""What is in the way of a store is named before it is asked for, and what is not known is said so."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from provisioning import preflight
from provisioning.cluster.simulation.looking import FACTS
from provisioning.preflight import BLOCKER, OK, UNKNOWN
from stores.models import Heartbeat, Snapshot
from stores.services import create_store, pause_provisioning

GIB = 1024**3


@pytest.fixture
def snapshot(db, settings) -> Callable[..., Snapshot]:
    """Everything is well, but for what is said."""
    settings.CLUSTER = "kubernetes"
    Heartbeat.beat(Heartbeat.WORKER)

    def write(**changed) -> Snapshot:
        well = {
            **deepcopy(FACTS),
            "ingress_classes": ["traefik"],
            "leases": {name: timezone.now().isoformat() for name in ("kube-scheduler", "kcm")},
        }
        return Snapshot.objects.update_or_create(
            pk=1, defaults={"at": Now(), "facts": {**well, **changed}}
        )[0]

    write()
    return write


def node(cpu: int = 4000, memory: int = 8 * GIB, pods: int = 100, usable: bool = True) -> dict:
    return {
        "name": "n", "usable": usable, "cpu": cpu, "memory": memory, "pods": pods,
        "free_cpu": cpu, "free_memory": memory, "free_pods": pods,
    }  # fmt: skip


def lines(user, plan: str = "small") -> dict[str, tuple[str, str]]:
    return {line.topic: (line.kind, line.sentence) for line in preflight.check(user, plan)}


def test_where_all_is_well_every_line_says_so(snapshot, alice):
    found = lines(alice)
    assert set(found) == {"quota", "storage", "ingress", "control-plane", "room"}
    assert {kind for kind, _ in found.values()} == {OK}


def test_a_full_quota_is_named(snapshot, bob, as_alice, alice):
    alice.max_stores = 0
    kind, said = lines(alice)["quota"]
    assert kind == BLOCKER and "Ask support for a quota" in said


def test_a_full_platform_is_named(snapshot, alice, bob, as_alice, settings):
    create_store(actor=as_alice, owner=alice, name="Anna")
    settings.MAX_STORES_TOTAL = 1
    assert "The platform is full" in lines(bob)["quota"][1]


def test_a_pause_is_named_with_its_reason(snapshot, alice, as_carol):
    pause_provisioning("We move the cluster.", actor=as_carol)
    kind, said = lines(alice)["pause"]
    assert kind == BLOCKER and "We move the cluster." in said


def test_a_silent_worker_is_named_and_one_that_never_spoke_is_unknown(snapshot, alice):
    Heartbeat.objects.update(at=Now() - timedelta(hours=12))
    assert lines(alice)["worker"][0] == BLOCKER
    Heartbeat.objects.all().delete()
    assert lines(alice)["worker"][0] == UNKNOWN


@pytest.mark.parametrize("when", ["never", "long ago", "without facts"])
def test_a_look_that_is_too_old_says_nothing_about_the_cluster(snapshot, alice, when):
    if when == "never":
        Snapshot.objects.all().delete()
    elif when == "long ago":
        Snapshot.objects.update(at=Now() - timedelta(seconds=91))
    else:
        Snapshot.objects.update(facts={})
    found = lines(alice)
    assert found["cluster"][0] == UNKNOWN and set(found) == {"quota", "cluster"}


# --- Room --------------------------------------------------------------------------------


def test_no_machine_for_the_largest_part_names_it_and_what_it_needs(snapshot, alice):
    """There is enough in all, in pieces that are too small."""
    snapshot(nodes=[node(cpu=400, memory=8 * GIB)] * 20)
    kind, said = lines(alice, "large")["room"]
    assert kind == BLOCKER and "needs 0.5 CPU and 1024 MiB of memory on one machine" in said
    assert lines(alice, "small")["room"][0] == OK


def test_machines_that_take_no_pods_do_not_count(snapshot, alice):
    snapshot(nodes=[node(usable=False), node(pods=0)])
    assert lines(alice)["room"][0] == BLOCKER


def test_all_parts_have_to_fit_not_only_each_by_itself(snapshot, alice):
    snapshot(nodes=[node(cpu=300)])
    assert lines(alice)["room"][0] == BLOCKER
    snapshot(nodes=[node(cpu=300), node(cpu=300)])
    assert lines(alice)["room"][0] == OK


def test_the_parts_are_those_of_the_chart_in_the_sizes_of_the_plan():
    small = {part.name: part for part in preflight.parts("woocommerce", "small")}
    large = {part.name: part for part in preflight.parts("woocommerce", "large")}
    assert small.keys() == large.keys() == {"web", "mariadb", "setup", "cron"}
    assert (small["web"].cpu, small["web"].memory) == (150, 384 * 1024**2)
    assert (large["web"].cpu, large["web"].memory) == (500, GIB)


# --- Storage, ingress, control plane -----------------------------------------------------


def test_a_storage_class_that_is_not_there_is_named(snapshot, alice, settings):
    settings.STORE_STORAGE_CLASS = "fast"
    kind, said = lines(alice)["storage"]
    assert kind == BLOCKER and "“fast”" in said
    settings.STORE_STORAGE_CLASS = "simulated"
    assert lines(alice)["storage"][0] == OK


def test_without_a_name_there_must_be_a_default_class(snapshot, alice):
    snapshot(storage_classes=[{**FACTS["storage_classes"][0], "default": False}])
    assert "no default storage class" in lines(alice)["storage"][1]


@pytest.mark.parametrize(
    ("wanted", "there", "kind"),
    [
        ("", ["traefik"], OK),
        ("nginx", ["traefik"], BLOCKER),
        ("", [], BLOCKER),
        ("", None, UNKNOWN),
    ],
)
def test_ingress_classes(snapshot, alice, settings, wanted, there, kind):
    settings.STORE_INGRESS_CLASS = wanted
    snapshot(ingress_classes=there)
    assert lines(alice)["ingress"][0] == kind


def test_where_shops_have_no_ingress_nobody_asks_for_its_class(snapshot, alice, settings):
    settings.STORE_EXPOSURE = "gateway"
    snapshot(ingress_classes=[])
    assert "ingress" not in lines(alice)


def test_controllers_that_stand_still_are_named(snapshot, alice):
    long_ago = (timezone.now() - timedelta(minutes=5)).isoformat()
    snapshot(leases={"kube-scheduler": long_ago, "kcm": timezone.now().isoformat()})
    kind, said = lines(alice)["control-plane"]
    assert kind == BLOCKER and "kube-scheduler" in said and "kcm" not in said


def test_leases_that_may_not_be_read_are_unknown_and_hidden_ones_say_nothing(snapshot, alice):
    snapshot(leases=None)
    assert lines(alice)["control-plane"][0] == UNKNOWN
    snapshot(leases={})
    assert "control-plane" not in lines(alice)
