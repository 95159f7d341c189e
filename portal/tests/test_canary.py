"""What a store's Secrets hold is nowhere else (S20), through a store's whole life; the same on a real
control plane: provisioning/tests/test_real_canary.py.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from django.apps import apps
from django.core.cache import caches
from django.test import Client
from django.urls import reverse
from django_q.signing import SignedPackage

from provisioning.tests.canaries import database, hits, needles_of
from stores import services
from stores.actor import Actor
from stores.models import Inquiry
from stores.tests.people import PASSWORD

if TYPE_CHECKING:
    from portal.tests.shops import Shop

pytest_plugins = ["portal.tests.shops"]


def cluster_but_secrets(shop: Shop) -> str:
    with shop.cluster.file.reading() as objects:
        rows = objects.connection.execute("SELECT kind, body, applied FROM objects").fetchall()
    assert any(kind == "Secret" for kind, *_ in rows)
    return str([row for row in rows if row[0] != "Secret"])


def queued() -> str:
    tasks = apps.get_model("django_q", "OrmQ").objects.all()
    return str([SignedPackage.loads(task.payload) for task in tasks])


def test_no_secret_of_a_store_is_anywhere_but_in_its_secrets(
    shop: Shop,
    answering: None,
    at_alice: Client,
    as_alice: Actor,
    settings: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = shop.store
    # The cluster's clock is a test's, but this time goes by the database's.
    settings.DIAGNOSE_SECONDS = 0
    needles = needles_of(shop.cluster, store)
    assert len(set(needles.values())) == 2 + 1 + 8
    with caplog.at_level(logging.DEBUG):
        services.refresh_store(store, actor=as_alice)
        shop.work()
        shop.cluster.disturb("Deployment", "store-web", store.namespace, "crash")
        services.refresh_store(store, actor=as_alice)
        shop.work()
        assert store.status == "failed"
        url = reverse("store-reveal", args=[store.pk])
        form = at_alice.get(url).context["form"]
        page = at_alice.post(url, {"token": form["token"].value(), "password": PASSWORD})
        # The search finds what there is to be found.
        assert [where for _, where in hits(needles, [("", page.content.decode())])] == [
            f"{store.namespace}/store-wordpress/admin-password"
        ]
        for route in ("store-detail", "store-logs", "store-history"):
            shown = at_alice.get(reverse(route, args=[store.pk])).content.decode()
            assert hits(needles, [(route, shown)]) == []
        everywhere = [
            *database(),
            ("the cluster", cluster_but_secrets(shop)),
            ("the queue", queued()),
            *((name, str(getattr(caches[name], "_cache", {}))) for name in caches),
        ]
        assert not Inquiry.objects.exists()
        assert hits(needles, everywhere) == []
        services.delete_store(store, actor=as_alice)
        shop.work()
        assert store.status == "deleted"
        assert hits(needles, [*database(), ("the log", caplog.text)]) == []
