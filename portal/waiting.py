"""Where a store stands in line, in words; only what was measured is told as a time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.contrib.humanize.templatetags.humanize import ordinal
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from provisioning.line import Place, places
from stores.lifecycle import Status
from stores.models import Store, StoreQuerySet, User

IN_LINE = "in-line"


def waiting(stores: Iterable[Store]) -> dict[UUID, str]:
    """Id to place in words, of those of the stores that wait in line."""
    told = [store.pk for store in stores if is_in_line(store)]
    return {pk: in_words(place) for pk, place in places(told).items()}


def is_in_line(store: Store) -> bool:
    """Nobody is told before a pass found no room: most stores start at once."""
    return store.status == Status.REQUESTED and store.message.get("code") == IN_LINE


def in_line(user: User) -> StoreQuerySet:
    return Store.objects.visible_to(user).filter(status=Status.REQUESTED, message__code=IN_LINE)


def in_words(place: Place) -> str:
    where = _("Next in line") if place.position == 1 else _("%s in line") % ordinal(place.position)
    return where if place.wait is None else f"{where}, {about(place.wait)}"


def about(wait: timedelta) -> str:
    if wait < timedelta(minutes=1):
        return _("less than a minute")
    minutes = round(wait / timedelta(minutes=1))
    return ngettext("about %d minute", "about %d minutes", minutes) % minutes
