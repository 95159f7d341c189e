"""Stopping all provisioning for a while, with a reason that everybody reads; and going on.

Not among the rights of the Support group: who may do this is given ``add_pause`` and ``delete_pause``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy

from stores import services
from stores.admin.acting import Unlogged, staff
from stores.errors import Refused
from stores.models import Pause


class PauseForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Pause
        fields = ("reason",)
        help_texts = {
            "reason": gettext_lazy(
                "Owners read it on their pages. Nothing fails meanwhile, and deletions go on."
            )
        }

    def clean_reason(self) -> str:
        try:
            return services.clean_reason(self.cleaned_data["reason"])
        except Refused as refused:
            raise forms.ValidationError(str(refused)) from refused


@admin.register(Pause)
class PauseAdmin(Unlogged, admin.ModelAdmin):  # type: ignore[type-arg]
    """There is one at most: adding it pauses, deleting it resumes."""

    form = PauseForm
    list_display = ("reason", "since", "actor_name")
    fields = ("reason", "since", "actor_name")
    readonly_fields = ("since", "actor_name")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and Pause.current() is None

    def has_change_permission(self, request: HttpRequest, obj: Pause | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        made = services.pause_provisioning(obj.reason, actor=staff(request))
        obj.pk, obj.since, obj.actor_name = made.pk, made.since, made.actor_name

    # Somebody may have resumed while this one was still being asked whether they are sure.

    def delete_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.answered(super().delete_view, *args, **kwargs)

    def changelist_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        return self.answered(super().changelist_view, *args, **kwargs)

    def answered(
        self, view: Callable[..., HttpResponse], request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """With a message where it is refused; then nothing else is said to have been done."""
        try:
            with transaction.atomic():
                return view(request, *args, **kwargs)
        except Refused as refused:
            self.message_user(request, str(refused), messages.ERROR)
            return redirect("admin:stores_pause_changelist")

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        services.resume_provisioning(actor=staff(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        if queryset.exists():
            services.resume_provisioning(actor=staff(request))
