"""Answers what pages ask the cluster (stores/inquiries.py).

Whoever hears of a question first, a worker by the queue or the watcher by looking, claims it; nobody
else answers it then. What is asked for is read, redacted or sealed at once, and logged nowhere.
"""

from __future__ import annotations

import base64
import json
import logging
import threading
from collections.abc import Callable
from uuid import UUID

from provisioning.cluster.base import Cluster
from provisioning.engines import ENGINES
from provisioning.errors import ClusterUnavailable, NotYet, StepFailed
from stores import inquiries, sealing
from stores.inquiry import Inquiry
from stores.messages import Message
from stores.models import Store

log = logging.getLogger(__name__)
Kind = Inquiry.Kind
# Whatever a page asks for.
MOST_LINES = 1000


class Absent(Exception):
    """What is asked for is not there."""


def answer(inquiry_id: UUID, cluster: Cluster) -> bool:
    """False: it was somebody else's to answer, or nobody waits any more."""
    inquiry = inquiries.claim(inquiry_id)
    if inquiry is None:
        return False
    try:
        ANSWERS[inquiry.kind](inquiry, cluster)
    except Exception as error:
        # Not what it says, and no traceback: it could hold what was being read.
        log.warning("no answer to %s: %s", inquiry, type(error).__name__)
        inquiries.fail(inquiry, Message(reason(error)))
    return True


def reason(error: Exception) -> str:
    if isinstance(error, Absent):
        return "credentials-absent"
    if isinstance(error, ClusterUnavailable):
        return "inquiry-unavailable"
    return "inquiry-refused" if isinstance(error, NotYet | StepFailed) else "inquiry-failed"


def answer_waiting(kind: str, cluster: Cluster, over: threading.Event) -> None:
    """All questions of that kind that nobody has claimed."""
    for inquiry_id in inquiries.waiting(kind):
        if over.is_set():
            return
        answer(inquiry_id, cluster)


# --- The answers -------------------------------------------------------------------------


def credentials(inquiry: Inquiry, cluster: Cluster) -> None:
    store, login = inquiry.store, ENGINES[inquiry.store.engine].login
    if inquiries.why_no_credentials(store) or not is_own(store, cluster):
        raise Absent
    secret = cluster.get("Secret", login.secret, store.namespace)
    data = (secret or {}).get("data", {})
    if not {login.user, login.password} <= data.keys():
        raise Absent
    shown = {"user": text(data[login.user]), "password": text(data[login.password])}
    sealed = sealing.seal(json.dumps(shown).encode(), bytes(inquiry.public_key), inquiry.pk)
    inquiries.answer(inquiry, sealed=sealed)


def text(value: str) -> str:
    return base64.b64decode(value).decode()


def is_own(store: Store, cluster: Cluster) -> bool:
    """The namespace is the store's own, not another one of the same name."""
    found = cluster.get("Namespace", store.namespace)
    return found is not None and found["metadata"]["uid"] == store.namespace_uid


def logs(inquiry: Inquiry, cluster: Cluster) -> None:
    store, params = inquiry.store, inquiry.params
    lines = min(int(params["lines"]), MOST_LINES)
    found = (
        cluster.logs(store.namespace, str(params["component"]), lines)
        if is_own(store, cluster)
        else {}
    )
    inquiries.answer(inquiry, said={"logs": found})


def events(inquiry: Inquiry, cluster: Cluster) -> None:
    store = inquiry.store
    found = cluster.events(store.namespace) if is_own(store, cluster) else []
    inquiries.answer(inquiry, said={"events": found})


ANSWERS: dict[str, Callable[[Inquiry, Cluster], None]] = {
    Kind.CREDENTIALS: credentials,
    Kind.LOGS: logs,
    Kind.EVENTS: events,
}
