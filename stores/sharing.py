"""Who else may see a store, and for how long: shares, handovers, and support's consent.

An invitation names an e-mail address, whether anybody has an account with it or not: so nobody can
find out who has one. It counts once a person whose verified address that is has accepted it.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# Who finds an invitation after a year would be let into a store that nobody meant any more.
INVITATION_LASTS = timedelta(days=14)


class Share(models.Model):
    """A store shared with one person besides its owner."""

    class Role(models.TextChoices):
        VIEWER = "viewer", _("Viewer")
        MANAGER = "manager", _("Manager")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey("stores.Store", on_delete=models.CASCADE, related_name="shares")
    # In small letters.
    email = models.EmailField(db_index=True)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    # None until it is accepted.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="shares"
    )
    invited_at = models.DateTimeField(db_default=Now())
    accepted_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["invited_at"]
        constraints = [
            models.UniqueConstraint(fields=["store", "email"], name="one_share_per_address"),
            models.UniqueConstraint(fields=["store", "user"], name="one_share_per_person"),
            models.CheckConstraint(
                condition=Q(user=None, accepted_at=None)
                | Q(user__isnull=False, accepted_at__isnull=False),
                name="a_share_is_accepted_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_role_display()} {self.email}"

    @property
    def is_void(self) -> bool:
        """Not accepted in time."""
        return self.accepted_at is None and self.invited_at < timezone.now() - INVITATION_LASTS


class Handover(models.Model):
    """An owner's offer to pass a store on; the other side must accept, and needs a place for it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # One offer at a time; a new one replaces it, accepting or withdrawing it deletes it.
    store = models.OneToOneField("stores.Store", on_delete=models.CASCADE, related_name="handover")
    email = models.EmailField(db_index=True)
    offered_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.email


class ConsentQuerySet(models.QuerySet["Consent"]):
    def in_force(self) -> ConsentQuerySet:
        return self.filter(given_at__isnull=False, revoked_at=None, ends_at__gt=Now())

    def open_questions(self) -> ConsentQuerySet:
        """At most one of a store."""
        return self.filter(given_at=None, revoked_at=None)


class Consent(models.Model):
    """An owner lets the support team into one store for a while.

    Asked for by a member of the team (``asked_at``), or given without being asked. In force from
    ``given_at`` until ``ends_at`` or ``revoked_at``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    store = models.ForeignKey("stores.Store", on_delete=models.CASCADE, related_name="consents")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    asked_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True)
    given_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = ConsentQuerySet.as_manager()

    class Meta:
        ordering = ["-asked_at", "-given_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["store"],
                condition=Q(given_at=None, revoked_at=None),
                name="one_open_question_per_store",
            ),
        ]
        indexes = [models.Index(fields=["store", "ends_at"])]

    def __str__(self) -> str:
        return f"Consent for {self.store_id}"
