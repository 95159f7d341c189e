"""What the support team sees and may do. Everything done here goes through the services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from stores import services
from stores.actor import Actor
from stores.audit import AuditEvent
from stores.errors import Refused, StaleStore
from stores.models import Operation, OperationStep, Store, User


def staff(request: HttpRequest) -> Actor:
    return Actor(
        cast(User, request.user),
        "admin",
        address=request.META.get("REMOTE_ADDR", ""),
        request_id=getattr(request, "request_id", ""),
    )


class ReadOnly:
    """Looked at by who may view it; added, changed or deleted here by nobody, superusers included."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


# --- People ------------------------------------------------------------------------------


class UserForm(UserChangeForm):  # type: ignore[type-arg]
    before: dict[str, Any]

    def remember(self, user: User) -> None:
        """What the database holds, now that nobody else can change it."""
        self.before = {name: self.kept(user, name) for name in self.changed_data}

    def differences(self, user: User) -> dict[str, dict[str, Any]]:
        now = {name: self.kept(user, name) for name in self.before}
        return {
            name: {"from": before, "to": now[name]}
            for name, before in self.before.items()
            if before != now[name]
        }

    def kept(self, user: User, name: str) -> Any:
        """A field's value in a form that the audit trail can keep."""
        value = getattr(user, name)
        if User._meta.get_field(name).many_to_many:
            return sorted(str(row) for row in value.all())
        return value if isinstance(value, bool | int) else str(value)

    def clean_max_stores(self) -> int:
        wanted: int = self.cleaned_data["max_stores"]
        if wanted > services.MAX_STORES_LIMIT:
            raise forms.ValidationError(f"At most {services.MAX_STORES_LIMIT} are possible.")
        return wanted


@contextmanager
def password_audited(request: HttpRequest, pk: int) -> Iterator[None]:
    """Write down that this user's password is another one afterwards; never what it is."""
    with transaction.atomic():
        before = User.objects.select_for_update(no_key=True).get(pk=pk).password
        yield
        user = User.objects.get(pk=pk)
        if user.password != before:
            details = {"user": user.get_username(), "usable": user.has_usable_password()}
            AuditEvent.record("user.set_password", actor=staff(request), details=details)


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Superusers change everybody; support changes owners, but neither colleagues nor rights."""

    form = UserForm
    list_display = ("username", "email", "quota", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff", "is_superuser")
    search_fields = ("username", "email", "first_name", "last_name", "uuid")
    readonly_fields = ("stores_used", "uuid", "last_login", "date_joined")
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        ("Stores", {"fields": ("max_stores", "stores_used", "uuid")}),
    )

    @admin.display(description="stores")
    def quota(self, user: User) -> str:
        return f"{user.stores_used} of {user.max_stores}"

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        if request.user.is_superuser:
            return self.readonly_fields
        # Else the right to edit users would be the right to make oneself anything.
        return (*self.readonly_fields, "is_staff", "is_superuser", "groups", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        # Nor may it be the right to set a colleague's password.
        protected = obj is not None and (obj.is_staff or obj.is_superuser)
        if protected and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Nobody: who did what stays known. People who leave are made inactive."""
        return False

    def user_change_password(
        self, request: HttpRequest, id: str, form_url: str = ""
    ) -> HttpResponse:
        user = self.get_object(request, unquote(id))
        if request.method != "POST" or user is None:
            return super().user_change_password(request, id, form_url)
        with password_audited(request, user.pk):
            return super().user_change_password(request, id, form_url)

    def save_model(self, request: HttpRequest, user: User, form: Any, change: bool) -> None:
        """Save the columns that were changed, the quota through its service."""
        if not change:
            super().save_model(request, user, form, change)
            return
        before = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if not self.has_change_permission(request, before):
            raise PermissionDenied
        form.remember(before)
        # The others may have been changed meanwhile, by somebody else.
        columns = {field.name for field in User._meta.concrete_fields}
        user.save(update_fields=columns.intersection(form.changed_data) - {"max_stores"})
        if "max_stores" in form.changed_data:
            services.set_quota(user, user.max_stores, actor=staff(request))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save groups and rights, and write down what the whole form did: nothing comes after."""
        super().save_related(request, form, formsets, change)
        if not change:
            details = {"user": form.instance.get_username()}
            AuditEvent.record("user.add", actor=staff(request), details=details)
            return
        changed = form.differences(User.objects.get(pk=form.instance.pk))
        changed.pop("max_stores", None)  # the service has written that
        if changed:
            details = {"user": str(form.initial["username"]), "changed": changed}
            AuditEvent.record("user.change", actor=staff(request), details=details)


def own_password_change(
    request: HttpRequest, extra_context: dict[str, Any] | None = None
) -> HttpResponse:
    """The page on which staff change their own password."""
    if request.method != "POST":
        return change_own_password(request, extra_context)
    with password_audited(request, cast(User, request.user).pk):
        return change_own_password(request, extra_context)


change_own_password = admin.site.password_change
admin.site.password_change = own_password_change  # type: ignore[method-assign, assignment]

# A group's rights are its members': they come with the platform (stores/apps.py), and any others
# are given to people, whose changes are in the audit trail.
admin.site.unregister(Group)


# --- Stores ------------------------------------------------------------------------------


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
    fields = ("store", "kind", "actor", "requested_at", "finished_at", "outcome", "sentence")
    inlines = (StepInline,)


@admin.register(Store)
class StoreAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "address", "owner", "status", "status_since", "plan", "created_at")
    list_filter = ("status", "plan", "engine", "created_at")
    list_select_related = ("owner",)
    search_fields = (
        "=id", "name", "address", "namespace", "owner__username", "owner__email",
    )  # fmt: skip
    inlines = (OperationInline,)
    # The portal shows a store to its owner only.
    view_on_site = False
    actions = ("retry", "refresh", "delete_stores")
    fieldsets = (
        (None, {"fields": ("id", "name", "owner", "status", "status_since", "sentence", "trail")}),
        ("Wanted", {"fields": ("url", "engine", "plan", "chart_version", "generation")}),
        ("In the cluster", {"fields": ("namespace", "namespace_uid", "outage_since")}),
        ("Times", {"fields": ("created_at", "ready_at", "deadline_at", "due_at", "deleted_at")}),
        ("Work", {"fields": ("lease_owner", "lease_until", "fence", "attempts", "rings")}),
    )

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
            self.each(request, chosen, services.delete_store, "is being deleted")
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Delete these stores?",
            "opts": self.opts,
            "stores": chosen.select_related("owner"),
        }
        return TemplateResponse(request, "admin/stores/store/confirm_delete.html", context)

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


# --- Audit trail -------------------------------------------------------------------------


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
