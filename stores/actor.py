"""Who does something, and from where: what every verb takes and every audit event keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stores.models import User


@dataclass(frozen=True)
class Actor:
    """A person (or the system, where ``user`` is None) acting through a page, the admin or a command.

    ``reason``: why, where somebody has to say so. It is kept for ever and read by the owner.
    """

    user: User | None
    via: str
    address: str = ""
    request_id: str = ""
    # Somebody who has not said who they are, as opposed to the system itself.
    stranger: bool = False
    reason: str = ""

    @property
    def name(self) -> str:
        """For people to read: never kept, since it may have to be erased."""
        return self.user.get_username() if self.user else self.nobody

    @property
    def why(self) -> dict[str, str]:
        """For the details of the event of what was asked for."""
        return {"reason": self.reason} if self.reason else {}

    @property
    def pseudonym(self) -> str:
        """What is kept."""
        return self.user.pseudonym if self.user else self.nobody

    @property
    def nobody(self) -> str:
        return "anonymous" if self.stranger else "system"


SYSTEM = Actor(None, "system")
