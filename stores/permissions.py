"""What a person may do with a store, as a table: by where they stand to it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _


class Standing(StrEnum):
    """Where somebody stands to one store. Whoever has none does not know that it exists."""

    OWNER = "owner"
    MANAGER = "manager"
    VIEWER = "viewer"
    # A member of the support team, with the owner's consent, while that lasts.
    SUPPORT = "support"


class Right(StrEnum):
    SEE = "see"
    # Log tails and pod events.
    LOGS = "logs"
    RETRY = "retry"
    REFRESH = "refresh"
    REVEAL = "reveal"
    DELETE = "delete"
    UNDO = "undo"
    SKIP_GRACE = "skip-grace"
    SHARE = "share"
    HAND_OVER = "hand-over"
    CONSENT = "consent"


VIEWER = frozenset({Right.SEE, Right.LOGS})
SUPPORT = VIEWER | {Right.RETRY, Right.REFRESH, Right.REVEAL}
MANAGER = SUPPORT | {Right.DELETE, Right.UNDO}
RIGHTS: dict[Standing, frozenset[Right]] = {
    Standing.OWNER: frozenset(Right),
    Standing.MANAGER: MANAGER,
    Standing.SUPPORT: SUPPORT,
    Standing.VIEWER: VIEWER,
}


def may(standing: Standing | None, right: Right) -> bool:
    return standing is not None and right in RIGHTS[standing]


REFUSALS: dict[Standing, Any] = {
    Standing.VIEWER: _(
        "This store is shared with you to look at only. Ask its owner to make you a manager."
    ),
    Standing.MANAGER: _("Only the store's owner can do that. Ask them."),
    Standing.SUPPORT: _("The owner's consent does not reach that far: ask the owner to do it."),
}


def refusal(standing: Standing | None, right: Right) -> Any:
    """Why somebody who may see a store may not do this with it; empty where they may."""
    if standing is None or may(standing, right):
        return ""
    return REFUSALS[standing]
