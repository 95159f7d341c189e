"""Settings that would break a promise quietly are refused at start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def check_queue(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    queue = settings.Q_CLUSTER
    errors: list[CheckMessage] = []
    if not settings.HELM_SECONDS < queue["timeout"] < queue["retry"]:
        errors.append(
            Error(
                "STOREYARD_HELM_SECONDS < QUEUE_TIMEOUT < QUEUE_RETRY does not hold "
                f"({settings.HELM_SECONDS}, {queue['timeout']}, {queue['retry']}).",
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
