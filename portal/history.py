"""The audit trail of one store as sentences: who did what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores import messages
from stores.audit import AuditEvent
from stores.models import Store, User

NEWEST = 50

SENTENCES = {
    "store.ask_create": gettext_lazy("asked for this store"),
    "store.ask_retry": gettext_lazy("asked to try again"),
    "store.ask_refresh": gettext_lazy("asked for a refresh"),
    "store.ask_delete": gettext_lazy("asked to delete the store"),
    "store.provisioning": gettext_lazy("began to set the store up"),
    "store.ready": gettext_lazy("found the store ready"),
    "store.failed": gettext_lazy("could not finish"),
    "store.deleted": gettext_lazy("removed everything"),
}
# Steps of the lifecycle that go with one of the requests above: the request says it better.
IMPLIED = ("store.requested", "store.updating", "store.deleting")


@dataclass(frozen=True)
class Entry:
    at: datetime
    who: str
    what: str
    detail: str


def history(store: Store, reader: User) -> list[Entry]:
    """Newest first."""
    events = store.audit_events.exclude(action__in=IMPLIED)[:NEWEST]
    return [entry(event, reader) for event in events]


def entry(event: AuditEvent, reader: User) -> Entry:
    return Entry(
        at=event.at,
        who=who(event, reader),
        what=str(SENTENCES.get(event.action, readable(event.action))),
        detail=messages.sentence(event.details.get("message", {})),
    )


def who(event: AuditEvent, reader: User) -> str:
    if event.actor_id is None:
        return "Storeyard"
    if event.actor_id == reader.pk:
        return _("You")
    return _("%(name)s (support)") % {"name": event.actor_name}


def readable(action: str) -> str:
    """For an action that has no sentence yet."""
    return action.removeprefix("store.").replace("_", " ")
