"""What a store is. The rows are the truth; the cluster is made to follow them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Now
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from stores import messages, names
from stores.actor import Actor
from stores.audit import AuditEvent, AuditHead, AuditOrigin
from stores.errors import IllegalTransition, StaleStore
from stores.inquiry import Inquiry
from stores.letters import Letter
from stores.lifecycle import OBSERVED, SETTLED, STARTING, TRANSITIONS, UNSETTLED, Health, Status
from stores.messages import Message
from stores.operations import Operation, OperationStep
from stores.people import User
from stores.permissions import Standing
from stores.plans import DEFAULT_PLAN, PLANS
from stores.platform import Heartbeat, Pause, Snapshot
from stores.sharing import Consent, Handover, Share

__all__ = [
    "AuditEvent", "AuditHead", "AuditOrigin", "Consent", "Handover", "Heartbeat", "Inquiry", "Letter",
    "Operation", "OperationStep", "Pause", "Share", "Snapshot", "Store", "User",
]  # fmt: skip


STANDS_STILL_SECONDS = 120


class StoreQuerySet(models.QuerySet["Store"]):
    def visible_to(self, user: Any) -> StoreQuerySet:
        """Those on this person's list: their own, and those shared with them (``share_role``)."""
        role = Share.objects.filter(store=OuterRef("pk"), user=user).values("role")
        # Both found by their indexes: with an "or" PostgreSQL looks at every store there is.
        own = Store.objects.filter(owner=user).order_by().values("pk")
        shared = Share.objects.filter(user=user).order_by().values("store")
        return self.filter(pk__in=own.union(shared)).annotate(share_role=Subquery(role))

    def with_consent(self) -> StoreQuerySet:
        """``consent_until``: how long support may look into it; ``consent_asked``: it asks whether."""
        given = Consent.objects.in_force().filter(store=OuterRef("pk")).order_by("-ends_at")
        asked = Consent.objects.open_questions().filter(store=OuterRef("pk"))
        return self.annotate(
            consent_until=Subquery(given.values("ends_at")[:1]), consent_asked=Exists(asked)
        )

    def find(self, pk: uuid.UUID, user: Any) -> Store | None:
        """The store with ``standing``, where this person stands to it, and with what support may;
        None for a stranger."""
        # Found by its key alone, and judged here: open pages ask this all the time.
        role = Share.objects.filter(store=OuterRef("pk"), user=user).order_by().values("role")
        found = self.filter(pk=pk).with_consent().annotate(share_role=Subquery(role))
        store: Any = found.order_by().first()
        if store is None:
            return None
        if store.owner_id == user.pk:
            store.standing = Standing.OWNER
        elif store.share_role:
            store.standing = Standing(store.share_role)
        elif user.is_staff and store.consent_until:
            store.standing = Standing.SUPPORT
        return store if store.standing else None

    def existing(self) -> StoreQuerySet:
        """Those of which something may still be there."""
        return self.exclude(status=Status.DELETED)

    def counted(self) -> StoreQuerySet:
        """Those that occupy a place in the owner's quota: all that exist, but those whose place
        support has released."""
        return self.exclude(slot=None)

    def observed(self) -> StoreQuerySet:
        """Those whose health is told: they have been ready, and nobody is taking them away."""
        return self.filter(status__in=OBSERVED, ready_at__isnull=False)

    def unsettled(self) -> StoreQuerySet:
        # By what they are, not by what they are not: an index finds the few among the many.
        return self.filter(status__in=UNSETTLED)

    def under_way(self) -> StoreQuerySet:
        """Those that somebody must work on: unsettled ones, and ready ones that are repaired."""
        asked = Operation.objects.open().filter(store=OuterRef("pk"))
        return self.exclude(status=Status.DELETED).filter(~Q(status__in=SETTLED) | Exists(asked))

    def due(self) -> StoreQuerySet:
        """Under way, not being worked on, and past the time of their next pass."""
        return self.under_way().filter(
            Q(lease_until=None) | Q(lease_until__lt=Now()), Q(due_at=None) | Q(due_at__lte=Now())
        )

    def starting(self) -> StoreQuerySet:
        """Those that occupy one of the places for starting stores.

        Not those that have stood still for a while for a reason that stops them alone: five shops
        without room or without an address would else hold up everybody.
        """
        return self.filter(is_starting())


def is_starting() -> Q:
    """As ``StoreQuerySet.starting``."""
    long_ago = Now() - timedelta(seconds=STANDS_STILL_SECONDS)
    return Q(status__in=STARTING) & (
        Q(outage_since=None)
        | Q(outage_since__gte=long_ago)
        | Q(message__code__in=messages.STOP_EVERYBODY)
    )


class Store(models.Model):
    """One shop: what is wanted of it, where it stands, and who works on it right now."""

    class Engine(models.TextChoices):
        WOOCOMMERCE = "woocommerce", "WooCommerce"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="stores")
    # One of 0 … max_stores-1, free again when the store is gone: with the constraint below, the
    # quota holds even where a row lock does not (SQLite).
    slot = models.PositiveSmallIntegerField(null=True, editable=False)
    idempotency_key = models.CharField(max_length=64, blank=True, editable=False)

    # What is wanted
    name = models.CharField(max_length=names.NAME_MAX)
    address = models.CharField(max_length=names.ADDRESS_MAX, editable=False)
    engine = models.CharField(max_length=20, choices=Engine.choices, default=Engine.WOOCOMMERCE)
    plan = models.CharField(
        max_length=20,
        choices=[(plan.code, plan.name) for plan in PLANS.values()],
        default=DEFAULT_PLAN,
    )
    # Empty until the first pass, and again after a refresh: the next pass takes what is current.
    chart_version = models.CharField(max_length=20, blank=True, editable=False)
    # Each retry counts one up: it gives the release a new revision although nothing else changed.
    generation = models.PositiveIntegerField(default=1, editable=False)

    # Where it stands
    status = models.CharField(
        max_length=12, choices=Status.choices, default=Status.REQUESTED, editable=False
    )
    status_since = models.DateTimeField(db_default=Now(), editable=False)
    message = models.JSONField(default=dict, blank=True, editable=False)
    namespace = models.CharField(max_length=63, editable=False)
    namespace_uid = models.CharField(max_length=64, blank=True, editable=False)
    # The claims its data lies in, name to uid, written down when it was first ready: one that is
    # gone, or another one in its place, is a loss that no pass may paper over.
    volumes = models.JSONField(default=dict, blank=True, editable=False)
    ready_at = models.DateTimeField("first ready", null=True, editable=False)
    # The end of the grace period of a store that is being closed.
    closes_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    deleted_at = models.DateTimeField(null=True, editable=False)
    # Counts every change that a page shows, so that a page can ask "anything newer than this?"
    revision = models.PositiveIntegerField(default=1, editable=False)

    # What the cluster says about it, once it has been ready (provisioning/health.py)
    health = models.CharField(max_length=10, choices=Health.choices, blank=True, editable=False)
    health_since = models.DateTimeField(null=True, editable=False)
    health_message = models.JSONField(default=dict, blank=True, editable=False)
    # When it was last looked at; the heartbeats of watcher and sweep may be younger.
    observed_at = models.DateTimeField(null=True, editable=False)
    # What the history last said: it is told a change only once that has held for a while.
    health_told = models.CharField(max_length=10, blank=True, editable=False)
    # When a pass last found everything as it should be, Secrets included.
    verified_at = models.DateTimeField(null=True, editable=False)

    # What it uses of its quota, as last seen: {resource: {"used": "1", "hard": "4"}}.
    usage = models.JSONField(default=dict, blank=True, editable=False)
    # The last change of health that its people were written to about.
    mailed_health = models.CharField(max_length=10, blank=True, editable=False)

    # Who works on it (provisioning/lease.py)
    rings = models.PositiveIntegerField(default=0, editable=False)
    lease_owner = models.CharField(max_length=64, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    fence = models.PositiveIntegerField(default=0, editable=False)
    attempts = models.PositiveIntegerField(default=0, editable=False)
    due_at = models.DateTimeField(null=True, editable=False)
    deadline_at = models.DateTimeField(null=True, editable=False)
    # Since when it waits for something that is not the store's fault (the cluster, a pause): the
    # deadline's clock stands still meanwhile.
    outage_since = models.DateTimeField(null=True, editable=False)

    # Where the person who asked for it stands to it: set by StoreQuerySet.find.
    standing: Standing | None = None

    objects = StoreQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["owner", "slot"], name="one_store_per_slot"),
            models.UniqueConstraint(
                fields=["address"], condition=~Q(status="deleted"), name="one_store_per_address"
            ),
            models.UniqueConstraint(
                fields=["owner", "idempotency_key"],
                condition=~Q(idempotency_key=""),
                name="one_store_per_idempotency_key",
            ),
            models.CheckConstraint(
                condition=Q(status__in=Status.values), name="status_is_in_the_table"
            ),
            models.CheckConstraint(
                condition=Q(status="deleted", slot=None)
                # Support may release the place of a store whose removal hangs.
                | Q(status="deleting")
                | (~Q(status="deleted") & Q(slot__gte=0)),
                name="a_slot_is_held_until_deleted",
            ),
        ]
        indexes = [
            models.Index(fields=["status", "due_at"]),
            models.Index(fields=["owner", "-created_at"]),
            # Every page asks whether any store waits for something: few of many do.
            models.Index(
                fields=["outage_since"], condition=Q(outage_since__isnull=False), name="store_waits"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("store-detail", args=[self.pk])

    @property
    def host(self) -> str:
        return f"{self.address}.{settings.STORE_DOMAIN}"

    @property
    def url(self) -> str:
        return f"{settings.STORE_SCHEME}://{self.host}"

    @property
    def admin_url(self) -> str:
        return f"{self.url}/wp-admin/"

    @property
    def is_settled(self) -> bool:
        return self.status in SETTLED

    @property
    def is_observed(self) -> bool:
        """As ``StoreQuerySet.observed``."""
        return self.status in OBSERVED and self.ready_at is not None

    @property
    def sentence(self) -> str:
        return messages.sentence(self.message)

    @property
    def health_sentence(self) -> str:
        return messages.sentence(self.health_message)

    def move_to(
        self,
        status: Status,
        *,
        actor: Actor,
        message: Message | None = None,
        fence: int | None = None,
        details: dict[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        """Move to ``status`` if the database still agrees where we are, and audit it.

        ``fence``: also only if that lease is still ours. ``details``: for the audit trail.
        ``changes``: further fields of the same UPDATE.
        Raises IllegalTransition (no such arrow) or StaleStore (somebody was faster).
        """
        self.check_arrow(status)
        came_from, said = self.status, message.as_json() if message else {}
        with transaction.atomic():
            here = Store.objects.filter(pk=self.pk, status=came_from)
            if fence is not None:
                here = here.filter(fence=fence)
            moved = here.update(
                status=status,
                status_since=Now(),
                message=said,
                revision=F("revision") + 1,
                **changes,
            )
            if not moved:
                raise StaleStore(f"{self.pk} is no longer {came_from}")
            told = {"from": came_from, **({"message": said} if said else {}), **(details or {})}
            AuditEvent.record(f"store.{status}", actor=actor, store=self, details=told)
        self.refresh_from_db()

    def check_arrow(self, status: Status) -> None:
        if status not in TRANSITIONS[Status(self.status)]:
            said = _("The store is %s: that is not possible now.")
            raise IllegalTransition(said % self.get_status_display().lower())
