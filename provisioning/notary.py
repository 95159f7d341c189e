"""The clock's look at the audit trail: a short one each hour, a whole one each day.

What the whole one found is logged as an anchor. Where logs are shipped away it lies where nobody who
can rewrite the database reaches it.
"""

from __future__ import annotations

import logging

from stores import audit
from stores.models import Heartbeat

log = logging.getLogger(__name__)
HOURLY, DAILY = 3600, 24 * 3600


def look_when_due() -> audit.Verified | None:
    """By whichever clock comes first; None where it is not time yet."""
    # Both, so that a whole look puts off the short one too.
    day, hour = (
        Heartbeat.claim(f"audit-{name}", seconds * 0.9)
        for name, seconds in (("daily", DAILY), ("hourly", HOURLY))
    )
    if not (day or hour):
        return None
    found = audit.verify_and_keep(whole=day)
    if found.broken:
        log.error("the audit trail is broken: %s", found.broken)
    elif day:
        log.info("%s", audit.anchor(found))
    return found
