"""Stores in every state, and people at their browsers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from allauth.account.internal.flows.login import (
    AUTHENTICATION_METHODS_SESSION_KEY,
    record_authentication,
)
from django.conf import settings
from django.db.models.functions import Now
from django.http import HttpRequest
from django.test import Client, override_settings

from stores.actor import SYSTEM, Actor
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Operation, OperationStep, Store, User
from stores.services import create_store, delete_store

WAITING = Message("workload-starting", {"name": "web", "ready": 0, "wanted": 1})
FAILURE = Message("image-unavailable", {"image": "shop:none", "reason": "not found"})
ROUTE_TO = {
    Status.REQUESTED: (),
    Status.PROVISIONING: (Status.PROVISIONING,),
    Status.READY: (Status.PROVISIONING, Status.READY),
    Status.UPDATING: (Status.PROVISIONING, Status.READY, Status.UPDATING),
    Status.FAILED: (Status.PROVISIONING, Status.FAILED),
    Status.CLOSING: (Status.PROVISIONING, Status.READY),
    Status.DELETING: (Status.PROVISIONING, Status.READY),
    Status.DELETED: (Status.PROVISIONING, Status.READY),
}


def step(store: Store, name: str, outcome: str, message: Message | None = None) -> None:
    operation = store.operations.get(finished_at=None)
    OperationStep.objects.create(
        operation=operation,
        name=name,
        position=operation.steps.count(),
        outcome=outcome,
        tries=3,
        ended_at=None if outcome in ("running", "waiting") else Now(),
        message=message.as_json() if message else {},
    )


def finish(store: Store, outcome: str) -> None:
    store.operations.open().update(finished_at=Now(), outcome=outcome)


def brought_to(status: str, name: str, owner: User, address: str) -> Store:
    """A store brought to a status by the arrows of the lifecycle, as a worker would."""
    actor = Actor(owner, "test")
    store = create_store(actor=actor, owner=owner, name=name, address=address)
    step(store, "create_namespace", "done")
    for moved in ROUTE_TO[Status(status)]:
        if moved == Status.FAILED:
            step(store, "wait_until_running", "failed", FAILURE)
        store.move_to(moved, actor=SYSTEM, message=FAILURE if moved == Status.FAILED else None)
        if store.is_settled:
            finish(store, "failed" if moved == Status.FAILED else "succeeded")
    if status in (Status.PROVISIONING, Status.UPDATING):
        Operation.objects.filter(store=store).update(finished_at=None, outcome="")
        step(store, "wait_until_running", "waiting", WAITING)
    if status == Status.CLOSING:
        with override_settings(GRACE_SECONDS=600):
            delete_store(store, actor=actor)
    if status in (Status.DELETING, Status.DELETED):
        delete_store(store, actor=actor, now=True)
        store.refresh_from_db()
    if status == Status.DELETED:
        finish(store, "succeeded")
        store.move_to(Status.DELETED, actor=SYSTEM, slot=None, deleted_at=Now())
    return store


@pytest.fixture
def make_store(alice: User) -> Callable[..., Store]:
    """A store of alice's in a status; its address counts on."""

    def make(status: str = "ready", name: str = "Anna’s Ceramics", owner: User = alice) -> Store:
        return brought_to(status, name, owner, f"shop-no-{Store.objects.count()}")

    return make


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    return make_store("ready")


def browser_of(user: User) -> Client:
    """Where they have just given their password."""
    client = Client()
    client.force_login(user)
    session = client.session
    session.update(just_proved(user))
    session.save()
    return client


def just_proved(user: User) -> dict[str, Any]:
    """What a session holds of it."""
    request = HttpRequest()
    request.session = {}
    record_authentication(request, user, "password", reauthenticated=True)
    return request.session


def long_after(client: Client) -> Client:
    """The same browser, and the same login, when a password that was given is long ago."""
    session = client.session
    for record in session[AUTHENTICATION_METHODS_SESSION_KEY]:
        record["at"] -= settings.ACCOUNT_REAUTHENTICATION_TIMEOUT + 1
    session.save()
    return client


@pytest.fixture
def at_alice(alice: User) -> Client:
    return browser_of(alice)


@pytest.fixture
def at_bob(bob: User) -> Client:
    return browser_of(bob)


@pytest.fixture
def at_carol(carol: User) -> Client:
    return browser_of(carol)
