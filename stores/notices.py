"""Letters about a store to its people: its owner and managers, as far as each of them wants to read.

Ready and failed are told in the transaction in which they happen. That a shop is unwell is told once
it has been so for long, and that it is well again once: the row remembers what was told last.
"""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from stores.letters import write
from stores.lifecycle import Health
from stores.messages import Message
from stores.models import Operation, Share, Store, User

# What somebody waits for at their screen, and leaves. A refresh or a repair nobody waits for.
AWAITED = (Operation.Kind.CREATE, Operation.Kind.RETRY, Operation.Kind.UNDO)
UNWELL = (Health.DEGRADED, Health.LOST)


def people_of(store: Store, flag: str) -> QuerySet[User]:
    """Who is written to about it: ``flag`` is the field of ``User`` with which they chose so."""
    owned = Q(pk=store.owner_id)
    managed = Q(shares__store=store, shares__role=Share.Role.MANAGER)
    readers = User.objects.filter(owned | managed, is_active=True, **{flag: True})
    return readers.exclude(email="").distinct().order_by("pk")


def tell_ready(store: Store, operation: Operation | None) -> None:
    """Inside the transaction that makes it ready."""
    if operation and operation.kind in AWAITED:
        for person in people_of(store, "mail_ready"):
            write("store-ready", person, store=store, kind=operation.kind)


def tell_failed(store: Store, message: Message) -> None:
    """Inside the transaction in which it fails."""
    for person in people_of(store, "mail_failed"):
        write("store-failed", person, store=store, message=message.as_json())


def tell_health() -> int:
    """About every store that has been unwell for long, or is well again; how many those were."""
    return sum(tell_health_of(store) for store in [*unwell_for_long(), *well_again()])


def unwell_for_long() -> QuerySet[Store]:
    since = Now() - timedelta(seconds=settings.MAIL_DEGRADED_SECONDS)
    unwell = Store.objects.observed().filter(health__in=UNWELL, health_since__lte=since)
    # That what was lost is only degraded now is no news to anybody.
    return unwell.exclude(mailed_health=Health.DEGRADED, health=Health.DEGRADED).exclude(
        mailed_health=Health.LOST
    )


def well_again() -> QuerySet[Store]:
    since = Now() - timedelta(seconds=settings.MAIL_RECOVERED_SECONDS)
    well = Store.objects.observed().filter(health=Health.HEALTHY, health_since__lte=since)
    return well.filter(mailed_health__in=UNWELL)


def tell_health_of(store: Store) -> bool:
    well = store.health == Health.HEALTHY
    code = "store-recovered" if well else f"store-{store.health}"
    with transaction.atomic():
        here = Store.objects.filter(
            pk=store.pk, health=store.health, mailed_health=store.mailed_health
        )
        if not here.update(mailed_health="" if well else store.health):
            return False  # somebody else has told it
        for person in people_of(store, "mail_degraded"):
            since = store.health_since.isoformat() if store.health_since else ""
            write(code, person, store=store, message=store.health_message, since=since)
    return True
