"""What people are told before they ask for a store: whether it fits now, and what is in the way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from provisioning.cluster.simulation.looking import FACTS
from stores.lifecycle import Status
from stores.models import Heartbeat, Snapshot, Store
from stores.services import pause_provisioning


@pytest.fixture
def seen(db):
    Heartbeat.beat(Heartbeat.WORKER)
    Snapshot.objects.create(pk=1, at=timezone.now(), facts=FACTS)


def test_the_form_says_for_each_plan_whether_it_fits(at_alice, seen):
    page = at_alice.get("/stores/new/").content.decode()
    assert page.count("There is room in the cluster.") == 3
    nodes = [{**FACTS["nodes"][0], "free_cpu": 300}] * 3
    Snapshot.objects.update(facts={**FACTS, "nodes": nodes})
    page = at_alice.get("/stores/new/").content.decode()
    assert page.count("There is room in the cluster.") == 2
    assert "There is no room in the cluster now: the part “web” needs 0.5 CPU" in page


def test_the_form_names_what_is_in_the_way_and_can_still_be_sent(at_alice, seen, as_carol):
    pause_provisioning("We move <the> cluster.", actor=as_carol)
    page = at_alice.get("/stores/new/").content.decode()
    assert "Nothing is set up at the moment: We move &lt;the&gt; cluster." in page
    at_alice.post("/stores/new/", {"name": "Anna", "plan": "small"})
    assert Store.objects.get().status == Status.REQUESTED


def test_the_form_says_when_nothing_is_known(at_alice, seen):
    Snapshot.objects.update(at=timezone.now() - timedelta(seconds=95))
    page = at_alice.get("/stores/new/").content.decode()
    assert "whether a store fits now is not known" in page
    assert "There is room" not in page


def test_a_form_with_mistakes_says_it_too(at_alice, seen):
    page = at_alice.post("/stores/new/", {"name": "", "plan": "small"}).content.decode()
    assert page.count("There is room in the cluster.") == 3
