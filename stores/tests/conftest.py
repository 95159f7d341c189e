"""The support team at their browsers, and a store for them to look after."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.db.models.functions import Now
from django.test import Client

from stores.actor import SYSTEM, Actor
from stores.apps import SUPPORT
from stores.lifecycle import Status
from stores.models import Store, User
from stores.services import create_store
from stores.tests.people import enrol


@pytest.fixture
def store(alice: User, as_alice: Actor) -> Store:
    store = create_store(actor=as_alice, owner=alice, name="Anna’s <b>", address="annas-shop")
    store.move_to(Status.PROVISIONING, actor=SYSTEM)
    store.operations.open().update(finished_at=Now(), outcome="succeeded")
    store.move_to(Status.READY, actor=SYSTEM)
    return store


@pytest.fixture
def erin(db) -> User:
    """Staff in the group that is shipped, not a superuser."""
    erin = User.objects.create_user("erin", "erin@example.com", "a long password", is_staff=True)
    erin.groups.add(Group.objects.get(name=SUPPORT))
    enrol(erin)
    return erin


@pytest.fixture
def at_carol(carol: User) -> Client:
    client = Client()
    client.force_login(carol)
    return client


@pytest.fixture
def at_erin(erin: User) -> Client:
    client = Client()
    client.force_login(erin)
    return client
