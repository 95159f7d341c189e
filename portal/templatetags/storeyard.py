"""How times, durations, icons and statuses look on a page."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import template
from django.template import Context
from django.template.loader import get_template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from stores.health import Told, told
from stores.lifecycle import Health, Status
from stores.models import OperationStep, Store
from stores.words import age_in_words

register = template.Library()

# Status -> icon, tone. The tone is a class of storeyard.css; word and icon say it too.
LOOKS = {
    Status.REQUESTED: ("hourglass-split", "busy"),
    Status.PROVISIONING: ("arrow-repeat", "busy"),
    Status.READY: ("check-circle-fill", "ok"),
    Status.UPDATING: ("arrow-repeat", "busy"),
    Status.FAILED: ("exclamation-octagon-fill", "bad"),
    Status.CLOSING: ("hourglass-split", "going"),
    Status.DELETING: ("trash3", "going"),
    Status.DELETED: ("slash-circle", "gone"),
}


HEALTH_LOOKS = {
    Health.HEALTHY: ("heart-fill", "ok"),
    Health.DEGRADED: ("heartbreak-fill", "going"),
    Health.LOST: ("exclamation-octagon-fill", "bad"),
    Health.UNKNOWN: ("question-circle-fill", "gone"),
}


@register.simple_tag
def icon(name: str) -> SafeString:
    return mark_safe(get_template(f"icons/{name}.svg").render().strip())


@register.inclusion_tag("stores/badge.html")
def status_badge(store: Store) -> dict[str, Any]:
    look, tone = LOOKS[Status(store.status)]
    return {"word": store.get_status_display(), "icon": look, "tone": tone}


@register.inclusion_tag("stores/badge.html")
def health_badge(told: Told) -> dict[str, Any]:
    look, tone = HEALTH_LOOKS[told.health]
    return {"word": told.word, "icon": look, "tone": tone, "kind": "health"}


@register.simple_tag(takes_context=True)
def health_of(context: Context, store: Store) -> Told | None:
    """With the page's knowledge of when somebody last looked at all stores."""
    return told(store, context["looked_at"])


@register.filter
def tone(store: Store) -> str:
    return LOOKS[Status(store.status)][1]


def stamped(moment: datetime, words: str, marks: str = "") -> SafeString:
    """``words`` to read, and the exact time in the person's own time zone to point at.

    ``marks``: what tells storeyard.js to keep the words true.
    """
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        moment.isoformat(timespec="seconds"),
        timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z"),
        mark_safe(f" {marks}" if marks else ""),
        words,
    )


@register.filter
def ago(moment: datetime) -> SafeString:
    return stamped(moment, age_in_words(timezone.now() - moment), "data-ago")


@register.filter
def seen(at: datetime) -> SafeString:
    """As ``ago``; storeyard.js puts a younger time in when an answer names one."""
    return stamped(at, age_in_words(timezone.now() - at), "data-ago data-seen")


@register.filter
def moment(at: datetime) -> SafeString:
    """The time of day, with its date where that is not today's."""
    local = timezone.localtime(at)
    words = local.strftime("%H:%M %Z")
    if local.date() != timezone.localdate():
        words = f"{date_format(local, 'DATE_FORMAT')}, {words}"
    return stamped(at, words)


@register.filter
def until(moment: datetime) -> SafeString:
    """How long it is until then; storeyard.js counts it down."""
    left = max(moment - timezone.now(), timedelta())
    return stamped(moment, duration(timedelta(seconds=int(left.total_seconds()))), "data-until")


@register.filter
def duration(length: timedelta | None) -> str:
    if length is None:
        return ""
    seconds = max(0, int(length.total_seconds()))
    if seconds < 1:
        return "< 1 s"
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


@register.filter
def length_in_words(seconds: float) -> str:
    """Of a setting: in whole minutes or hours where it is some."""
    if seconds < 120:
        return ngettext("%d second", "%d seconds", int(seconds)) % int(seconds)
    minutes = round(seconds / 60)
    if minutes < 120:
        return ngettext("%d minute", "%d minutes", minutes) % minutes
    hours = round(minutes / 60)
    return ngettext("%d hour", "%d hours", hours) % hours


@register.filter
def note(store: Store, waiting: dict[UUID, str]) -> str:
    """Its place in line, that it is paused, or the last step begun of what is under way.

    The list has read the step's name with the store.
    """
    if place := waiting.get(store.pk):
        return place
    if store.message.get("code") == "paused":
        return _("paused")
    return OperationStep(name=store.step).title if store.step else ""
