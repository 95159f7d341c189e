"""Taking a store back that the cluster knows and we do not: the verb behind ``adopt_stores``.

Everything is checked and written in one transaction: a store is adopted whole, or refused with what
to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from stores import names, plans, queue, services
from stores.actor import Actor
from stores.audit import AuditEvent, AuditHead
from stores.errors import Refused
from stores.lifecycle import Status
from stores.models import Operation, Store, User


@dataclass(frozen=True)
class Remains:
    """What the cluster says about a store. ``ready_at``: since when its data may be of worth."""

    id: UUID
    owner: UUID
    owner_email: str
    name: str
    address: str
    engine: str
    plan: str
    generation: int
    chart_version: str
    namespace: str
    namespace_uid: str
    created_at: datetime
    ready_at: datetime | None
    status: Status


def adopt_store(remains: Remains, *, actor: Actor, heirs: dict[UUID, User] | None = None) -> Store:
    """A row for what is there, within a quota raised as far as needed. Raises Refused.

    ``heirs``: who takes the place of an owner, by the uuid that the cluster knows.
    """
    check(remains)
    with transaction.atomic():
        owner = (heirs or {}).get(remains.owner) or owner_of(remains, actor)
        owner = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        AuditHead.lock()
        refuse_collision(remains)
        make_room(owner, actor)
        store = row(remains, owner)
        store.save(force_insert=True)
        AuditEvent.record("store.adopt", actor=actor, store=store, details=details(store))
        set_to_work(store, actor)
    return store


def check(remains: Remains) -> None:
    """By the rules that any store follows."""
    names.clean_name(remains.name)
    names.clean_address(remains.address)
    plans.clean_plan(remains.plan)
    services.clean_engine(remains.engine)
    if remains.namespace != (due := names.namespace_name(remains.address, remains.id)):
        raise Refused(f"The namespace of such a store is named {due}. Somebody changed its labels.")


def owner_of(remains: Remains, actor: Actor) -> User:
    """The user with that uuid; else a new one who cannot log in until support lets them."""
    if known := User.objects.filter(uuid=remains.owner).first():
        return known
    email = remains.owner_email
    if email and (other := User.objects.filter(email__iexact=email).first()):
        raise email_taken(remains, other.get_username())
    user = User(
        username=username_of(remains),
        email=email,
        uuid=remains.owner,
        is_active=False,
        max_stores=0,
    )
    user.set_unusable_password()
    user.save(force_insert=True)
    AuditEvent.record("user.adopt", actor=actor, details={"user": user.pseudonym})
    return user


def refuse_collision(remains: Remains) -> None:
    if other := Store.objects.filter(pk=remains.id).first():
        raise Refused(f"There is a row of that store by now; it is {other.status}.")
    if other := Store.objects.existing().filter(address=remains.address).first():
        raise address_taken(remains, other.pk)


def refuse_beside(remains: Remains, before: Iterable[Remains], heirs: Mapping[UUID, User]) -> None:
    """Raise the Refused that would be raised if ``before`` had been adopted, which are in no row."""
    before = list(before)
    if is_new(remains.owner, heirs) and remains.owner_email:
        for other in before:
            same = other.owner_email.lower() == remains.owner_email.lower()
            if same and other.owner != remains.owner and is_new(other.owner, heirs):
                raise email_taken(remains, username_of(other))
    for other in before:
        if other.address == remains.address:
            raise address_taken(remains, other.id)


def is_new(owner: UUID, heirs: Mapping[UUID, User]) -> bool:
    return owner not in heirs and not User.objects.filter(uuid=owner).exists()


def username_of(remains: Remains) -> str:
    stem = names.suggest_address(remains.owner_email.partition("@")[0]) or "owner"
    return f"{stem}-{remains.owner.hex[:8]}"


def email_taken(remains: Remains, username: str) -> Refused:
    return Refused(
        f"The owner was {remains.owner_email} ({remains.owner}), and the user “{username}” has that "
        f"e-mail and another id. If it is the same person, say --owner {remains.owner}={username}."
    )


def address_taken(remains: Remains, store_id: UUID) -> Refused:
    return Refused(
        f"The address “{remains.address}” has been given to another store since, {store_id}. "
        "Delete one of the two: that store in the portal, or this namespace with kubectl."
    )


def make_room(owner: User, actor: Actor) -> None:
    held = owner.stores.counted().count()
    if held >= owner.max_stores:
        services.set_quota(owner, held + 1, actor=actor)
        owner.refresh_from_db(fields=["max_stores"])


def row(remains: Remains, owner: User) -> Store:
    return Store(
        id=remains.id,
        owner=owner,
        slot=services.free_slot(owner),
        name=remains.name,
        address=remains.address,
        engine=remains.engine,
        plan=remains.plan,
        generation=remains.generation,
        chart_version=remains.chart_version,
        namespace=remains.namespace,
        namespace_uid=remains.namespace_uid,
        created_at=remains.created_at,
        ready_at=remains.ready_at,
        status=remains.status,
    )


def details(store: Store) -> dict[str, str]:
    return {
        "owner": store.owner.pseudonym,
        "address": store.address,
        "namespace": store.namespace,
        "uid": store.namespace_uid,
        "status": store.status,
    }


def set_to_work(store: Store, actor: Actor) -> None:
    if store.status == Status.DELETING:
        services.begin(store, Operation.Kind.DELETE, actor, {"adopted": True})
    elif store.status == Status.REQUESTED:
        services.begin(store, Operation.Kind.CREATE, actor, {"adopted": True})
    else:
        queue.ring(store.pk)
