"""How often one person may do what costs the platform something, or guesses at a secret.

Counted in the audit trail, in the transaction that does it and after its event is written: the
trail's head is locked then, so that everything that happened before is seen and nobody can race it.
What is too much is rolled back with its event. The team's bulk actions in the admin and commands
are not limited: whoever runs those answers for the platform.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from stores.actor import Actor
from stores.audit import AuditEvent
from stores.errors import TooMany

WINDOW = timedelta(hours=1)
# Where a person, or a program in their name, asks for themself.
LIMITED = ("portal", "api")


def keep(action: str, actor: Actor) -> None:
    """Raises TooMany if, with the event just written, this person did it more often than allowed.

    ``action``: the name of the audit event; what ``settings.HOURLY_LIMITS`` has no number for is not
    limited. Inside the transaction of what is done, after ``AuditEvent.record``.
    """
    limit, done = lately(action, actor)
    if limit is not None and len(done) > limit:
        # There is room again when the oldest of those that were allowed is an hour old.
        raise too_many(limit, done[limit])


def check(action: str, actor: Actor) -> None:
    """As ``keep``, before it is done: raises TooMany where it may not be done once more."""
    limit, done = lately(action, actor)
    if limit is not None and len(done) >= limit:
        raise too_many(limit, done[limit - 1] if limit else timezone.now())


def lately(action: str, actor: Actor) -> tuple[int | None, list[datetime]]:
    """How often it is allowed, None for always; and when it was done within the hour, newest first."""
    limit = settings.HOURLY_LIMITS.get(action)
    if limit is None or actor.user is None or actor.via not in LIMITED:
        return None, []
    events = AuditEvent.objects.filter(actor=actor.user, action=action)
    done = events.filter(at__gt=timezone.now() - WINDOW).order_by("-at", "-id")
    return limit, list(done.values_list("at", flat=True)[: limit + 1])


def too_many(limit: int, oldest: datetime) -> TooMany:
    """Possible again when ``oldest`` is an hour old."""
    wait = oldest + WINDOW - timezone.now()
    seconds = max(int(wait.total_seconds()) + 1, 1)
    minutes = -(-seconds // 60)
    done = ngettext(
        "You have done this %(count)s time within an hour, which is as often as possible.",
        "You have done this %(count)s times within an hour, which is as often as possible.",
        limit,
    ) % {"count": limit}
    again = ngettext(
        "Try again in %(minutes)s minute.", "Try again in %(minutes)s minutes.", minutes
    ) % {"minutes": minutes}
    return TooMany(_("%(done)s %(again)s") % {"done": done, "again": again}, retry_after=seconds)
