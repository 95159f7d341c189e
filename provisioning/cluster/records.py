"""Helm's record of one revision: a Secret whose label says the status once more than its content.

Helm goes by the content, whoever lists Secrets by the label; so both are written, or neither.
"""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from provisioning.cluster.base import Manifest

CLOSED = "Left open; closed by Storeyard"


def name_of(release: str, revision: int) -> str:
    return f"sh.helm.release.v1.{release}.v{revision}"


def unpacked(text: str) -> dict[str, Any]:
    """JSON, gzipped, base64; and base64 once more, as everything in a Secret."""
    return dict(json.loads(gzip.decompress(base64.b64decode(base64.b64decode(text)))))


def packed(content: dict[str, Any]) -> str:
    once = base64.b64encode(gzip.compress(json.dumps(content).encode()))
    return base64.b64encode(once).decode()


def closed(record: Manifest, status: str) -> Manifest:
    """The same record of a revision that is over: ``failed`` or ``superseded``. From a failed one Helm
    upgrades, and what is there stays.

    It keeps its resourceVersion, so that a Helm that is alive after all is not written over.
    """
    content = unpacked(record["data"]["release"])
    content["info"] |= {"status": status, "description": CLOSED}
    labels = {**record["metadata"]["labels"], "status": status}
    return {
        **record,
        "metadata": {**record["metadata"], "labels": labels},
        "data": {"release": packed(content)},
    }
