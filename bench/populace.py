"""A database as it is after years: many owners with stores of every kind, and all that went on with them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from provisioning.steps import PROVISION
from stores.audit import AuditEvent, AuditHead
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Heartbeat, Operation, OperationStep, Share, Store, User

EACH = 10  # stores of one owner
SHARED = 0.05
# Of a hundred stores; the rest is ready.
KINDS = {Status.FAILED: 3, Status.DELETED: 5, Status.UPDATING: 1}
ROWS_AT_ONCE = 2000
FAILURE = Message("image-unavailable", {"image": "shop:none", "reason": "not found"}).as_json()
USAGE = {
    "requests.cpu": {"used": "1300m", "hard": "4"},
    "requests.memory": {"used": "1664Mi", "hard": "4Gi"},
    "persistentvolumeclaims": {"used": "2", "hard": "10"},
}


class Populace:
    """Grows; the same each time, whatever the database."""

    def __init__(self) -> None:
        self.chance = random.Random(5)
        self.now = timezone.now()
        self.stores: list[Store] = []
        self.owners: list[User] = []

    def grow(self, count: int) -> None:
        """To so many stores."""
        with transaction.atomic():
            stores = [self.store(number) for number in range(len(self.stores), count)]
            put(Store, stores)
            put(Share, [self.share(one) for one in stores if self.chance.random() < SHARED])
            operations = [one for store in stores for one in self.operations(store)]
            put(Operation, operations)
            put(OperationStep, [step for one in operations for step in self.steps(one)])
            self.write_audit(operations)
        self.stores += stores
        self.be_alive()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")

    def be_alive(self) -> None:
        for name in (Heartbeat.WATCHER, Heartbeat.SWEEP, Heartbeat.WORKER):
            Heartbeat.beat(name)

    def owner(self, number: int) -> User:
        while len(self.owners) <= number:
            name = f"owner-{len(self.owners)}"
            user = User(username=name, email=f"{name}@example.com", max_stores=2 * EACH)
            user.set_unusable_password()
            user.save()
            self.owners.append(user)
        return self.owners[number]

    def store(self, number: int) -> Store:
        status = self.status(number)
        made = self.now - timedelta(minutes=number + 60)
        since = made + timedelta(minutes=3)
        ready = status != Status.FAILED
        address = f"shop-{number}"
        pk = uuid.UUID(int=self.chance.getrandbits(128), version=4)
        gone = status == Status.DELETED
        return Store(
            pk=pk, owner=self.owner(number // EACH), slot=None if gone else number % EACH,
            name=f"Shop number {number}", address=address, namespace=f"store-{address}-{pk.hex[:6]}",
            namespace_uid=str(uuid.UUID(int=number)), chart_version="1.4.2", status=status,
            status_since=since, created_at=made, ready_at=since if ready else None,
            deleted_at=since if gone else None, revision=7, usage=USAGE,
            message={} if ready else FAILURE,
            health="healthy" if status == Status.READY else "", health_since=since,
            observed_at=self.now,
        )  # fmt: skip

    def status(self, number: int) -> Status:
        dice = number * 37 % 100
        for status, share in KINDS.items():
            # Only a few are being worked on at once, however many there are.
            if dice < share and (status != Status.UPDATING or number < 500):
                return status
            dice -= share
        return Status.READY

    def share(self, store: Store) -> Share:
        user = self.owners[self.chance.randrange(len(self.owners))]
        role = self.chance.choice(("viewer", "manager"))
        return Share(store=store, email=user.email, role=role, user=user, accepted_at=self.now)

    def operations(self, store: Store) -> Iterator[Operation]:
        last = {Status.DELETED: "delete", Status.UPDATING: "refresh"}.get(Status(store.status))
        kinds = ["create", "refresh", *([last] if last else [])]
        for number, kind in enumerate(kinds):
            at = store.created_at + timedelta(minutes=number)
            under_way = store.status == Status.UPDATING and number == len(kinds) - 1
            yield Operation(
                store=store, kind=kind, actor=store.owner, requested_at=at,
                finished_at=None if under_way else at + timedelta(seconds=50),
                outcome="" if under_way else "succeeded",
            )  # fmt: skip

    def steps(self, operation: Operation) -> Iterator[OperationStep]:
        for position, step in enumerate(PROVISION):
            began = operation.requested_at + timedelta(seconds=8 * position)
            yield OperationStep(
                operation=operation, name=step.__name__, position=position, started_at=began,
                ended_at=began + timedelta(seconds=7), outcome="done",
            )  # fmt: skip

    def write_audit(self, operations: list[Operation]) -> None:
        """As whole a chain as any."""
        head = AuditHead.lock()
        events = []
        for operation in operations:
            for event in self.events(operation):
                event.previous_hash = head.hash
                event.hash = head.hash = event.digest()
                events.append(event)
        put(AuditEvent, events)
        head.count += len(events)
        head.save()

    def events(self, operation: Operation) -> Iterator[AuditEvent]:
        store, at = operation.store, operation.requested_at
        yield event(f"store.ask_{operation.kind}", operation, store.owner, at)
        yield event("store.provisioning", operation, None, at + timedelta(seconds=1))
        yield event("store.ready", operation, None, at + timedelta(seconds=50))


def event(action: str, operation: Operation, user: User | None, at: datetime) -> AuditEvent:
    details: dict[str, Any] = {"from": "requested"} if user is None else {"plan": "standard"}
    return AuditEvent(
        at=at, action=action, actor=user, actor_name=user.pseudonym if user else "system",
        via="portal" if user else "system", store=operation.store,
        store_name=operation.store.name, details=details,
    )  # fmt: skip


def put(model: Any, rows: list[Any]) -> None:
    model.objects.bulk_create(rows, batch_size=ROWS_AT_ONCE)


def some_of(populace: Populace, count: int) -> list[Store]:
    """Ready stores of as many owners, spread over all of them."""
    ready = [store for store in populace.stores if store.status == Status.READY]
    by_owner = list({store.owner_id: store for store in ready}.values())
    step = max(len(by_owner) // count, 1)
    return by_owner[::step][:count]
