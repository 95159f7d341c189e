"""Stores as support sees them, and what it may do with them: each through its service."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stores import services
from stores.admin.acting import ReadOnly, staff
from stores.admin.records import OperationInline
from stores.errors import Refused, StaleStore
from stores.models import Store


@admin.register(Store)
class StoreAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = (
        "name", "address", "owner", "status", "status_since", "health", "plan", "created_at",
    )  # fmt: skip
    list_filter = ("status", "health", "plan", "engine", "created_at")
    list_select_related = ("owner",)
    search_fields = (
        "=id", "name", "address", "namespace", "owner__username", "owner__email",
    )  # fmt: skip
    inlines = (OperationInline,)
    # The portal shows a store to its owner only.
    view_on_site = False
    actions = (
        "retry", "refresh", "delete_stores", "undo_delete", "delete_now", "release_slot",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": (
            "id", "name", "owner", "slot", "status", "status_since", "sentence", "closes_at",
            "trail",
        )}),
        ("Health", {"fields": (
            "health", "health_since", "health_sentence", "observed_at", "verified_at",
        )}),
        ("Wanted", {"fields": ("url", "engine", "plan", "chart_version", "generation")}),
        ("In the cluster", {"fields": ("namespace", "namespace_uid", "outage_since")}),
        ("Times", {"fields": ("created_at", "ready_at", "deadline_at", "due_at", "deleted_at")}),
        ("Work", {"fields": ("lease_owner", "lease_until", "fence", "attempts", "rings")}),
    )  # fmt: skip

    @admin.display(description="audit trail")
    def trail(self, store: Store) -> SafeString:
        events = reverse("admin:stores_auditevent_changelist")
        return format_html(
            '<a href="{}?store__id__exact={}">What happened to this store</a>', events, store.pk
        )

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("stores.change_store")

    @admin.action(description="Retry the failed ones", permissions=["operate"])
    def retry(self, request: HttpRequest, chosen: QuerySet[Store]) -> None:
        self.each(request, chosen, services.retry_store, "is tried again")

    @admin.action(description="Refresh the ready ones", permissions=["operate"])
    def refresh(self, request: HttpRequest, chosen: QuerySet[Store]) -> None:
        self.each(request, chosen, services.refresh_store, "is looked at again")

    @admin.action(description="Delete, with everything in them…", permissions=["operate"])
    def delete_stores(self, request: HttpRequest, chosen: QuerySet[Store]) -> HttpResponse | None:
        if "confirmed" in request.POST:
            at_once = "at_once" in request.POST or settings.GRACE_SECONDS <= 0
            verb = partial(services.delete_store, now=at_once)
            self.each(request, chosen, verb, f"is being {'deleted' if at_once else 'closed'}")
            return None
        grace = round(settings.GRACE_SECONDS / 60, 1)
        return self.ask(
            request, chosen, "confirm_delete", "Delete these stores?", grace_minutes=f"{grace:g}"
        )

    @admin.action(description="Keep those that are being closed", permissions=["operate"])
    def undo_delete(self, request: HttpRequest, chosen: QuerySet[Store]) -> None:
        self.each(request, chosen, services.undo_delete, "is kept and set up again")

    @admin.action(description="Delete now those that are being closed…", permissions=["operate"])
    def delete_now(self, request: HttpRequest, chosen: QuerySet[Store]) -> HttpResponse | None:
        if "confirmed" in request.POST:
            self.each(request, chosen, services.skip_grace, "is being deleted")
            return None
        return self.ask(request, chosen, "confirm_delete_now", "Delete these stores now?")

    @admin.action(description="Release the place of those that hang…", permissions=["operate"])
    def release_slot(self, request: HttpRequest, chosen: QuerySet[Store]) -> HttpResponse | None:
        if "reason" in request.POST:
            verb = partial(services.release_slot, reason=request.POST["reason"])
            self.each(request, chosen, verb, "no longer takes a place")
            return None
        return self.ask(request, chosen, "release_slot", "Release the places of these stores?")

    def ask(
        self, request: HttpRequest, chosen: QuerySet[Store], page: str, title: str, **more: Any
    ) -> HttpResponse:
        """A page of its own before it is done: what it means, and for which stores."""
        context = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "stores": chosen.select_related("owner"),
            **more,
        }
        return TemplateResponse(request, f"admin/stores/store/{page}.html", context)

    def each(
        self,
        request: HttpRequest,
        chosen: QuerySet[Store],
        verb: Callable[..., None],
        success: str,
    ) -> None:
        """Do it to each by itself: one that is refused does not hold up the others."""
        for store in chosen:
            try:
                verb(store, actor=staff(request))
            except Refused as refused:
                self.message_user(request, f"“{store}”: {refused}", messages.ERROR)
            except StaleStore:
                self.message_user(
                    request, f"“{store}” changed at the same moment. Look again.", messages.ERROR
                )
            else:
                self.message_user(request, f"“{store}” {success}.", messages.SUCCESS)
