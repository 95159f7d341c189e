"""What a store's containers wrote last, and what the cluster says about its pods: for people to read.

Everything is anybody's text: it is redacted before it leaves here, and there is only so much of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from provisioning.cluster.api import Api, path_of
from provisioning.cluster.base import COMPONENT_LABEL, Item, Manifest
from provisioning.errors import ClusterUnavailable
from provisioning.redaction import one_line, tail

log = logging.getLogger(__name__)
# Of a component there are seldom more than two; Jobs of the past stay for a while.
MOST_LOGS = 8
LOG_CHARACTERS = 49152
# What is read of one log. The server counts from the first of the lines that it is asked for, so an
# answer of this length may lack the newest ones: fewer are asked for then.
LOG_BYTES = 131072
FEWER = 8
# A node that does not answer must not hold up the rest.
LOG_TIMEOUT = (3.0, 5.0)
MOST_EVENTS = 100
EVENT_CHARACTERS = 500


# --- Logs ------------------------------------------------------------------------------------


def logs(api: Api, namespace: str, component: str, lines: int) -> dict[str, str]:
    """As ``Cluster.logs`` says."""
    found: dict[str, str] = {}
    query = {"labelSelector": f"{COMPONENT_LABEL}={component}"} if component else {}
    for pod, container, previous in chosen(api.objects("Pod", namespace, **query)):
        try:
            text = log_of(api, namespace, pod, container, previous, lines)
        except ClusterUnavailable as error:
            # Most likely this node only; the others may well answer.
            log.info("%s: no log of %s: %s", namespace, pod, error)
            text = ""
        found[f"{pod}/{container}"] = text
    return found


def chosen(pods: Iterable[Manifest]) -> list[tuple[str, str, bool]]:
    """(pod, container, whether the one before it is to be asked) of what has ever run; of too many
    the youngest pods."""
    youngest = sorted(
        pods, key=lambda pod: pod["metadata"].get("creationTimestamp", ""), reverse=True
    )
    return [each for pod in youngest for each in begun(pod)][:MOST_LOGS]


def begun(pod: Manifest) -> Iterator[tuple[str, str, bool]]:
    status = pod.get("status", {})
    for key in ("containerStatuses", "initContainerStatuses"):
        for container in status.get(key) or ():
            waits = "waiting" in (container.get("state") or {})
            if not waits or container.get("restartCount"):
                yield pod["metadata"]["name"], container["name"], waits


def log_of(api: Api, namespace: str, pod: str, container: str, previous: bool, lines: int) -> str:
    """Empty where there is none."""
    data = read_log(api, namespace, pod, container, previous, lines)
    while len(data) >= LOG_BYTES and lines > 1:
        lines = max(lines // FEWER, 1)
        data = read_log(api, namespace, pod, container, previous, lines)
    return fit(data.decode(errors="replace"))


def fit(text: str) -> str:
    return tail(text, LOG_CHARACTERS, longest=LOG_CHARACTERS)


def read_log(
    api: Api, namespace: str, pod: str, container: str, previous: bool, lines: int
) -> bytes:
    query: dict[str, Any] = {"container": container, "tailLines": lines, "limitBytes": LOG_BYTES}
    if previous:
        query["previous"] = "true"
    path = f"{path_of('Pod', pod, namespace)}/log"
    response = api.open("GET", path, query=query, accept="text/plain, */*", timeout=LOG_TIMEOUT)
    data = read(response)
    return data if response.status == 200 else b""


def read(response: Any) -> bytes:
    from urllib3.exceptions import HTTPError

    try:
        return bytes(response.read())
    except (HTTPError, OSError) as error:
        raise ClusterUnavailable(f"a log broke off: {error}") from error


# --- Events ----------------------------------------------------------------------------------


def events(found: Iterable[Manifest]) -> list[Item]:
    """As ``Cluster.events`` says."""
    told = sorted((event(one) for one in found), key=lambda one: str(one["last"]), reverse=True)
    return told[:MOST_EVENTS]


def event(item: Manifest) -> Item:
    """Of the old kind, which counts, or the new one, whose series does."""
    series, about = item.get("series") or {}, item.get("involvedObject") or {}
    first = item.get("firstTimestamp") or item.get("eventTime")
    first = first or item["metadata"].get("creationTimestamp") or ""
    return {
        "first": first,
        "last": series.get("lastObservedTime") or item.get("lastTimestamp") or first,
        "count": series.get("count") or item.get("count") or 1,
        "type": item.get("type") or "Normal",
        "reason": one_line(item.get("reason") or "", EVENT_CHARACTERS),
        "message": one_line(item.get("message") or "", EVENT_CHARACTERS),
        "of": f"{about.get('kind', '')}/{about.get('name', '')}",
    }
