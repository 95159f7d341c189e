"""Waits, on behalf of a page, for what somebody answers who has a way to the cluster."""

from __future__ import annotations

import time
from uuid import UUID

from stores import inquiries
from stores.inquiry import Inquiry

LOOK_SECONDS = 0.1


def answered(inquiry_id: UUID, seconds: float) -> Inquiry | None:
    """The inquiry with its answer or failure, taken; None, and withdrawn, if nobody answers in time.

    Holds no transaction meanwhile: the answer could not be written on SQLite.
    """
    deadline = time.monotonic() + seconds
    try:
        while (found := inquiries.take(inquiry_id)) is None and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
    except BaseException:
        inquiries.withdraw(inquiry_id)
        raise
    if found is None:
        inquiries.withdraw(inquiry_id)
    return found
