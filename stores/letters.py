"""Letters to people, written in the transaction of what they tell and sent after it.

A worker's clock sends them: a mail server that is away holds up nothing and loses nothing.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class Letter(models.Model):
    """``code`` names its words (templates), ``params`` fill them in; ``email`` for those without an
    account."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="+"
    )
    email = models.EmailField(blank=True)
    store = models.ForeignKey("stores.Store", on_delete=models.CASCADE, null=True, related_name="+")
    code = models.CharField(max_length=40)
    params = models.JSONField(default=dict, blank=True)
    written_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["sent_at", "due_at"])]

    def __str__(self) -> str:
        return f"{self.code} {self.pk}"
