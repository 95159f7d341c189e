"""Letters to people, written in the transaction of what they tell and sent after it.

A worker's clock sends them: a mail server that is away holds up nothing and loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import get_language

from stores.people import User

if TYPE_CHECKING:
    from stores.models import Store


class Letter(models.Model):
    """``code`` names its words (templates/letters), ``params`` fill them in; ``email`` for those
    without an account. ``due_at``: when it is sent, or tried again.
    """

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


def write(code: str, to: User | str, *, store: Store | None = None, **params: Any) -> Letter:
    """A letter in the caller's transaction: it goes out only if that commits.

    ``to``: a person, or the address of somebody who may have no account; they read the language of
    whoever writes. ``params``: JSON values. Never a password, and nothing that lets anybody in.
    """
    if isinstance(to, User):
        return Letter.objects.create(code=code, user=to, store=store, params=params)
    words = {"language": get_language() or settings.LANGUAGE_CODE, **params}
    return Letter.objects.create(code=code, email=to, store=store, params=words)
