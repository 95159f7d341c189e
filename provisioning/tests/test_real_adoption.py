"""The portal's database is lost, and shops run on: they are taken back as they are."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from provisioning.tests.real_checks import check_invariants, namespace_uid, passwords
from provisioning.tests.real_platform import TEST, Platform
from stores import services
from stores.lifecycle import Status
from stores.models import Store

pytestmark = pytest.mark.cluster
pytest_plugins = ["provisioning.tests.real_fixtures"]


def test_a_lost_database_costs_no_shop_and_no_password(platform: Platform) -> None:
    platform.start_worker()
    platform.start_watcher()
    running, other = platform.create("Anna’s Ceramics 🛍"), platform.create(owner=platform.bob)
    for store in (running, other):
        platform.wait_for(store, Status.READY)
    platform.kill_all()
    before = {store.pk: passwords(platform.admin, store) for store in (running, other)}
    helm_before = platform.helm_runs()

    call_command("flush", interactive=False, verbosity=0)
    # She is known by her uuid; her number is another one in another database.
    platform.alice.pk = None
    platform.alice.save(force_insert=True)
    adopting = platform.start("manage.py", "adopt_stores", "--apply", log="adopt")
    assert adopting.wait() == 0, adopting.said
    # Other tests may have left namespaces of their own behind.
    adopted = {line.split()[1] for line in adopting.said.splitlines() if " ready " in line}
    assert {str(running.pk), str(other.pk)} <= adopted, adopting.said

    platform.start_worker()
    platform.start_watcher()
    for store in (running, other):
        found = platform.wait_for(Store.objects.get(pk=store.pk), Status.READY)
        assert found.name == store.name and found.namespace_uid == namespace_uid(
            platform.admin, store
        )
        assert passwords(platform.admin, store) == before[store.pk] != {}
    assert Store.objects.get(pk=other.pk).owner.email == "bob@example.com"
    assert not Store.objects.get(pk=other.pk).owner.is_active
    assert platform.helm_runs() == helm_before
    check_invariants(platform, settled=True)

    # And they can be looked after as before.
    services.delete_store(other, actor=TEST)
    platform.wait_for(Store.objects.get(pk=other.pk), Status.DELETED)
