"""What happened, and what is known: looked at by support, changed by nobody."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from stores import messages
from stores.admin.acting import ReadOnly
from stores.models import Heartbeat, Operation, OperationStep, Snapshot

# How a diagnosis marks a line of a shop's log (provisioning/diagnosis/facts.py).
LOG_LINE = "Log: "
LEFT_OUT = gettext_lazy("Left out: the owner has not let the support team in.")


def may_read_logs(operation: Operation) -> bool:
    """What a shop's containers write is its owner's: they decide who else reads it."""
    return operation.store.consents.in_force().exists()


def pretty(value: Any) -> SafeString | str:
    """JSON to read; whatever is in it stays text."""
    if not value:
        return "-"
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


class StepInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = OperationStep
    template = "admin/stores/rows.html"
    fields = ("title", "outcome", "tries", "started_at", "ended_at", "sentence")
    readonly_fields = fields
    ordering = ("position",)
    extra = 0


class OperationInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Operation
    template = "admin/stores/rows.html"
    fields = ("kind", "actor", "requested_at", "finished_at", "outcome", "sentence")
    readonly_fields = fields
    show_change_link = True
    extra = 0


@admin.register(Operation)
class OperationAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("store", "kind", "actor", "requested_at", "finished_at", "outcome")
    list_filter = ("kind", "outcome", "requested_at")
    list_select_related = ("store", "actor")
    search_fields = ("=store__id", "store__name", "store__address", "actor__username")
    fieldsets = (
        (None, {"fields": (
            "store", "kind", "actor", "requested_at", "finished_at", "outcome", "sentence",
            "failures", "found",
        )}),
        ("Diagnosis", {"fields": ("cause", "whose_move", "lines", "facts")}),
        ("Deletion", {"fields": ("proof", "there_was")}),
    )  # fmt: skip
    inlines = (StepInline,)

    @admin.display(description="found different")
    def found(self, operation: Operation) -> str:
        return " ".join(map(messages.sentence, operation.findings)) or "-"

    @admin.display(description="cause")
    def cause(self, operation: Operation) -> str:
        return messages.sentence(operation.diagnosis.get("cause", {})) or "-"

    @admin.display(description="whose move it is")
    def whose_move(self, operation: Operation) -> str:
        """With the kind of the cause, and what the owner is offered."""
        said = (operation.diagnosis.get(key) for key in ("move", "kind", "action"))
        return ", ".join(filter(None, said)) or "-"

    @admin.display(description="what it rests on")
    def lines(self, operation: Operation) -> SafeString | str:
        lines = operation.diagnosis.get("lines", [])
        if not may_read_logs(operation):
            lines = [line for line in lines if not line.startswith(LOG_LINE)]
        return pretty(lines)

    @admin.display(description="evidence")
    def facts(self, operation: Operation) -> SafeString | str:
        evidence = operation.evidence
        if "logs" in evidence and not may_read_logs(operation):
            evidence = {**evidence, "logs": str(LEFT_OUT)}
        return pretty(evidence)

    @admin.display(description="receipt")
    def proof(self, operation: Operation) -> SafeString | str:
        return pretty(operation.receipt)

    @admin.display(description="inventory")
    def there_was(self, operation: Operation) -> SafeString | str:
        return pretty(operation.inventory)


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "at", "details")
    fields = list_display


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("__str__", "at")
    fields = ("at", "known")

    @admin.display(description="facts")
    def known(self, snapshot: Snapshot) -> SafeString | str:
        return pretty(snapshot.facts)
