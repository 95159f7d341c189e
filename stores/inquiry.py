"""A question to the cluster, asked by a page: the web process has no way there of its own.

The row is short-lived. A worker or the watcher claims it (one of them only), answers and forgets
it; what is not fetched in time is thrown away.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Inquiry(models.Model):
    """``sealed``: an answer that only the process that asked can open (to ``public_key``)."""

    class Kind(models.TextChoices):
        CREDENTIALS = "credentials", "Credentials"
        LOGS = "logs", "Logs"
        EVENTS = "events", "Events"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    store = models.ForeignKey("stores.Store", on_delete=models.CASCADE, related_name="+")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    params = models.JSONField(default=dict, blank=True)
    public_key = models.BinaryField(default=b"")
    asked_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    # A message instead of an answer, where there is none.
    failure = models.JSONField(default=dict, blank=True)
    answer = models.JSONField(default=dict, blank=True)
    sealed = models.BinaryField(default=b"")

    class Meta:
        indexes = [models.Index(fields=["claimed_at", "asked_at"])]

    def __str__(self) -> str:
        return f"{self.kind} of {self.store_id}"
