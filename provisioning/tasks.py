"""What the queue calls. No decisions here: a delivery may be the second one, or late, or about
nothing any more.
"""

from __future__ import annotations

import logging
from uuid import UUID

from provisioning import inquiries, notary, post, runner, sweep
from provisioning.cluster import get_cluster
from provisioning.errors import ClusterUnavailable, NotYet, StepFailed
from provisioning.processes import stopping
from stores import accounts, notices, queue
from stores import inquiries as asked
from stores.models import Heartbeat

log = logging.getLogger(__name__)


def converge_store(store_id: str) -> None:
    """One pass, unless this worker is to end: then somebody else's."""
    try:
        store = UUID(store_id)
    except (ValueError, AttributeError, TypeError):
        return log.warning("ignored a ring for %r, which is no store", store_id)
    if stopping():
        return queue.ring_again(store)
    try:
        runner.converge(store, rung=True)
    except Exception:
        # The pass has logged it and knows when it is tried again. The queue would only keep the
        # text of the error, which could hold anything.
        log.debug("the pass over %s ended in an error", store, exc_info=True)


def answer_inquiry(inquiry_id: str) -> None:
    """A page asks the cluster something, and waits."""
    try:
        inquiry = UUID(inquiry_id)
    except (ValueError, AttributeError, TypeError):
        return log.warning("ignored a ring for %r, which is no inquiry", inquiry_id)
    try:
        asked.forget_expired()
        inquiries.answer(inquiry, get_cluster())
    except Exception as error:
        # As above; and whoever waits is told after a while that nobody has answered.
        log.warning("no answer to inquiry %s: %s", inquiry, type(error).__name__)


def heartbeat() -> None:
    """Somebody asked the queue whether it works: it does."""
    Heartbeat.beat(Heartbeat.WORKER)


def send_letters() -> None:
    """Somebody wrote one, or the clock remembered some that could not be sent."""
    post.send_due()


def reconcile() -> list[UUID]:
    """The clock: rings what is due (and returns that), and looks at everything when it is time."""
    rung = runner.reconcile()
    queue.prune()
    accounts.prune_sessions()
    asked.forget_expired()
    notices.tell_health()
    post.ring_when_due()
    notary.look_when_due()
    try:
        sweep.sweep_when_due(get_cluster())
    # NotYet: an API server that has just started refuses everybody for a moment.
    except (ClusterUnavailable, NotYet, StepFailed) as error:
        log.warning("not swept: %s", error)
    return rung
