"""Owners and the support team: who may change whom, all of it written down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from stores import services
from stores.admin.acting import staff
from stores.audit import AuditEvent
from stores.models import User

PERSONAL = ("username", "email", "first_name", "last_name")


class UserForm(UserChangeForm):  # type: ignore[type-arg]
    before: dict[str, Any]

    def remember(self, user: User) -> None:
        """What the database holds, now that nobody else can change it."""
        self.before = {name: self.kept(user, name) for name in self.changed_data}

    def differences(self, user: User) -> dict[str, Any]:
        """What is another now. Of what names the person only that it is: the trail is for ever."""
        now = {name: self.kept(user, name) for name in self.before}
        return {
            name: "changed" if name in PERSONAL else {"from": before, "to": now[name]}
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
            details = {"user": user.pseudonym, "usable": user.has_usable_password()}
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
            details = {"user": form.instance.pseudonym}
            AuditEvent.record("user.add", actor=staff(request), details=details)
            return
        changed = form.differences(User.objects.get(pk=form.instance.pk))
        changed.pop("max_stores", None)  # the service has written that
        if changed:
            details = {"user": form.instance.pseudonym, "changed": changed}
            AuditEvent.record("user.change", actor=staff(request), details=details)


# A group's rights are its members': they come with the platform (stores/apps.py), and any others
# are given to people, whose changes are in the audit trail.
admin.site.unregister(Group)
