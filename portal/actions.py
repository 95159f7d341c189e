"""What can be done with a store now, and why not: a button says it before the service refuses."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _

from stores.inquiries import why_no_credentials
from stores.lifecycle import TRANSITIONS, Status
from stores.models import Store
from stores.permissions import Right, refusal


@dataclass(frozen=True)
class Action:
    """``why_not`` is empty where the action is possible. ``confirmed``: on a page of its own.

    ``tone`` is a class of Bootstrap's buttons, or of ours.
    """

    code: str
    label: str
    icon: str
    promise: str
    url: str
    why_not: str
    confirmed: bool = False
    tone: str = "quiet"


RIGHT_OF = {
    "reveal": Right.REVEAL,
    "retry": Right.RETRY,
    "refresh": Right.REFRESH,
    "delete": Right.DELETE,
    "undo": Right.UNDO,
    "delete-now": Right.SKIP_GRACE,
}


def actions(store: Store) -> list[Action]:
    """For the person whose ``standing`` the store carries; what destroys is ``danger``."""
    if store.status == Status.DELETED:
        return []
    if store.status == Status.CLOSING:
        offered = [undo(store), delete_now(store)]
    else:
        offered = [retry(store), refresh(store)]
    # What is possible comes first.
    return sorted((permitted(action, store) for action in offered), key=lambda a: bool(a.why_not))


def danger(store: Store) -> Action | None:
    """None once it is over, or where the choice stands elsewhere."""
    if store.status in (Status.CLOSING, Status.DELETED):
        return None
    return permitted(delete(store), store)


def beside(remedy: Action | None, offered: list[Action]) -> list[Action]:
    """Without what the remedy offers already: once is enough."""
    return [one for one in offered if not remedy or one.code != remedy.code]


def permitted(action: Action, store: Store) -> Action:
    why_not = str(refusal(store.standing, RIGHT_OF[action.code]))
    return replace(action, why_not=why_not) if why_not else action


def possible(store: Store, status: Status) -> bool:
    return status in TRANSITIONS[Status(store.status)]


def now(store: Store) -> dict[str, str]:
    return {"status": store.get_status_display().lower()}


def retry(store: Store) -> Action:
    return Action(
        "retry",
        _("Retry"),
        "arrow-clockwise",
        _("Tries again from the first step. What is already there is kept."),
        reverse("store-retry", args=[store.pk]),
        ""
        if possible(store, Status.REQUESTED)
        else _("Only a failed store can be retried; this one is %(status)s.") % now(store),
        tone="primary",
    )


def refresh(store: Store) -> Action:
    return Action(
        "refresh",
        _("Refresh"),
        "arrow-repeat",
        _("Looks at everything again, puts right what differs, and brings it up to date."),
        reverse("store-refresh", args=[store.pk]),
        ""
        if possible(store, Status.UPDATING)
        else _("Only a ready store can be refreshed; this one is %(status)s.") % now(store),
    )


def reveal(store: Store) -> Action | None:
    """None where there is no such page."""
    try:
        url = reverse("store-reveal", args=[store.pk])
    except NoReverseMatch:
        return None
    action = Action(
        "reveal",
        _("Reveal…"),
        "eye",
        _("Asks for your password first, then shows it once. Who looked is kept in the history."),
        url,
        why_no_credentials(store),
        confirmed=True,
    )
    return permitted(action, store)


def delete(store: Store) -> Action:
    return Action(
        "delete",
        _("Delete…"),
        "trash3",
        _("Shows what would be destroyed, and asks you to confirm."),
        reverse("store-delete", args=[store.pk]),
        "" if possible(store, Status.DELETING) else already(store),
        confirmed=True,
        tone="danger-quiet",
    )


def undo(store: Store) -> Action:
    """Of a store that is being closed; others have nothing to undo."""
    return Action(
        "undo",
        _("Keep the store"),
        "arrow-counterclockwise",
        _("Sets the shop up again around its data, at the same address."),
        reverse("store-undo", args=[store.pk]),
        "",
        tone="primary",
    )


def delete_now(store: Store) -> Action:
    """Confirmed already, when the deletion was asked for."""
    return Action(
        "delete-now",
        _("Delete now"),
        "trash3",
        _("Does not wait for the time to run out: everything is destroyed at once."),
        reverse("store-delete-now", args=[store.pk]),
        "",
        tone="danger-quiet",
    )


def already(store: Store) -> str:
    """Of a store that is on its way out."""
    if store.status == Status.CLOSING:
        return _("This store is already being closed.")
    if store.status == Status.DELETED:
        return _("This store is already deleted.")
    return _("This store is already being deleted.")
