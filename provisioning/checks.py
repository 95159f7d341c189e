"""Settings that would break a promise quietly are refused at start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from provisioning.cluster.helm import GRACE_SECONDS

# Mending a release that a killed Helm left, and the upgrade.
HELM_RUNS = 2


@register()
def check_queue(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    queue = settings.Q_CLUSTER
    errors: list[CheckMessage] = []
    helm = HELM_RUNS * (settings.HELM_SECONDS + 2 * GRACE_SECONDS)
    if not helm < queue["timeout"] < queue["retry"]:
        errors.append(
            Error(
                "Two runs of Helm (STOREYARD_HELM_SECONDS and the time to stop it) < QUEUE_TIMEOUT "
                f"< QUEUE_RETRY does not hold ({helm:g}, {queue['timeout']}, {queue['retry']}).",
                hint="Otherwise the queue kills Helm, or delivers a task that is still running.",
                id="provisioning.E001",
            )
        )
    if queue["orm"] != "default":
        errors.append(
            Error(
                "The queue must live in the default database.",
                hint="A store and its task are committed together.",
                id="provisioning.E002",
            )
        )
    return errors


@register()
def check_worker(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Nothing is lost by these: something is cut off, or said, too early."""
    helm = HELM_RUNS * (settings.HELM_SECONDS + 2 * GRACE_SECONDS)
    warnings: list[CheckMessage] = []
    if helm > settings.WORKER_GRACE_SECONDS:
        warnings.append(
            Warning(
                f"WORKER_GRACE_SECONDS ({settings.WORKER_GRACE_SECONDS:g}) is shorter than two runs "
                f"of Helm may take ({helm:g}): a worker that is stopped may cut one off.",
                id="provisioning.W001",
            )
        )
    beats = (settings.HEARTBEAT_SECONDS, settings.HEARTBEAT_LIMIT_SECONDS)
    if not beats[0] < min(beats[1], settings.WORKER_SILENT_SECONDS):
        warnings.append(
            Warning(
                "HEARTBEAT_SECONDS is to be shorter than HEARTBEAT_LIMIT_SECONDS and "
                "WORKER_SILENT_SECONDS: a worker that works is taken for one that does not.",
                id="provisioning.W002",
            )
        )
    return warnings


@register(deploy=True)
def check_letters(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Convenient in development, and wrong where people wait for letters."""
    warnings: list[CheckMessage] = []
    if settings.EMAIL_BACKEND.endswith("console.EmailBackend"):
        warnings.append(
            Warning(
                "EMAIL_URL is not set: letters are printed, and reach nobody.",
                hint="submission://user:password@host:587, for one",
                id="provisioning.W003",
            )
        )
    if not settings.PORTAL_URL.startswith("https://"):
        warnings.append(
            Warning(
                f"PORTAL_URL is {settings.PORTAL_URL}: links in letters lead there, in the clear.",
                id="provisioning.W004",
            )
        )
    return warnings
