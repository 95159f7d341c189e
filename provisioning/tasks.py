"""What the queue calls. No decisions here: a delivery may be the second one, or late, or about
nothing any more.
"""

from __future__ import annotations

import logging
from uuid import UUID

from provisioning import runner
from provisioning.cluster import get_cluster
from provisioning.errors import ClusterUnavailable, NotYet, StepFailed

log = logging.getLogger(__name__)


def converge_store(store_id: str) -> None:
    runner.converge(UUID(store_id), rung=True)


def reconcile() -> list[UUID]:
    """The clock: rings what is due (and returns that), and sweeps up."""
    rung = runner.reconcile()
    try:
        for name in runner.sweep_orphans(get_cluster()):
            log.warning("namespace %s belonged to a deleted store and was removed", name)
    # NotYet: an API server that has just started refuses everybody for a moment.
    except (ClusterUnavailable, NotYet, StepFailed) as error:
        log.warning("not swept: %s", error)
    return rung
