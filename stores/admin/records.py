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
from stores.admin.columns import Said, moment_and_age
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


class StepInline(ReadOnly, Said, admin.TabularInline):  # type: ignore[type-arg]
    model = OperationStep
    template = "admin/stores/rows.html"
    fields = ("title", "outcome", "tries", "started_at", "ended_at", "said")
    readonly_fields = fields
    ordering = ("position",)
    extra = 0


class OperationInline(ReadOnly, Said, admin.TabularInline):  # type: ignore[type-arg]
    model = Operation
    template = "admin/stores/rows.html"
    fields = ("kind", "actor", "requested_at", "finished_at", "outcome", "said")
    readonly_fields = fields
    show_change_link = True
    extra = 0


@admin.register(Operation)
class OperationAdmin(ReadOnly, Said, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("store", "kind", "actor", "requested_at", "finished_at", "outcome")
    list_filter = ("kind", "outcome", "requested_at")
    list_select_related = ("store", "actor")
    search_fields = ("=store__id", "store__name", "store__address", "actor__username")
    fieldsets = (
        (None, {"fields": (
            "store", "kind", "actor", "requested_at", "finished_at", "outcome", "said",
            "failures", "found",
        )}),
        (gettext_lazy("Diagnosis"), {"fields": ("cause", "whose_move", "lines", "facts")}),
        (gettext_lazy("Deletion"), {"fields": ("proof", "there_was")}),
    )  # fmt: skip
    inlines = (StepInline,)

    @admin.display(description=gettext_lazy("found different"))
    def found(self, operation: Operation) -> str:
        return " ".join(map(messages.sentence, operation.findings)) or "-"

    @admin.display(description=gettext_lazy("cause"))
    def cause(self, operation: Operation) -> str:
        return messages.sentence(operation.diagnosis.get("cause", {})) or "-"

    @admin.display(description=gettext_lazy("whose move it is"))
    def whose_move(self, operation: Operation) -> str:
        """With the kind of the cause, and what the owner is offered."""
        said = (operation.diagnosis.get(key) for key in ("move", "kind", "action"))
        return ", ".join(filter(None, said)) or "-"

    @admin.display(description=gettext_lazy("what it rests on"))
    def lines(self, operation: Operation) -> SafeString | str:
        lines = operation.diagnosis.get("lines", [])
        if not may_read_logs(operation):
            lines = [line for line in lines if not line.startswith(LOG_LINE)]
        return pretty(lines)

    @admin.display(description=gettext_lazy("evidence"))
    def facts(self, operation: Operation) -> SafeString | str:
        evidence = operation.evidence
        if "logs" in evidence and not may_read_logs(operation):
            evidence = {**evidence, "logs": str(LEFT_OUT)}
        return pretty(evidence)

    @admin.display(description=gettext_lazy("receipt"))
    def proof(self, operation: Operation) -> SafeString | str:
        return pretty(operation.receipt)

    @admin.display(description=gettext_lazy("inventory"))
    def there_was(self, operation: Operation) -> SafeString | str:
        return pretty(operation.inventory)


@admin.register(Heartbeat)
class HeartbeatAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "heard", "details")
    fields = ("name", "heard", "details")

    @admin.display(description=gettext_lazy("last heard from"), ordering="at")
    def heard(self, heartbeat: Heartbeat) -> str:
        return moment_and_age(heartbeat.at)


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("__str__", "taken")
    fields = ("taken", "known")

    @admin.display(description=gettext_lazy("taken"), ordering="at")
    def taken(self, snapshot: Snapshot) -> str:
        return moment_and_age(snapshot.at)

    @admin.display(description=gettext_lazy("facts"))
    def known(self, snapshot: Snapshot) -> SafeString | str:
        return pretty(snapshot.facts)
