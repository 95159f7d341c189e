"""The audit trail: who did what to which store, when and from where. Rows are only ever added.

Each row carries the hash of the one before it, so that a change, a removal or an insertion in the
middle shows; the head row remembers the newest hash, so that a removal at the end shows too.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from stores.actor import Actor

if TYPE_CHECKING:
    from stores.models import Store

GENESIS = "0" * 64
# The row that says what the last look at the chain found (stores.platform.Heartbeat).
VERIFIED = "audit"


class AuditHead(models.Model):
    """The one row every writer locks: it makes the events a chain, and their ids ascend with it."""

    hash = models.CharField(max_length=64, default=GENESIS)
    count = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.count} events"

    @classmethod
    def lock(cls) -> AuditHead:
        """Inside a transaction only. Also what serialises admission of stores (provisioning/line.py)."""
        return cls.objects.select_for_update().get_or_create(pk=1)[0]


class AuditQuerySet(models.QuerySet["AuditEvent"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit events cannot be changed.")

    def delete(self) -> NoReturn:
        raise TypeError("Audit events cannot be deleted.")


class AuditEvent(models.Model):
    """One thing that happened. ``action`` is a dotted verb such as ``store.create``.

    Nothing in it names a person: ``actor_name`` is a pseudonym (``User.pseudonym``), and of the
    network address there is a salted hash, whose clear text is in ``AuditOrigin``. So that both can
    be erased, and the chain stays whole.
    """

    at = models.DateTimeField()
    action = models.CharField(max_length=40)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    actor_name = models.CharField(max_length=150)
    via = models.CharField(max_length=20)
    store = models.ForeignKey(
        "stores.Store", on_delete=models.PROTECT, null=True, related_name="audit_events"
    )
    store_name = models.CharField(max_length=60, blank=True)
    # SHA-256, in hex, over the salt and the network address. (Events from before hold the address.)
    address = models.CharField("network address", max_length=64, blank=True)
    request_id = models.CharField(max_length=36, blank=True)
    details = models.JSONField(default=dict, blank=True)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = AuditQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["store", "-id"]),
            # How often a person did something lately (stores/limits.py).
            models.Index(fields=["actor", "action", "at"]),
        ]

    def __str__(self) -> str:
        return f"{self.action} by {self.actor_name}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError("Audit events cannot be changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Audit events cannot be deleted.")

    @classmethod
    def record(
        cls,
        action: str,
        *,
        actor: Actor,
        store: Store | None = None,
        details: dict[str, Any] | None = None,
    ) -> AuditEvent:
        """Add an event to the chain, in the caller's transaction."""
        with transaction.atomic():
            # Rows before the head, also where the caller has not touched the store's: the event
            # refers to it, and somebody who changes it would wait for the head meanwhile.
            if store and connection.features.has_select_for_update:
                store.__class__.objects.select_for_update(no_key=True).only("pk").get(pk=store.pk)
            head = AuditHead.lock()
            origin = AuditOrigin.of(actor.address) if actor.address else None
            event = cls(
                at=timezone.now(),
                action=action,
                actor=actor.user,
                actor_name=actor.pseudonym,
                via=actor.via,
                store=store,
                store_name=store.name if store else "",
                address=origin.digest() if origin else "",
                request_id=actor.request_id,
                details=details or {},
                previous_hash=head.hash,
            )
            event.hash = event.digest()
            event.save(force_insert=True)
            if origin:
                origin.event = event
                origin.save(force_insert=True)
            head.hash = event.hash
            head.count += 1
            head.save(update_fields=["hash", "count"])
        return event

    def digest(self) -> str:
        """SHA-256, in hex, over every field and the previous hash."""
        content = {
            "at": self.at.isoformat(),
            "action": self.action,
            "actor": self.actor_id,
            "actor_name": self.actor_name,
            "via": self.via,
            "store": str(self.store_id) if self.store_id else None,
            "store_name": self.store_name,
            "address": self.address,
            "request_id": self.request_id,
            "details": self.details,
            "previous": self.previous_hash,
        }
        text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


class AuditOrigin(models.Model):
    """Where an event came from. Erased with the account: the event keeps only its hash."""

    event = models.OneToOneField(
        AuditEvent, on_delete=models.PROTECT, primary_key=True, related_name="origin"
    )
    address = models.CharField(max_length=45)
    salt = models.CharField(max_length=32)

    def __str__(self) -> str:
        return self.address

    @classmethod
    def of(cls, address: str) -> AuditOrigin:
        return cls(address=address, salt=secrets.token_hex(16))

    def digest(self) -> str:
        return hashlib.sha256(f"{self.salt} {self.address}".encode()).hexdigest()


@dataclass(frozen=True)
class Verified:
    """What a look at the chain found: whole up to event ``upto``, whose hash is ``head``, or broken."""

    at: datetime
    count: int
    upto: int
    head: str
    broken: str = ""


def last_verified() -> Verified | None:
    from stores.platform import Heartbeat

    beat = Heartbeat.objects.filter(pk=VERIFIED).first()
    return Verified(at=beat.at, **beat.details) if beat else None


def verify_and_keep(*, whole: bool = True) -> Verified:
    """Look at the chain and write down what was found, for pages and for the next look.

    ``whole``: from the first event; else from where the last look found it whole, which costs
    little, and finds what was done since. A break stays written down until a whole look finds none.
    """
    from stores.platform import Heartbeat

    before = last_verified()
    if before and before.broken and not whole:
        return before
    found = look(None if whole else before)
    kept = {"count": found.count, "upto": found.upto, "head": found.head, "broken": found.broken}
    Heartbeat.beat(VERIFIED, **kept)
    return found


def verify() -> str:
    """An empty text if the chain is whole, else one sentence that names the first broken row."""
    return look(None).broken


def look(before: Verified | None) -> Verified:
    """At every event after those that ``before`` has found whole."""
    start = Progress(before.head, before.count, before.upto) if before else Progress()
    # As of this moment, and without holding up those who write meanwhile.
    head = AuditHead.objects.first() or AuditHead()
    broken = start.follow(head) or past_the_trail()
    return Verified(timezone.now(), start.count, start.upto, start.previous, broken)


@dataclass
class Progress:
    """How far along the chain somebody is."""

    previous: str = GENESIS
    count: int = 0
    upto: int = 0

    def follow(self, head: AuditHead) -> str:
        events = AuditEvent.objects.select_related("origin").filter(pk__gt=self.upto).order_by("id")
        for event in events[: max(head.count - self.count, 0)].iterator(chunk_size=1000):
            if broken := fault_of(event, self.previous):
                return broken
            self.previous, self.count, self.upto = event.hash, self.count + 1, event.pk
        if (head.hash, head.count) != (self.previous, self.count):
            return (
                f"Audit events are missing at the end: {self.count} are there, "
                f"{head.count} were written."
            )
        return ""


def fault_of(event: AuditEvent, previous: str) -> str:
    if event.previous_hash != previous:
        return (
            f"Audit event {event.pk} does not follow the one before it: "
            "a row was removed, added or reordered."
        )
    if event.digest() != event.hash:
        return f"Audit event {event.pk} ({event.action}) was changed after it was written."
    if (origin := getattr(event, "origin", None)) and origin.digest() != event.address:
        return f"The network address of audit event {event.pk} ({event.action}) was changed."
    return ""


def past_the_trail() -> str:
    # Counted before the head is read again: whoever writes meanwhile can only raise the head.
    there = AuditEvent.objects.count()
    head = AuditHead.objects.first() or AuditHead()
    if there > head.count:
        return (
            f"Audit events were added past the trail: {there} are there, {head.count} were written."
        )
    return ""


def anchor(found: Verified) -> str:
    """What is to be kept outside, where whoever rewrites the whole chain cannot rewrite it too."""
    return f"Audit anchor: {found.count} events, the newest is {found.upto} with hash {found.head}"


def holds(hash_: str) -> bool:
    """Whether an earlier anchor is still part of the chain."""
    return hash_ == GENESIS or AuditEvent.objects.filter(hash=hash_).exists()
