"""The life of a store, as a table. ``Store.move_to`` is the only one who follows it.

Beside it stands health: what the cluster says about a store that has been ready.
"""

from django.db import models


class Status(models.TextChoices):
    REQUESTED = "requested", "Requested"
    PROVISIONING = "provisioning", "Provisioning"
    READY = "ready", "Ready"
    UPDATING = "updating", "Updating"
    FAILED = "failed", "Failed"
    CLOSING = "closing", "Closing"
    DELETING = "deleting", "Deleting"
    DELETED = "deleted", "Deleted"


class Health(models.TextChoices):
    HEALTHY = "healthy", "Healthy"
    DEGRADED = "degraded", "Degraded"
    # Its namespace or its data is gone: never rebuilt as an empty shop.
    LOST = "lost", "Lost"
    # Nobody has looked for too long.
    UNKNOWN = "unknown", "Unknown"


GOING = frozenset({Status.CLOSING, Status.DELETING})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.REQUESTED: frozenset({Status.PROVISIONING}) | GOING,
    Status.PROVISIONING: frozenset({Status.READY, Status.FAILED}) | GOING,
    Status.READY: frozenset({Status.UPDATING}) | GOING,
    Status.UPDATING: frozenset({Status.READY, Status.FAILED}) | GOING,
    Status.FAILED: frozenset({Status.REQUESTED}) | GOING,
    # The grace period: the shop is unreachable, nothing is destroyed yet.
    Status.CLOSING: frozenset({Status.REQUESTED, Status.DELETING}),
    # A deletion is never given up: what is left costs money.
    Status.DELETING: frozenset({Status.DELETED}),
    Status.DELETED: frozenset(),
}

# Nobody needs to work on a settled store.
SETTLED = frozenset({Status.READY, Status.FAILED, Status.DELETED})
# Occupying the cluster with a start; MAX_STORES_STARTING counts these.
STARTING = frozenset({Status.PROVISIONING, Status.UPDATING})
# What the cluster says about these is of interest, once they have been ready.
OBSERVED = frozenset({Status.READY, Status.UPDATING, Status.FAILED})
