"""The audit trail of one store as sentences: who did what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores import messages
from stores.audit import AuditEvent
from stores.lifecycle import Status
from stores.models import Store, User

NEWEST = 50

SENTENCES = {
    "store.ask_create": gettext_lazy("asked for this store"),
    "store.ask_retry": gettext_lazy("asked to try again"),
    "store.ask_refresh": gettext_lazy("asked for a refresh"),
    "store.ask_repair": gettext_lazy("began a repair"),
    "store.ask_delete": gettext_lazy("asked to delete the store"),
    "store.ask_undo": gettext_lazy("asked to keep the store after all"),
    "store.skip_grace": gettext_lazy("asked to delete it at once"),
    "store.release_slot": gettext_lazy("gave the place in the quota back"),
    "store.provisioning": gettext_lazy("began to set the store up"),
    "store.ready": gettext_lazy("found the store ready"),
    "store.failed": gettext_lazy("could not finish"),
    "store.deleting": gettext_lazy("began to destroy it"),
    "store.deleted": gettext_lazy("removed everything"),
    "store.health_healthy": gettext_lazy("found the shop healthy again"),
    "store.health_degraded": gettext_lazy("found that something is wrong with the shop"),
    "store.health_lost": gettext_lazy("found that the shop is lost"),
}
# Steps of the lifecycle that go with one of the requests above: the request says it better.
IMPLIED = ("store.requested", "store.updating", "store.closing", "store.deleting")


@dataclass(frozen=True)
class Entry:
    at: datetime
    who: str
    what: str
    detail: str


def history(store: Store, reader: User) -> list[Entry]:
    """Newest first."""
    # At the end of a grace period nobody asks any more.
    by_itself = Q(action="store.deleting", actor=None, details__from=Status.CLOSING)
    events = store.audit_events.filter(~Q(action__in=IMPLIED) | by_itself)
    events = events.select_related("actor")[:NEWEST]
    return [entry(event, reader) for event in events]


def entry(event: AuditEvent, reader: User) -> Entry:
    return Entry(
        at=event.at,
        who=who(event, reader),
        what=str(SENTENCES.get(event.action, readable(event.action))),
        detail=detail(event.details),
    )


def detail(details: dict[str, Any]) -> str:
    """What was said with it: the cause, what was found, or a person's reason."""
    told = [details.get("message", {}), *details.get("findings", ())]
    return " ".join(filter(None, [*map(messages.sentence, told), details.get("reason", "")]))


def who(event: AuditEvent, reader: User) -> str:
    if event.actor_id is None:
        return "Storeyard"
    if event.actor_id == reader.pk:
        return _("You")
    assert event.actor is not None
    name = event.actor.get_username()
    return _("%(name)s (support)") % {"name": name} if event.actor.is_staff else name


def readable(action: str) -> str:
    """For an action that has no sentence yet."""
    return action.removeprefix("store.").replace("_", " ")
