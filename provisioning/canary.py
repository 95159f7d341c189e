"""Is anything that a store's Secrets hold also in our database? It never may be (I11).

What is looked for are the first characters of every long random value, everywhere: in each column
of each table, and inside what the queue keeps as base64.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from django.db import connection

from provisioning.cluster.base import Cluster
from provisioning.engines import ENGINES
from stores.models import Store

LENGTH = 16
RUN = re.compile(rf"[A-Za-z0-9_-]{{{LENGTH},}}")
# A user name and an e-mail address are no secrets, and the latter is in our database anyway.
SECRET_KEY = re.compile(r"(password|key|salt)$")
ROWS = 500
# The beginning of a value, and where it is kept.
Marks = dict[str, str]


def marks_of(cluster: Cluster, store: Store) -> Marks:
    """Of the Secrets that the engine makes. May raise NotYet, where we may not read them."""
    marks: Marks = {}
    for name in ENGINES[store.engine].secrets(store):
        secret = cluster.get("Secret", name, store.namespace)
        for key, value in (secret or {}).get("data", {}).items():
            text = base64.b64decode(value).decode(errors="replace")
            if SECRET_KEY.search(key) and len(text) >= LENGTH:
                marks[text[:LENGTH]] = f"{store.namespace}/{name}"
    return marks


def found(marks: Marks) -> Iterator[tuple[str, str]]:
    """(table, where it should be only), once each."""
    if not marks:
        return
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    for table in tables:
        for secret in sorted(
            {marks[mark] for text in texts_of(table) for mark in hits(text, marks)}
        ):
            yield table, secret


def texts_of(table: str) -> Iterator[str]:
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
        while rows := cursor.fetchmany(ROWS):
            for row in rows:
                text = " ".join(as_text(value) for value in row if value is not None)
                yield text
                yield from unpacked(text)


def as_text(value: object) -> str:
    """PostgreSQL's bytes come as a memoryview, whose text is where it lies in memory."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1")
    return str(value)


def unpacked(text: str) -> Iterator[str]:
    """What is in there as base64: the queue's tasks and results are."""
    for run in RUN.findall(text):
        try:
            yield base64.urlsafe_b64decode(run + "=" * (-len(run) % 4)).decode("latin-1")
        except (binascii.Error, ValueError):
            continue


def hits(text: str, marks: Marks) -> Iterator[str]:
    for run in RUN.findall(text):
        for start in range(len(run) - LENGTH + 1):
            if (part := run[start : start + LENGTH]) in marks:
                yield part
