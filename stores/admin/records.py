"""What happened, and what is known: looked at by support, changed by nobody."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stores import messages
from stores.admin.acting import ReadOnly
from stores.audit import AuditEvent
from stores.models import Heartbeat, Operation, OperationStep, Snapshot


def pretty(value: Any) -> SafeString | str:
    """JSON to read; whatever is in it stays text."""
    if not value:
        return "-"
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))


class StepInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = OperationStep
    fields = ("title", "outcome", "tries", "started_at", "ended_at", "sentence")
    readonly_fields = fields
    ordering = ("position",)
    extra = 0


class OperationInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    model = Operation
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
        return pretty(operation.diagnosis.get("lines"))

    @admin.display(description="evidence")
    def facts(self, operation: Operation) -> SafeString | str:
        return pretty(operation.evidence)

    @admin.display(description="receipt")
    def proof(self, operation: Operation) -> SafeString | str:
        return pretty(operation.receipt)

    @admin.display(description="inventory")
    def there_was(self, operation: Operation) -> SafeString | str:
        return pretty(operation.inventory)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("at", "actor_name", "action", "store_name", "via", "address")
    list_filter = ("action", "via", "at")
    search_fields = ("=store__id", "store_name", "actor_name", "address", "request_id")
    fields = (
        "at", "actor_name", "actor", "action", "store_name", "store", "via", "address",
        "request_id", "details", "previous_hash", "hash",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        return super().get_queryset(request).select_related("actor", "store")


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
