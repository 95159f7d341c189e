"""Why a store is not as it should be, as its owner reads it: the cause, whose move it is, what helps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from portal import actions
from portal.actions import Action
from portal.timeline import Timeline
from provisioning.diagnosis import Diagnosis
from stores.lifecycle import Status
from stores.models import Operation, Store

MOVES: dict[str, Any] = {
    "owner": _("You can put it right"),
    "support": _("Support can put it right"),
    "platform": _("The platform's team is on it"),
    "nobody": _("Nothing to do: wait"),
}


@dataclass(frozen=True)
class Remedy:
    """``action``: the safe thing to do, as a button. ``contact``: where to write to, or empty.

    ``until``: as long as it is tried, where that has an end.
    """

    store: Store
    timeline: Timeline
    found: Diagnosis
    action: Action | None
    until: datetime | None

    @property
    def failed(self) -> bool:
        return self.timeline.operation.finished_at is not None

    @property
    def move(self) -> str:
        return str(MOVES[self.found.move])

    @property
    def look(self) -> tuple[str, str]:
        """Tone and icon."""
        if self.store.status == Status.FAILED:
            return "bad", "exclamation-octagon-fill"
        if self.found.move == "nobody":
            return "busy", "hourglass-split"
        return "going", "exclamation-triangle-fill"

    @property
    def asks_support(self) -> bool:
        return self.found.move == "support" or self.found.action == "contact"

    @property
    def letter(self) -> str:
        """The address of a letter to support that names the store; empty if none is known."""
        if not settings.SUPPORT_EMAIL:
            return ""
        subject = {"subject": f"{self.store.name}: {self.store.pk}"}
        return f"mailto:{settings.SUPPORT_EMAIL}?{urlencode(subject).replace('+', '%20')}"


def remedy(store: Store, newest: Timeline | None) -> Remedy | None:
    """Of the newest operation, if it failed or is held up, and it is known why."""
    if newest is None or not newest.operation.diagnosis:
        return None
    operation = newest.operation
    if operation.finished_at and operation.outcome != Operation.Outcome.FAILED:
        return None
    found = Diagnosis.from_json(operation.diagnosis)
    ends = operation.finished_at is None and not found.never_fails and store.outage_since is None
    return Remedy(store, newest, found, button(store, found), store.deadline_at if ends else None)


def button(store: Store, found: Diagnosis) -> Action | None:
    """What helps, if it is possible now."""
    if found.action == "repair" and store.status == Status.READY:
        action = replace(actions.refresh(store), label=str(_("Repair")), tone="primary")
    elif found.action in ("retry", "repair"):
        action = actions.retry(store)
    elif found.action == "delete":
        action = actions.delete(store)
    else:
        return None
    action = actions.permitted(action, store)
    return None if action.why_not else action
