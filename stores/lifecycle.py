"""The life of a store, as a table. ``Store.move_to`` is the only one who follows it."""

from django.db import models


class Status(models.TextChoices):
    REQUESTED = "requested", "Requested"
    PROVISIONING = "provisioning", "Provisioning"
    READY = "ready", "Ready"
    UPDATING = "updating", "Updating"
    FAILED = "failed", "Failed"
    DELETING = "deleting", "Deleting"
    DELETED = "deleted", "Deleted"


TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.REQUESTED: frozenset({Status.PROVISIONING, Status.DELETING}),
    Status.PROVISIONING: frozenset({Status.READY, Status.FAILED, Status.DELETING}),
    Status.READY: frozenset({Status.UPDATING, Status.DELETING}),
    Status.UPDATING: frozenset({Status.READY, Status.FAILED, Status.DELETING}),
    Status.FAILED: frozenset({Status.REQUESTED, Status.DELETING}),
    # A deletion is never given up: what is left costs money.
    Status.DELETING: frozenset({Status.DELETED}),
    Status.DELETED: frozenset(),
}

# Nobody needs to work on a settled store.
SETTLED = frozenset({Status.READY, Status.FAILED, Status.DELETED})
# Occupying the cluster with a start; MAX_STORES_STARTING counts these.
STARTING = frozenset({Status.PROVISIONING, Status.UPDATING})
