"""Whom stores belong to, and who helps them."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models

LANGUAGES = [("en", "English"), ("de", "Deutsch")]


class User(AbstractUser):
    """A merchant or a member of the support team."""

    # What the cluster's annotations name: stays when e-mail and name change.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    max_stores = models.PositiveSmallIntegerField(
        "maximum of stores", default=3, help_text="0 means: may not create stores."
    )
    # Empty: the platform's.
    time_zone = models.CharField(max_length=40, blank=True)
    # Empty: what the browser asks for.
    language = models.CharField(max_length=10, blank=True, choices=LANGUAGES)
    # Letters about the stores of this person.
    mail_ready = models.BooleanField("when a store is ready", default=True)
    mail_failed = models.BooleanField("when a store could not be finished", default=True)
    mail_degraded = models.BooleanField("when a shop is unwell for long", default=True)
    # The account was closed by its owner, and what named the person is erased.
    closed_at = models.DateTimeField(null=True, blank=True, editable=False)

    @property
    def pseudonym(self) -> str:
        """What the audit trail calls this person: it stays when all that names them is erased."""
        return f"person-{self.uuid.hex[:12]}"

    @property
    def stores_used(self) -> int:
        return self.stores.counted().count()
