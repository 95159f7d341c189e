"""Where a store stands in line, in words; only what was measured is told as a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.contrib.humanize.templatetags.humanize import ordinal
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from portal.shared import for_a_second
from portal.versions import version
from provisioning.line import Place, places
from stores.lifecycle import Status
from stores.models import Store

IN_LINE = "in-line"


@dataclass(frozen=True)
class Line:
    """All who wait. ``version`` changes with what any of them is told."""

    places: dict[UUID, Place]
    version: str

    @classmethod
    def read(cls) -> Line:
        found = places()
        told = [(pk, place.position, minutes(place.wait)) for pk, place in found.items()]
        return cls(found, version(told))


def line() -> Line:
    return for_a_second("line", Line.read)


def waiting(stores: Iterable[Store]) -> dict[UUID, str]:
    """Id to place in words, of those of the stores that wait in line."""
    if not (told := [store.pk for store in stores if is_in_line(store)]):
        return {}
    places = line().places
    return {pk: in_words(places[pk]) for pk in told if pk in places}


def is_in_line(store: Store) -> bool:
    """Nobody is told before a pass found no room: most stores start at once."""
    return store.status == Status.REQUESTED and store.message.get("code") == IN_LINE


def in_words(place: Place) -> str:
    where = _("Next in line")
    if place.position > 1:
        where = _("%(place)s in line") % {"place": ordinal(place.position)}
    if place.wait is None:
        return where
    return _("%(where)s, %(wait)s") % {"where": where, "wait": about(place.wait)}


def minutes(wait: timedelta | None) -> int | None:
    """As they are told: 0 for less than one."""
    if wait is None or wait >= timedelta(minutes=1):
        return wait and round(wait / timedelta(minutes=1))
    return 0


def about(wait: timedelta) -> str:
    if not (count := minutes(wait)):
        return _("less than a minute")
    return ngettext("about %d minute", "about %d minutes", count) % count
