"""Stores as support sees them, and what it may do with them: each through its service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import DateTimeField, Exists, OuterRef, QuerySet, Subquery, Value
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from stores import consent, health, messages, services
from stores.actor import Actor
from stores.admin.acting import ReadOnly
from stores.admin.asking import Verb, offered
from stores.admin.columns import Said, called
from stores.admin.records import OperationInline
from stores.lifecycle import GOING, Health, Status
from stores.models import Consent, Operation, Store
from stores.words import age_in_words


def delete(store: Store, actor: Actor, sent: Any) -> str:
    services.delete_store(store, actor=actor, now="extra" in sent)
    if store.status == Status.CLOSING:
        return _("“%(row)s” is being closed.")
    return ""


def ask_for_consent(store: Store, actor: Actor, sent: Any) -> None:
    consent.ask_consent(store, actor.reason, actor=actor)


def what_deleting_means() -> str:
    said = _(
        "A shop is destroyed for good, with its database, its disks and its passwords. There is no "
        "backup to return to."
    )
    if settings.GRACE_SECONDS <= 0:
        return said
    grace = _(
        "First it is only closed, for %(minutes)s minutes: until then its owner, or you, can have it "
        "back."
    )
    return f"{said} {grace % {'minutes': f'{round(settings.GRACE_SECONDS / 60, 1):g}'}}"


def is_in(*statuses: Status) -> Callable[[Store], bool]:
    return lambda store: store.status in statuses


def is_kept(store: Store) -> bool:
    """Nobody is deleting it."""
    return store.status not in GOING | {Status.DELETED}


def holds_a_place(store: Store) -> bool:
    return store.status == Status.DELETING and store.slot is not None


def can_be_asked_about(store: Store) -> bool:
    return store.status != Status.DELETED and not store.consents.open_questions().exists()


VERBS = (
    Verb(
        "retry",
        ngettext_lazy("Retry…", "Retry the failed ones…"),
        ngettext_lazy("Retry this store?", "Retry these stores?"),
        gettext_lazy(
            "A store begins again at its first step, with the whole time there is for it."
        ),
        ngettext_lazy("Yes, retry it", "Yes, retry them"),
        gettext_lazy("“%(row)s” is tried again."),
        lambda store, actor, sent: services.retry_store(store, actor=actor),
        is_in(Status.FAILED),
    ),
    Verb(
        "refresh",
        ngettext_lazy("Refresh…", "Refresh the ready ones…"),
        ngettext_lazy("Refresh this store?", "Refresh these stores?"),
        gettext_lazy(
            "A store is looked at again, what differs is put right, and it is brought to the current "
            "version. Its shop stays open."
        ),
        ngettext_lazy("Yes, refresh it", "Yes, refresh them"),
        gettext_lazy("“%(row)s” is looked at again."),
        lambda store, actor, sent: services.refresh_store(store, actor=actor),
        is_in(Status.READY),
    ),
    Verb(
        "repair",
        ngettext_lazy("Repair…", "Repair the ready ones…"),
        ngettext_lazy("Repair this store?", "Repair these stores?"),
        gettext_lazy(
            "Everything in a store is looked at, passwords included, and what is missing or changed "
            "is put back, without another version. Its shop stays open."
        ),
        ngettext_lazy("Yes, repair it", "Yes, repair them"),
        gettext_lazy("“%(row)s” is repaired."),
        lambda store, actor, sent: services.ask_repair(store, actor=actor),
        is_in(Status.READY),
    ),
    Verb(
        "delete_stores",
        ngettext_lazy("Delete, with everything in it…", "Delete, with everything in them…"),
        ngettext_lazy("Delete this store?", "Delete these stores?"),
        lazy(what_deleting_means, str)(),
        ngettext_lazy("Yes, delete it", "Yes, delete them"),
        gettext_lazy("“%(row)s” is being deleted."),
        delete,
        is_kept,
        choice=gettext_lazy("Delete at once, without the grace period"),
    ),
    Verb(
        "undo_delete",
        ngettext_lazy("Keep it…", "Keep those that are being closed…"),
        ngettext_lazy("Keep this store?", "Keep these stores?"),
        gettext_lazy("A store is set up again around its data, and its shop opens again."),
        ngettext_lazy("Yes, keep it", "Yes, keep them"),
        gettext_lazy("“%(row)s” is kept and set up again."),
        lambda store, actor, sent: services.undo_delete(store, actor=actor),
        is_in(Status.CLOSING),
    ),
    Verb(
        "delete_now",
        ngettext_lazy("Delete now…", "Delete now those that are being closed…"),
        ngettext_lazy("Delete this store now?", "Delete these stores now?"),
        gettext_lazy(
            "This ends the time in which a shop can be had back: it is destroyed at once and for "
            "good, with its database, its disks and its passwords."
        ),
        ngettext_lazy("Yes, delete it now", "Yes, delete them now"),
        gettext_lazy("“%(row)s” is being deleted."),
        lambda store, actor, sent: services.skip_grace(store, actor=actor),
        is_in(Status.CLOSING),
    ),
    Verb(
        "release_slot",
        ngettext_lazy("Release its place…", "Release the place of those that hang…"),
        ngettext_lazy("Release the place of this store?", "Release the places of these stores?"),
        gettext_lazy(
            "For a store whose removal hangs: its owner can create another one in its place. The "
            "removal goes on and stays visible until everything is gone."
        ),
        ngettext_lazy("Release the place", "Release the places"),
        gettext_lazy("“%(row)s” no longer takes a place."),
        lambda store, actor, sent: services.release_slot(store, actor.reason, actor=actor),
        holds_a_place,
    ),
    Verb(
        "ask_consent",
        ngettext_lazy("Ask the owner to let us in…", "Ask the owners to let us in…"),
        ngettext_lazy(
            "Ask the owner of this store to let the support team in?",
            "Ask the owners of these stores to let the support team in?",
        ),
        gettext_lazy(
            "An owner gets a letter with the reason and decides for how long, if at all. Until they "
            "have agreed you see status and diagnosis, but neither logs nor passwords."
        ),
        ngettext_lazy("Ask the owner", "Ask the owners"),
        gettext_lazy("The owner of “%(row)s” is asked."),
        ask_for_consent,
        can_be_asked_about,
    ),
)


@admin.register(Store)
class StoreAdmin(ReadOnly, Said, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "address", "owner", "status", "how_it_is", "created", "cause", "plan")
    list_filter = (
        "status",
        "health",
        "plan",
        "engine",
        ("created_at", called(gettext_lazy("created"))),
    )
    list_select_related = ("owner",)
    list_per_page = 50
    show_full_result_count = False
    asked_related = ("owner",)
    search_fields = (
        "=id", "name", "address", "namespace", "owner__username", "owner__email",
    )  # fmt: skip
    inlines = (OperationInline,)
    change_form_template = "admin/stores/store/looking.html"
    # The portal shows a store to its people only; the page has a link while there is consent.
    view_on_site = False
    actions = tuple(verb.as_action() for verb in VERBS)
    fieldsets = (
        (None, {"fields": (
            "id", "name", "owner", "slot", "status", "status_since", "said", "closes_at",
            "cause", "trail",
        )}),
        (gettext_lazy("Health"), {"fields": (
            "how_it_is", "health_since", "said_of_health", "observed_at", "verified_at",
        )}),
        (gettext_lazy("Wanted"), {"fields": (
            "url", "engine", "plan", "chart_version", "generation",
        )}),
        (gettext_lazy("In the cluster"), {"fields": (
            "namespace", "namespace_uid", "outage_since",
        )}),
        (gettext_lazy("Times"), {"fields": (
            "created_at", "ready_at", "deadline_at", "due_at", "deleted_at",
        )}),
        (gettext_lazy("Work"), {"fields": (
            "lease_owner", "lease_until", "fence", "attempts", "rings",
        )}),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Store]:
        """With what the columns need, so that a page costs the same however many rows it has."""
        newest = Operation.objects.filter(store=OuterRef("pk")).order_by("-id")
        stores: QuerySet[Store] = super().get_queryset(request)
        return stores.annotate(
            diagnosed=Subquery(newest.values("diagnosis__cause")[:1]),
            looked_at=Value(health.looked_at(), DateTimeField()),
            may_enter=Exists(Consent.objects.in_force().filter(store=OuterRef("pk"))),
        )

    @admin.display(description=gettext_lazy("health"), ordering="health")
    def how_it_is(self, store: Store) -> SafeString | str:
        """As it can be told now, and when somebody last looked."""
        told = health.told(store, store.looked_at)  # type: ignore[attr-defined]
        if told is None:
            return "-"
        seen = seen_when(told.seen_at) if told.seen_at else _("never seen")
        return format_html(
            '<span class="sy-state sy-{}">{}</span> <small>{}</small>', told.health, told.word, seen
        )

    @admin.display(description=gettext_lazy("what is said of its health"))
    def said_of_health(self, store: Store) -> str:
        return store.health_sentence or "-"

    @admin.display(description=gettext_lazy("created"), ordering="created_at")
    def created(self, store: Store) -> str:
        return age_in_words(timezone.now() - store.created_at)

    @admin.display(description=gettext_lazy("cause"))
    def cause(self, store: Store) -> str:
        """Why it is not as it should be; nothing of a store that is well."""
        if store.status == Status.READY:
            unwell = store.health not in ("", Health.HEALTHY)
            return (store.health_sentence or store.sentence if unwell else store.sentence) or "-"
        if store.status == Status.DELETED:
            return "-"
        found = store.diagnosed or {}  # type: ignore[attr-defined]
        return messages.sentence(found) or store.sentence or "-"

    @admin.display(description=gettext_lazy("audit trail"))
    def trail(self, store: Store) -> SafeString:
        events = reverse("admin:stores_auditevent_changelist")
        said = _("What happened to this store")
        return format_html('<a href="{}?store__id__exact={}">{}</a>', events, store.pk, said)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("stores.change_store")

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """With what may be done, and the way in where the owner has let us in."""
        store = kwargs["obj"]
        verbs = offered(VERBS, store) if self.has_operate_permission(request) else ()
        consents = store.consents.order_by("-asked_at")
        context |= {
            "verbs": verbs,
            "way_in": store.get_absolute_url() if store.may_enter else "",
            "consent": consents.in_force().first(),
            "asked": consents.open_questions().first(),
        }
        return super().render_change_form(request, context, *args, **kwargs)


def seen_when(moment: datetime) -> str:
    return _("seen %(when)s") % {"when": age_in_words(timezone.now() - moment)}
