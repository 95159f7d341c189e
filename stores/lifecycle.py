"""The life of a store, as a table. ``Store.move_to`` is the only one who follows it.

Beside it stands health: what the cluster says about a store that has been ready.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _


class Status(models.TextChoices):
    REQUESTED = "requested", _("Requested")
    PROVISIONING = "provisioning", _("Provisioning")
    READY = "ready", _("Ready")
    UPDATING = "updating", _("Updating")
    FAILED = "failed", _("Failed")
    CLOSING = "closing", _("Closing")
    DELETING = "deleting", _("Deleting")
    DELETED = "deleted", _("Deleted")


class Health(models.TextChoices):
    HEALTHY = "healthy", _("Healthy")
    DEGRADED = "degraded", _("Degraded")
    # Its namespace or its data is gone: never rebuilt as an empty shop.
    LOST = "lost", _("Lost")
    # Nobody has looked for too long.
    UNKNOWN = "unknown", _("Unknown")


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
UNSETTLED = frozenset(Status) - SETTLED
# Occupying the cluster with a start; MAX_STORES_STARTING counts these.
STARTING = frozenset({Status.PROVISIONING, Status.UPDATING})
# What the cluster says about these is of interest, once they have been ready.
OBSERVED = frozenset({Status.READY, Status.UPDATING, Status.FAILED})
