"""One look at every store: each kind is listed once, whatever the number of stores.

Raw JSON, reduced page by page: a page is dropped before the next one is asked for, so that the
memory it takes does not grow with what the objects are like.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioning.cluster import facts, seen
from provisioning.cluster.api import Api
from provisioning.cluster.base import STORE_LABEL, SeenObject, Survey

PAGE = 250


def survey(api: Api) -> Survey:
    requests = facts.Requests()
    # Namespaces first: what is made meanwhile is then seen without one, and not one without it.
    namespaces = [seen.namespace(item) for item in labelled(api, "Namespace")]
    objects = seen.by_namespace(things(api, requests))
    for item in labelled(api, "Pod", f"!{STORE_LABEL}", fieldSelector=facts.UNFINISHED):
        requests.add(item)
    return Survey(
        namespaces=namespaces,
        objects=objects,
        # No label: a provisioner puts none on what it makes.
        volumes=[seen.volume(item) for item in labelled(api, "PersistentVolume", "")],
        facts=facts.of(api, requests),
    )


def things(api: Api, requests: facts.Requests) -> Iterator[SeenObject]:
    for kind in seen.KINDS:
        for item in labelled(api, kind):
            if kind == "Pod":
                requests.add(item)
            yield seen.thing(item)


def labelled(
    api: Api, kind: str, selector: str = STORE_LABEL, **query: Any
) -> Iterator[dict[str, Any]]:
    for page in api.pages(kind, labelSelector=selector, limit=PAGE, **query):
        yield from page["items"]
