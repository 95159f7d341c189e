"""What a store's Secrets hold is nowhere else (S20): looked for everywhere, in every form, on a real
control plane, through a store's whole life.
"""

from __future__ import annotations

import json
import logging
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import yaml
from django.core.cache import caches
from django.test import Client
from django.urls import reverse

from devcluster import binaries
from provisioning.cluster.records import unpacked
from provisioning.tests.canaries import Arguments, Needles, database, hits, needles_of
from provisioning.tests.real_platform import TEST, OpenPlatform, Platform, until
from stores import services
from stores.lifecycle import Status
from stores.models import Inquiry, Store
from stores.tests.people import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]
RECORDS = "owner=helm"


def cluster_but_secrets(platform: Platform) -> Iterator[tuple[str, str]]:
    """Every object of every kind that can be listed, events too; of Helm's records what they say."""
    kubectl = platform.devcluster.kubectl
    kinds = kubectl("api-resources", "--verbs=list", "--output=name").split()
    assert len(kinds) > 30
    others = ",".join(kind for kind in kinds if kind != "secrets")
    yield "the cluster", kubectl("get", others, "--all-namespaces", "--output=yaml")
    found = json.loads(
        kubectl("get", "secrets", "--all-namespaces", f"--selector={RECORDS}", "--output=json")
    )
    for record in found["items"]:
        yield (
            f"Helm's record {record['metadata']['name']}",
            json.dumps(unpacked(record["data"]["release"])),
        )


def helm_says(platform: Platform, store: Store) -> Iterator[tuple[str, str]]:
    for what in ("values", "manifest", "notes", "hooks", "metadata"):
        more = ["--all"] if what == "values" else []
        said = subprocess.run(
            [str(binaries() / "helm"), "get", what, "store", "--namespace", store.namespace, *more],
            env={"KUBECONFIG": str(platform.devcluster.kubeconfig), "HOME": str(platform.folder)},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        yield f"helm get {what}", said


def files(folder: Path) -> Iterator[tuple[str, str]]:
    """Logs, and whatever else our processes have left on the disk."""
    for file in folder.rglob("*"):
        if file.is_file():
            yield str(file.relative_to(folder)), file.read_bytes().decode("latin-1")


def reveal(platform: Platform, store: Store) -> str:
    """Through the portal's page."""
    client = Client()
    client.force_login(platform.alice)
    url = reverse("store-reveal", args=[store.pk])
    form = client.get(url).context["form"]
    answer = client.post(url, {"token": form["token"].value(), "password": PASSWORD})
    assert answer.status_code == 200
    return answer.content.decode()


def test_no_secret_of_a_store_is_anywhere_but_in_its_secrets(
    open_platform: OpenPlatform, caplog: pytest.LogCaptureFixture, settings
) -> None:
    settings.REVEAL_WAIT_SECONDS = 30
    with (
        open_platform(LOG_LEVEL="DEBUG", QUEUE_LOG_LEVEL="DEBUG", GRACE_SECONDS=0) as platform,
        Arguments() as arguments,
        caplog.at_level(logging.DEBUG),
    ):
        platform.alice.set_password(PASSWORD)
        platform.alice.save()
        platform.start_worker()
        platform.start_watcher()
        good = platform.wait_for(platform.create(), Status.READY)
        bad = failed(platform)
        needles = needles_of(platform.admin, good, bad)
        assert len(set(needles.values())) == 2 * (2 + 1 + 8)
        services.refresh_store(good, actor=TEST)
        platform.wait_for(good, Status.READY)
        page = reveal(platform, good)
        check_the_search(needles, page, good)
        assert not Inquiry.objects.exists()
        everywhere = [
            *database(),
            *cluster_but_secrets(platform),
            *helm_says(platform, good),
            *caches_of_this_process(),
        ]
        assert hits(needles, everywhere) == []
        for store in (good, bad):
            services.delete_store(store, actor=TEST)
            platform.wait_for(store, Status.DELETED)
        platform.kill_all()
        # The audit trail and the receipt are in there, as is what was deleted.
        assert hits(needles, [*database(), *cluster_but_secrets(platform)]) == []
        assert hits(needles, files(platform.folder)) == []
        assert hits(needles, [("the log of the web process", caplog.text)]) == []
    assert any("--values" in line and "upgrade" in line for line in arguments.seen)
    assert hits(needles, [("arguments of a process", line) for line in arguments.seen]) == []


def failed(platform: Platform) -> Store:
    """A store whose image is not there."""
    with platform.helm_held():
        store = platform.create("Bad")
        until(lambda: platform.helm_runs(store.namespace), "Helm to run")
        platform.devcluster.situation("image-pull", namespace=store.namespace)
    try:
        return platform.wait_for(store, Status.FAILED)
    finally:
        platform.devcluster.clear_situations()


def caches_of_this_process() -> Iterator[tuple[str, str]]:
    """The shared one is a table; this one is in memory."""
    for name in caches:
        for key, value in getattr(caches[name], "_cache", {}).items():
            yield f"the cache {name}", f"{key} {value!r}"


def check_the_search(needles: Needles, page: str, store: Store) -> None:
    """That it would find something: on the page that was just shown, and as others would write it."""
    (found,) = hits(needles, [("the page", page)])
    assert found == ("the page", f"{store.namespace}/store-wordpress/admin-password")
    for one, where in needles.items():
        assert hits(needles, [("", yaml.safe_dump({"data": f"before{one}after"}))]), where
