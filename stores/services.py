"""The verbs: what people can do to stores.

Each takes an actor and joins rule, row, audit event and doorbell in one transaction. Pages, the
admin and commands all call these.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from stores import names, plans, queue
from stores.actor import Actor
from stores.audit import AuditEvent, AuditHead
from stores.errors import IllegalTransition, QuotaExceeded, Refused
from stores.lifecycle import TRANSITIONS, Status
from stores.messages import Message
from stores.models import Operation, Store, User

MAX_STORES_LIMIT = 1000


def create_store(
    *,
    actor: Actor,
    owner: User,
    name: str,
    address: str = "",
    plan: str = plans.DEFAULT_PLAN,
    engine: str = Store.Engine.WOOCOMMERCE,
    idempotency_key: str = "",
) -> Store:
    """A new store for ``owner``; with a key seen before, the store made then. Raises Refused."""
    name = names.clean_name(name)
    address = names.clean_address(address or suggested_address(name))
    plan = plans.clean_plan(plan)
    engine = clean_engine(engine)
    with transaction.atomic():
        # Everybody who creates for this owner waits here (PostgreSQL); on SQLite every
        # transaction that writes waits for the others anyway. Without the key: whoever holds the
        # audit head may still name this user in an event.
        owner = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        if idempotency_key and (
            made := owner.stores.filter(idempotency_key=idempotency_key).first()
        ):
            return made
        slot = free_slot(owner)
        # The audit head is the lock for what all owners share: the platform's limit and the
        # addresses.
        AuditHead.lock()
        check_platform_limit()
        check_address_is_free(address, owner)
        store = Store(
            owner=owner,
            slot=slot,
            idempotency_key=idempotency_key,
            name=name,
            address=address,
            plan=plan,
            engine=engine,
        )
        store.namespace = names.namespace_name(address, store.pk)
        store.save(force_insert=True)
        begin(
            store,
            Operation.Kind.CREATE,
            actor,
            {"address": address, "plan": plan, "engine": engine, "owner": owner.get_username()},
        )
    return store


def retry_store(store: Store, *, actor: Actor) -> None:
    """Try a failed store again, from the first step, with a fresh deadline."""
    store.refresh_from_db()
    require(store, Status.REQUESTED, "Only a failed store can be retried")
    with transaction.atomic():
        store.move_to(
            Status.REQUESTED,
            actor=actor,
            generation=F("generation") + 1,
            attempts=0,
            due_at=None,
            deadline_at=None,
            outage_since=None,
            # A namespace that somebody took away may be made anew as long as it held no shop.
            namespace_uid=store.namespace_uid if store.ready_at else "",
        )
        begin(store, Operation.Kind.RETRY, actor)


def refresh_store(store: Store, *, actor: Actor) -> None:
    """Look at a ready store again, put right what differs, and bring it to the current chart."""
    store.refresh_from_db()
    require(store, Status.UPDATING, "Only a ready store can be refreshed")
    with transaction.atomic():
        store.move_to(
            Status.UPDATING,
            actor=actor,
            chart_version="",
            attempts=0,
            due_at=None,
            deadline_at=None,  # set by the first pass: waiting for a worker does not count
        )
        begin(store, Operation.Kind.REFRESH, actor)


def delete_store(store: Store, *, actor: Actor) -> None:
    """Remove the store and everything in it. Asking again while it is being deleted changes nothing."""
    store.refresh_from_db()
    if store.status in (Status.DELETING, Status.DELETED):
        return
    with transaction.atomic():
        store.move_to(Status.DELETING, actor=actor, attempts=0, due_at=None, deadline_at=None)
        store.operations.open().update(
            finished_at=Now(),
            outcome=Operation.Outcome.SUPERSEDED,
            message=Message("superseded").as_json(),
        )
        begin(store, Operation.Kind.DELETE, actor)


def set_quota(user: User, max_stores: int, *, actor: Actor) -> None:
    """How many stores the user may have. Lowering it below what exists takes nothing away."""
    if not 0 <= max_stores <= MAX_STORES_LIMIT:
        raise Refused(
            f"The quota must be between 0 and {MAX_STORES_LIMIT}, not {max_stores}.",
            field="max_stores",
        )
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if user.max_stores == max_stores:
            return
        AuditEvent.record(
            "user.set_quota",
            actor=actor,
            details={"user": user.get_username(), "from": user.max_stores, "to": max_stores},
        )
        User.objects.filter(pk=user.pk).update(max_stores=max_stores)


def begin(
    store: Store, kind: Operation.Kind, actor: Actor, details: dict[str, Any] | None = None
) -> None:
    Operation.objects.create(store=store, kind=kind, actor=actor.user)
    AuditEvent.record(f"store.ask_{kind}", actor=actor, store=store, details=details)
    queue.ring(store.pk)
    store.refresh_from_db()


def require(store: Store, wanted: Status, rule: str) -> None:
    if wanted not in TRANSITIONS[Status(store.status)]:
        raise IllegalTransition(f"{rule}; this one is {store.get_status_display().lower()}.")


def clean_engine(code: str) -> str:
    if code not in Store.Engine.values:
        known = ", ".join(Store.Engine.values)
        raise Refused(f"There is no engine “{code}”. Choose one of: {known}.", field="engine")
    return code


def suggested_address(name: str) -> str:
    if address := names.suggest_address(name):
        return address
    raise Refused(
        "No address can be made from this name. Choose one: " + names.ADDRESS_RULE, field="address"
    )


def free_slot(owner: User) -> int:
    """The lowest free place in the owner's quota. Raises QuotaExceeded."""
    if owner.max_stores == 0:
        raise QuotaExceeded("Your account may not create stores. Ask support for a quota.")
    taken = set(owner.stores.counted().values_list("slot", flat=True))
    if len(taken) >= owner.max_stores:
        raise QuotaExceeded(
            f"You have {len(taken)} of {owner.max_stores} stores. "
            "Delete one you no longer need, or ask support for a larger quota."
        )
    return next(slot for slot in range(len(taken) + 1) if slot not in taken)


def check_platform_limit() -> None:
    if Store.objects.existing().count() >= settings.MAX_STORES_TOTAL:
        raise QuotaExceeded(
            "The platform is full at the moment. Try again later, or ask support to make room."
        )


def check_address_is_free(address: str, owner: User) -> None:
    """Nobody has the address, and nobody else had it recently. Raises Refused."""
    holders = Store.objects.filter(address=address)
    held_since = timezone.now() - timedelta(days=settings.ADDRESS_HOLD_DAYS)
    taken = holders.existing().exists()
    held = holders.filter(status=Status.DELETED, deleted_at__gt=held_since).exclude(owner=owner)
    # One sentence for both: whose it is, or was, is nobody's business.
    if taken or held.exists():
        raise Refused(f"The address “{address}” is taken. Choose another one.", field="address")
