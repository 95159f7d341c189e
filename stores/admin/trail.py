"""The audit trail as support reads it: who and from where in clear, as long as that is not erased."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores import audit
from stores.admin.acting import ReadOnly
from stores.admin.columns import called, moment
from stores.admin.records import pretty
from stores.audit import AuditEvent
from stores.models import User

# So many people at most does a search stand for: more is no search for a person.
PEOPLE = 20


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("when", "who", "action", "store_name", "how", "origin_address", "why")
    list_filter = (
        ("via", called(gettext_lazy("way"))),
        ("at", called(gettext_lazy("time"))),
        "action",
    )
    list_per_page = 50
    show_full_result_count = False
    date_hierarchy = None
    change_list_template = "admin/stores/auditevent/trail.html"
    search_fields = (
        "=store__id", "store_name", "actor_name", "=origin__address", "=request_id",
    )  # fmt: skip
    search_help_text = gettext_lazy(
        "A store's name or id, a person's user name, e-mail address or pseudonym, a network "
        "address, or the reference of a request."
    )
    fields = (
        "when", "who", "actor_name", "action", "store_name", "store", "how", "origin_address",
        "request_id", "told", "previous_hash", "hash",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        return super().get_queryset(request).select_related("actor", "store", "origin")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEvent], search_term: str
    ) -> tuple[QuerySet[AuditEvent], bool]:
        """By a person too: what they did, and what was done to them. The trail names nobody."""
        found, duplicates = super().get_search_results(request, queryset, search_term)
        people = people_called(search_term)
        names = [person.pseudonym for person in people] or [search_term.strip()]
        theirs = Q(actor__in=people) | Q(details__user__in=names)
        # Who was turned away from a store, by its id.
        theirs |= Q(details__store=search_term.strip())
        return found | queryset.filter(theirs), duplicates

    @admin.display(description=gettext_lazy("time"), ordering="at")
    def when(self, event: AuditEvent) -> str:
        return moment(event.at)

    @admin.display(description=gettext_lazy("way"), ordering="via")
    def how(self, event: AuditEvent) -> str:
        return event.via

    @admin.display(description=gettext_lazy("who"), ordering="actor_name")
    def who(self, event: AuditEvent) -> str:
        return event.actor.get_username() if event.actor else event.actor_name

    @admin.display(description=gettext_lazy("network address"))
    def origin_address(self, event: AuditEvent) -> str:
        if origin := getattr(event, "origin", None):
            return str(origin.address)
        return _("erased") if event.address else "-"

    @admin.display(description=gettext_lazy("reason"))
    def why(self, event: AuditEvent) -> str:
        return str(event.details.get("reason", "")) or "-"

    @admin.display(description=gettext_lazy("details"))
    def told(self, event: AuditEvent) -> str:
        return pretty(event.details)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"verified": audit.last_verified(), **(extra_context or {})}
        return super().changelist_view(request, context)


def people_called(text: str) -> list[User]:
    text = text.strip()
    if not text:
        return []
    called = Q(username__iexact=text) | Q(email__iexact=text)
    return list(User.objects.filter(called)[:PEOPLE])
