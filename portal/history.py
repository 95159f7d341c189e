"""The audit trail of one store as sentences: who did what, when, and from where."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from stores import messages
from stores.audit import AuditEvent
from stores.lifecycle import Status
from stores.models import Share, Store, User
from stores.permissions import Standing

# On the store's own page, and on a page of the whole history.
NEWEST = 5
PER_PAGE = 50

SENTENCES = {
    "store.ask_create": gettext_lazy("asked for this store"),
    "store.ask_retry": gettext_lazy("asked to try again"),
    "store.ask_refresh": gettext_lazy("asked for a refresh"),
    "store.ask_repair": gettext_lazy("began a repair"),
    "store.ask_delete": gettext_lazy("asked to delete the store"),
    "store.ask_undo": gettext_lazy("asked to keep the store after all"),
    "store.skip_grace": gettext_lazy("asked to delete it at once"),
    "store.release_slot": gettext_lazy("gave the place in the quota back"),
    "store.adopt": gettext_lazy("found the store in the cluster and took it in"),
    "store.requested": gettext_lazy("put the store in line"),
    "store.reveal": gettext_lazy("asked to see the initial password"),
    "store.reveal_refused": gettext_lazy(
        "was refused the initial password, because their own was wrong"
    ),
    "store.reveal_unanswered": gettext_lazy("got no answer about the initial password"),
    "store.share": gettext_lazy("invited somebody to this store"),
    "store.change_role": gettext_lazy("changed what somebody may do here"),
    "store.withdraw_share": gettext_lazy("ended sharing with somebody"),
    "store.accept_share": gettext_lazy("accepted the invitation to this store"),
    "store.decline_share": gettext_lazy("declined the invitation to this store"),
    "store.leave": gettext_lazy("left this store"),
    "store.offer_handover": gettext_lazy("offered to hand this store over"),
    "store.withdraw_handover": gettext_lazy("withdrew the offer to hand it over"),
    "store.accept_handover": gettext_lazy("took this store over"),
    "store.decline_handover": gettext_lazy("declined to take this store over"),
    "store.ask_consent": gettext_lazy("asked to look into this store"),
    "store.give_consent": gettext_lazy("let support look into this store"),
    "store.revoke_consent": gettext_lazy("ended support's access"),
    "store.decline_consent": gettext_lazy("declined support's request"),
    "support.enter": gettext_lazy("looked into this store"),
    "store.provisioning": gettext_lazy("began to set the store up"),
    "store.updating": gettext_lazy("began to look at everything again"),
    "store.ready": gettext_lazy("found the store ready"),
    "store.failed": gettext_lazy("could not finish"),
    "store.closing": gettext_lazy("closed the shop"),
    "store.deleting": gettext_lazy("began to destroy it"),
    "store.deleted": gettext_lazy("removed everything"),
    "store.health_healthy": gettext_lazy("found the shop healthy again"),
    "store.health_degraded": gettext_lazy("found that something is wrong with the shop"),
    "store.health_lost": gettext_lazy("found that the shop is lost"),
    "store.health_unknown": gettext_lazy("could not tell how the shop is"),
}
# Steps of the lifecycle that go with one of the requests above: the request says it better.
IMPLIED = ("store.requested", "store.updating", "store.closing", "store.deleting")
PROBLEMS = ("store.failed", "store.health_degraded", "store.health_lost", "store.health_unknown")
# What can be asked for in the address, and its name.
KINDS: dict[str, Any] = {
    "": gettext_lazy("All"),
    "people": gettext_lazy("People"),
    "system": gettext_lazy("Storeyard"),
    "problems": gettext_lazy("Problems"),
}
OF_KIND = {
    "people": Q(actor__isnull=False),
    "system": Q(actor=None),
    "problems": Q(action__in=PROBLEMS),
}
# Who may read where somebody was: it is personal, and nobody else's business.
SEES_ADDRESSES = (Standing.OWNER, Standing.MANAGER)


@dataclass(frozen=True)
class Entry:
    """``address``: the network address it came from, for those who may know it; else empty."""

    at: datetime
    action: str
    who: str
    what: str
    detail: str
    via: str
    address: str


def newest(store: Store, reader: User) -> list[Entry]:
    return entries(events(store)[:NEWEST], store, reader)


def events(store: Store, kind: str = "") -> QuerySet[AuditEvent]:
    """Newest first."""
    # At the end of a grace period nobody asks any more.
    by_itself = Q(action="store.deleting", actor=None, details__from=Status.CLOSING)
    found = store.audit_events.filter(~Q(action__in=IMPLIED) | by_itself)
    return found.filter(OF_KIND.get(kind, Q())).select_related("actor", "origin")


def entries(found: Iterable[AuditEvent], store: Store, reader: User) -> list[Entry]:
    return [entry(event, store, reader) for event in found]


def entry(event: AuditEvent, store: Store, reader: User) -> Entry:
    return Entry(
        at=event.at,
        action=event.action,
        who=who(event, reader),
        what=str(SENTENCES.get(event.action, readable(event.action))),
        detail=detail(event.details),
        via=event.via,
        address=origin(event) if store.standing in SEES_ADDRESSES else "",
    )


def detail(details: dict[str, Any]) -> str:
    """What was said with it: the cause, what was found, how far it reaches, or a person's reason."""
    told = [details.get("message", {}), *details.get("findings", ())]
    said = [*map(messages.sentence, told), extent(details), details.get("reason", "")]
    return " ".join(filter(None, said))


def extent(details: dict[str, Any]) -> str:
    """As which role, or for how long."""
    if hours := details.get("hours"):
        return ngettext("for %(hours)d hour", "for %(hours)d hours", hours) % {"hours": hours}
    role = details.get("role", details.get("to"))
    if role in Share.Role.values:
        return _("as %(role)s") % {"role": str(Share.Role(role).label).lower()}
    return ""


def who(event: AuditEvent, reader: User) -> str:
    if event.actor_id is None:
        return "Storeyard"
    if event.actor_id == reader.pk:
        return _("You")
    assert event.actor is not None
    name = event.actor.get_username()
    return _("%(name)s (support)") % {"name": name} if event.actor.is_staff else name


def origin(event: AuditEvent) -> str:
    """Empty for what no person did, and where it was erased."""
    kept = getattr(event, "origin", None)
    return kept.address if kept else ""


def readable(action: str) -> str:
    """For an action that has no sentence yet."""
    return action.removeprefix("store.").replace("_", " ")


# --- As a file -----------------------------------------------------------------------------


class Echo:
    """What the csv module writes to: hands each line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def as_csv(store: Store, reader: User, kind: str) -> Iterator[str]:
    """Line by line, however long the history is; in the reader's language from first to last."""
    return lines(store, reader, kind, translation.get_language())


def lines(store: Store, reader: User, kind: str, language: str | None) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield writer.writerow(["time", "who", "what", "details", "action", "through", "from"])
    for event in events(store, kind).iterator(chunk_size=500):
        # By the time it is sent, the request's own language is forgotten.
        with translation.override(language):
            line = writer.writerow([harmless(cell) for cell in cells(entry(event, store, reader))])
        yield line


def cells(told: Entry) -> list[str]:
    at = told.at.astimezone(UTC).isoformat(timespec="seconds")
    return [at, told.who, told.what, told.detail, told.action, told.via, told.address]


def harmless(cell: str) -> str:
    """A spreadsheet takes what begins like a formula for one, and runs it."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else cell
