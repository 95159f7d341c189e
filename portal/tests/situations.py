"""Rows for every state a page can show, for a platform whose rows stay as they are put (``still``).

Runs in the platform's console: ``make()`` returns what pages.py needs to know of them.
"""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from portal.invitations import path_of
from portal.tests.conftest import FAILURE, brought_to
from provisioning.diagnosis import Diagnosis
from stores import services
from stores.actor import Actor
from stores.apps import SUPPORT
from stores.lifecycle import Health, Status
from stores.messages import Message
from stores.models import Consent, Handover, Heartbeat, Operation, Share, Store, User
from stores.tests.people import PASSWORD

# passkey.json is one that Chromium's virtual authenticator made.
HERE = Path(__file__).parent
YEAR = 365 * 86400
# Who is there; the word behind each name is what they are here for.
PEOPLE: dict[str, dict[str, Any]] = {
    "alice": {"max_stores": 30},  # owns a store in every state
    "bob": {"max_stores": 3},  # has none yet
    "dora": {"max_stores": 2},  # views one of alice's
    "emil": {"max_stores": 2},  # manages one of alice's
    "flora": {"max_stores": 1},  # has no place left
    "gustav": {"max_stores": 0},  # may not create
    "ida": {"max_stores": 1, "is_active": False},  # is shut out
    "carol": {"max_stores": 0, "is_staff": True},  # is of the support team
    "ruth": {"max_stores": 0, "is_staff": True, "is_superuser": True},  # may everything
}
LONG = "Grandmother Wilhelmine’s " + "very" * 7 + "longer"
CAUSE = Message("crash-loop", {"name": "db", "reason": "Error", "exit_code": 1})
LINES = ("Pod db-0, container db: Error, exit code 1", "Back-off " + "restarting-" * 20)
ILL = Message("database-down", {"name": "db"})
GONE = "2026-03-01T10:20:30+00:00"
RECEIPT = {
    "hash": "ab" * 32,
    "items": [
        {"kind": kind, "name": name, "namespace": "store-x", "uid": f"u-{name}", "gone": GONE}
        for kind, name in (("Namespace", "store-x"), ("Secret", "db"), ("Secret", "admin"))
    ]
    + [
        {
            "kind": "PersistentVolume", "name": "pvc-7", "namespace": "", "uid": "u-7",
            "reclaim": "Retain", "kept": "its storage class keeps it",
        }
    ],
}  # fmt: skip
USAGE = {
    "requests.cpu": {"used": "1", "hard": "4"},
    "requests.memory": {"used": "3900Mi", "hard": "4Gi"},
    "pods": {"used": "4", "hard": "20"},
    "persistentvolumeclaims": {"used": "2", "hard": "10"},
}


def make() -> dict[str, Any]:
    people = {name: person(name, **fields) for name, fields in PEOPLE.items()}
    for name in (Heartbeat.WATCHER, Heartbeat.SWEEP, Heartbeat.WORKER):
        # In a year: nobody beats here, and nobody is to miss it.
        Heartbeat.objects.create(name=name, at=timezone.now() + timedelta(days=365))
    stores = stores_of(people["alice"])
    brought_to("ready", LONG, people["flora"], "flora-" + "x" * 30)
    tickets = share(stores, people)
    return {
        "sessions": {name: session_of(user, believed_for=YEAR) for name, user in people.items()},
        "people": {name: str(user.pk) for name, user in people.items()},
        "stores": {name: str(store.pk) for name, store in stores.items()},
        "rows": first_rows(),
        "examples": examples(people["alice"]),
        "tickets": tickets,
    }


def person(name: str, **fields: Any) -> User:
    user = User.objects.create_user(name, f"{name}@example.com", PASSWORD, **fields)
    user.emailaddress_set.create(email=user.email, primary=True, verified=True)
    if user.is_staff:
        user.groups.add(Group.objects.get(name=SUPPORT))
        TOTP.activate(user, generate_totp_secret())
    return user


def session_of(user: User, *, believed_for: float = 0) -> str:
    """Of somebody who has logged in just now. ``believed_for``: and has said again who they are,
    which is to last so many seconds longer than with others."""
    client = Client()
    client.force_login(user)
    session = client.session
    session["account_authentication_methods_user"] = str(user.pk)
    session["account_authentication_methods"] = [
        {
            "method": "password",
            "at": time.time() + believed_for,
            "username": user.username,
            "reauthenticated": believed_for > 0,
        }
    ]
    session.save()
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def examples(alice: User) -> dict[str, dict[str, list[str]]]:
    """For the places in the addresses of allauth's pages."""
    key = two_factors(alice)
    other = alice.emailaddress_set.create(email="alice@example.org")
    reset = {
        "uidb36": [user_pk_to_url_str(alice)],
        "key": [default_token_generator.make_token(alice)],
    }
    return {
        "account-invitation": {"token": [path_of("new@example.com").split("/")[-2]]},
        "account-session-end": {"number": ["1"]},
        "account_confirm_email": {"key": [EmailConfirmationHMAC(other).key, "no-such-key"]},
        "account_reset_password_from_key": reset,
        "mfa_remove_webauthn": {"pk": [key]},
        "mfa_edit_webauthn": {"pk": [key]},
    }


def two_factors(user: User) -> str:
    """An app, recovery codes and a passkey, whose number is returned."""
    TOTP.activate(user, generate_totp_secret())
    RecoveryCodes.activate(user)
    key = Authenticator.objects.create(
        user=user,
        type=Authenticator.Type.WEBAUTHN,
        data=json.loads((HERE / "passkey.json").read_text()),
    )
    return str(key.pk)


def stores_of(alice: User) -> dict[str, Store]:
    """One in every status; failed with and without a diagnosis; ready in every health."""
    stores = {
        status: brought_to(status, f"Anna’s {status} shop", alice, f"annas-{status}")
        for status in Status.values
    }
    stores["diagnosed"] = diagnosed(brought_to("failed", LONG, alice, "diagnosed"))
    for health in Health.values:
        name = f"{health} Herbs & <b>Spices</b>"
        stores[health] = brought_to("ready", name, alice, f"herbs-{health}")
        in_health(stores[health], health)
    stores["earlier"] = brought_to("failed", "Third time lucky", alice, "third-time")
    services.retry_store(stores["earlier"], actor=Actor(alice, "test"))
    stores["deleted"].operations.filter(kind="delete").update(receipt=RECEIPT)
    Store.objects.update(usage=USAGE, status_since=timezone.now() - timedelta(minutes=3))
    return stores


def diagnosed(store: Store) -> Store:
    found = Diagnosis(CAUSE, "workload", "owner", "retry", LINES)
    Operation.objects.filter(store=store).update(
        diagnosis=found.as_json(), message=FAILURE.as_json()
    )
    return store


def in_health(store: Store, health: str) -> None:
    hour_ago = timezone.now() - timedelta(hours=1)
    Store.objects.filter(pk=store.pk).update(
        health=health, health_since=hour_ago, observed_at=timezone.now(), ready_at=hour_ago,
        health_message=CAUSE.as_json() if health != Health.HEALTHY else {},
    )  # fmt: skip


def share(stores: dict[str, Store], people: dict[str, User]) -> dict[str, str]:
    """The healthy one is shared, offered to somebody, and open to the support team.

    Returns what the places in the addresses of invitations are filled with.
    """
    now = timezone.now()
    store = stores["healthy"]
    for name, role in (("dora", Share.Role.VIEWER), ("emil", Share.Role.MANAGER)):
        Share.objects.create(
            store=store, email=people[name].email, role=role, user=people[name], accepted_at=now
        )
    invitation = Share.objects.create(store=stores["degraded"], email=people["bob"].email)
    pending = Share.objects.create(store=store, email="nobody@example.com")
    handover = Handover.objects.create(store=store, email=people["bob"].email)
    Consent.objects.create(
        store=store, asked_by=people["carol"], given_at=now, ends_at=now + timedelta(days=2)
    )
    Consent.objects.create(store=stores["ready"], asked_by=people["carol"], asked_at=now)
    return {
        "share_id": str(pending.pk),
        "invitation_id": str(invitation.pk),
        "handover_id": str(handover.pk),
    }


def first_rows() -> dict[str, str]:
    """For each model of the admin, a row: ``{"stores_store": its key}``."""
    rows = {}
    for model in admin.site._registry:
        first = model._default_manager.first()
        if first is not None:
            rows[f"{model._meta.app_label}_{model._meta.model_name}"] = str(first.pk)
    return rows
