"""What was asked of a store and what became of it: the rows that the timeline is made of."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from stores import messages
from stores.people import User


class OperationQuerySet(models.QuerySet["Operation"]):
    def open(self) -> OperationQuerySet:
        return self.filter(finished_at=None)


class Operation(models.Model):
    """One request to change a store: what people see as a heading of the timeline."""

    class Kind(models.TextChoices):
        CREATE = "create", _("Create")
        RETRY = "retry", _("Retry")
        REFRESH = "refresh", _("Refresh")
        REPAIR = "repair", _("Repair")
        DELETE = "delete", _("Delete")
        UNDO = "undo", _("Undo")

    class Outcome(models.TextChoices):
        SUCCEEDED = "succeeded", _("Succeeded")
        FAILED = "failed", _("Failed")
        SUPERSEDED = "superseded", _("Superseded")

    store = models.ForeignKey("stores.Store", on_delete=models.PROTECT, related_name="operations")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    requested_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=12, choices=Outcome.choices, blank=True)
    message = models.JSONField(default=dict, blank=True)
    # How often a step failed and was tried again.
    failures = models.PositiveSmallIntegerField(default=0)
    # Why a repair was begun: what was found different from what is wanted, a message for each.
    findings = models.JSONField(default=list, blank=True)
    # The last diagnosis (provisioning/diagnosis.py) and the lines of evidence it rests on, kept
    # because the cluster forgets its events after an hour.
    diagnosis = models.JSONField(default=dict, blank=True)
    evidence = models.JSONField(default=dict, blank=True)
    # Of a deletion: what there was before ({kind, name, uid, …} each), and the proof that it is gone.
    inventory = models.JSONField(default=list, blank=True)
    receipt = models.JSONField(default=dict, blank=True)

    objects = OperationQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["store"], condition=Q(finished_at=None), name="one_open_operation_per_store"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.store}"

    @property
    def sentence(self) -> str:
        return messages.sentence(self.message)


class OperationStep(models.Model):
    """One step of one operation, however many passes it took."""

    class Outcome(models.TextChoices):
        RUNNING = "running", _("Running")
        WAITING = "waiting", _("Waiting")
        DONE = "done", _("Done")
        SKIPPED = "skipped", _("Skipped")
        FAILED = "failed", _("Failed")

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="steps")
    name = models.CharField(max_length=40)
    position = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)
    tries = models.PositiveIntegerField(default=1)
    outcome = models.CharField(max_length=10, choices=Outcome.choices, default=Outcome.RUNNING)
    message = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["operation", "name"], name="one_row_per_step")
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def title(self) -> str:
        return str(_(self.name.replace("_", " ").capitalize()))

    @property
    def sentence(self) -> str:
        return messages.sentence(self.message)

    @property
    def duration(self) -> timedelta | None:
        return self.ended_at - self.started_at if self.ended_at else None
