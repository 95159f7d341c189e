"""Nothing of a shop runs before its walls stand (S52): a guardrail that cannot be made stops it."""

from __future__ import annotations

import pytest

from provisioning import manifests, runner
from provisioning.errors import NotYet, StepFailed
from provisioning.tests.conftest import deliver
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Store
from stores.services import retry_store

RUNS = ("Deployment", "StatefulSet", "Job", "Pod", "Secret")


@pytest.mark.parametrize("kind", [kind for kind, _ in manifests.GUARDRAILS])
@pytest.mark.parametrize("refusal", [StepFailed, NotYet])
def test_without_every_guardrail_no_pod_starts(
    kind, refusal, store, as_alice, cluster, clock, work, monkeypatch, settings
):
    settings.RETRY_SECONDS = [0]
    apply = cluster.apply

    def refuse(manifest):
        if manifest["kind"] == kind:
            raise refusal(Message("rejected", {"reason": "No."}))
        return apply(manifest)

    monkeypatch.setattr(cluster, "apply", refuse)
    for _ in range(10):
        deliver(cluster)
        clock.passes(30)
        Store.objects.update(due_at=None)
    store.refresh_from_db()
    assert store.status in (Status.PROVISIONING, Status.FAILED)
    with cluster.file.reading() as objects:
        assert objects.of_kind(*RUNS, namespace=store.namespace) == []
    # Once it can be made, the shop comes to be behind it.
    monkeypatch.setattr(cluster, "apply", apply)
    if store.status == Status.FAILED:
        retry_store(store, actor=as_alice)
    work(store)
    assert store.status == Status.READY


@pytest.mark.parametrize(("kind", "name"), manifests.GUARDRAILS)
def test_a_guardrail_that_was_taken_away_is_there_again_after_the_next_pass(
    kind, name, store, cluster, clock, work
):
    work(store)
    cluster.delete(kind, name, store.namespace)
    Store.objects.update(rings=1, due_at=None)
    runner.converge(store.pk, cluster)
    assert cluster.get(kind, name, store.namespace)
