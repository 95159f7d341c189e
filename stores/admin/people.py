"""Owners and the support team: who may change whom, all of it written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, gettext_lazy, ngettext_lazy

from stores import accounts, services
from stores.actor import Actor
from stores.admin.acting import Unlogged, staff
from stores.admin.asking import Verb, offered
from stores.admin.passwords import PasswordForm, PasswordHash
from stores.audit import AuditEvent
from stores.errors import Refused
from stores.models import User

# What those of other apps would permit has no page (portal/admin.py).
OURS = User._meta.app_label
PERSONAL = ("username", "email", "first_name", "last_name")


class UserForm(UserChangeForm):  # type: ignore[type-arg]
    reason = forms.CharField(
        label=gettext_lazy("Reason of another quota"),
        required=False,
        max_length=services.REASON_MAX,
        help_text=gettext_lazy("Kept in the audit trail. Name nobody in it."),
    )
    before: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "password" in self.fields:
            self.fields["password"].widget = PasswordHash()
        rights: Any = self.fields.get("user_permissions")
        if rights:
            rights.queryset = rights.queryset.filter(content_type__app_label=OURS)

    def remember(self, user: User) -> None:
        """What the database holds, now that nobody else can change it."""
        self.before = {
            name: self.kept(user, name) for name in self.changed_data if name != "reason"
        }

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
            said = gettext("At most %(most)s are possible.")
            raise forms.ValidationError(said % {"most": services.MAX_STORES_LIMIT})
        return wanted

    def clean_reason(self) -> str:
        """Asked for where the quota changes."""
        typed: str = self.cleaned_data["reason"]
        if "max_stores" not in self.changed_data:
            return ""
        try:
            return services.clean_reason(typed)
        except Refused as refused:
            raise forms.ValidationError(str(refused)) from refused


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


def end_sessions(user: User, reason: str, *, actor: Actor) -> None:
    accounts.end_sessions(user, actor=actor)


def unless_colleague(verb: Callable[..., Any]) -> Callable[[User, Actor, Any], None]:
    """Support shuts owners out, but no colleague and no superuser: superusers do."""

    def checked(user: User, actor: Actor, sent: Any) -> None:
        assert actor.user
        if (user.is_staff or user.is_superuser) and not actor.user.is_superuser:
            raise Refused(gettext("Only a superuser does that to a member of the team."))
        verb(user, actor.reason, actor=actor)

    return checked


VERBS = (
    Verb(
        "deactivate",
        ngettext_lazy("Deactivate…", "Deactivate…"),
        ngettext_lazy("Deactivate this account?", "Deactivate these accounts?"),
        gettext_lazy(
            "Nobody can sign in with such an account any more, and whoever is signed in is thrown out "
            "at once. Its stores run on, under the support team’s eyes."
        ),
        ngettext_lazy("Yes, deactivate it", "Yes, deactivate them"),
        gettext_lazy("“%(row)s” is deactivated."),
        unless_colleague(accounts.deactivate_user),
        lambda user: user.is_active,
    ),
    Verb(
        "reactivate",
        ngettext_lazy("Reactivate…", "Reactivate…"),
        ngettext_lazy("Reactivate this account?", "Reactivate these accounts?"),
        gettext_lazy("They can sign in again, with the password they had."),
        ngettext_lazy("Yes, reactivate it", "Yes, reactivate them"),
        gettext_lazy("“%(row)s” is active again."),
        unless_colleague(accounts.reactivate_user),
        lambda user: not user.is_active and user.closed_at is None,
    ),
    Verb(
        "end_sessions",
        ngettext_lazy("End all sessions…", "End their sessions…"),
        ngettext_lazy("End the sessions of this account?", "End the sessions of these accounts?"),
        gettext_lazy("They are signed out everywhere, and can sign in again."),
        ngettext_lazy("Yes, end them", "Yes, end them"),
        gettext_lazy("“%(row)s” is signed out everywhere."),
        unless_colleague(end_sessions),
        lambda user: UserSession.objects.filter(user=user).exists(),
    ),
    Verb(
        "forget_second_factor",
        ngettext_lazy("Forget the second factor…", "Forget their second factor…"),
        ngettext_lazy(
            "Forget the second factor of this account?",
            "Forget the second factor of these accounts?",
        ),
        gettext_lazy(
            "For somebody who has lost all of it, and whom you know to be who they say. They are "
            "signed out everywhere, and sign in with their password alone until they set up another."
        ),
        ngettext_lazy("Yes, forget it", "Yes, forget it"),
        gettext_lazy("“%(row)s” has no second factor any more."),
        unless_colleague(accounts.forget_second_factor),
        lambda user: Authenticator.objects.filter(user=user).exists(),
    ),
)


@admin.register(User)
class UserAdmin(Unlogged, DjangoUserAdmin):  # type: ignore[type-arg]
    """Superusers change everybody; support changes owners, but neither colleagues nor rights."""

    form = UserForm
    change_password_form = PasswordForm
    # The browser's own lists: the script that Django would make two lists of each with gives names to
    # what no screen reader reads them of.
    filter_horizontal = ()
    list_display = (
        "username", "email", "quota", "is_active", "is_staff", "second_factor", "last_login",
    )  # fmt: skip
    list_filter = ("is_active", "is_staff", "is_superuser", "last_login")
    list_per_page = 50
    show_full_result_count = False
    asked_related = ()
    search_fields = ("username", "email", "first_name", "last_name", "uuid")
    change_form_template = "admin/stores/user/looking.html"
    actions = tuple(verb.as_action() for verb in VERBS)
    # Deactivating ends sessions too, so it is a verb and not a box to tick.
    readonly_fields = (
        "is_active", "stores_used", "uuid", "pseudonym", "second_factor", "signed_in", "trail",
        "last_login", "date_joined", "closed_at",
    )  # fmt: skip
    fieldsets = (
        *(DjangoUserAdmin.fieldsets or ()),
        (gettext_lazy("Stores"), {"fields": ("max_stores", "reason", "stores_used")}),
        (gettext_lazy("Safety"), {"fields": (
            "second_factor", "signed_in", "closed_at", "uuid", "pseudonym", "trail",
        )}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        """With what the columns need, so that a page costs the same however many rows it has."""
        users: QuerySet[User] = super().get_queryset(request)
        counted = Count("stores", filter=Q(stores__slot__isnull=False), distinct=True)
        factors = Authenticator.objects.filter(user=OuterRef("pk")).exclude(
            type=Authenticator.Type.RECOVERY_CODES
        )
        return users.annotate(stores_counted=counted, has_second_factor=Exists(factors))

    @admin.display(description=gettext_lazy("stores"))
    def quota(self, user: User) -> str:
        there = user.stores_counted  # type: ignore[attr-defined]
        return gettext("%(there)s of %(most)s") % {"there": there, "most": user.max_stores}

    @admin.display(description=gettext_lazy("second factor"), boolean=True)
    def second_factor(self, user: User) -> bool:
        return bool(getattr(user, "has_second_factor", False))

    @admin.display(description=gettext_lazy("sessions"))
    def signed_in(self, user: User) -> int:
        return int(UserSession.objects.filter(user=user).count())

    @admin.display(description=gettext_lazy("audit trail"))
    def trail(self, user: User) -> SafeString:
        events = reverse("admin:stores_auditevent_changelist")
        said = gettext("What they did, and what was done to them")
        return format_html('<a href="{}?q={}">{}</a>', events, user.pseudonym, said)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("stores.change_user")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        user = kwargs.get("obj")
        allowed = user is not None and self.has_change_permission(request, user)
        context["verbs"] = offered(VERBS, user) if user and allowed else ()
        return super().render_change_form(request, context, *args, **kwargs)

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
            reason = form.cleaned_data["reason"]
            services.set_quota(user, user.max_stores, actor=staff(request, reason))

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
