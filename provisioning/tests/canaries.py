"""Every secret of a store as what it could look like somewhere else, and who searches for that."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.db import connection

from provisioning import canary
from provisioning.cluster.base import Cluster
from provisioning.engines import ENGINES
from stores.models import Store

# Text to where it belongs: "namespace/Secret/key".
Needles = dict[str, str]


def needles_of(cluster: Cluster, *stores: Store) -> Needles:
    found: Needles = {}
    for store in stores:
        for name in ENGINES[store.engine].secrets(store):
            secret = cluster.get("Secret", name, store.namespace)
            assert secret, f"{store.namespace}/{name} is not there"
            for key, value in secret["data"].items():
                if canary.SECRET_KEY.search(key):
                    text = base64.b64decode(value)
                    found |= dict.fromkeys(forms(text), f"{store.namespace}/{name}/{key}")
    return found


def forms(value: bytes) -> Iterator[str]:
    """As it is; as base64, wherever in the encoded text it begins; and both of that again."""
    yield value.decode()
    for encoded in based(value):
        yield encoded
        yield from based(encoded.encode())


def based(value: bytes) -> Iterator[str]:
    """Without the letters at the ends that depend on what stands beside it."""
    for before in range(3):
        text = base64.b64encode(b"x" * before + value).decode().rstrip("=")
        yield text[before + 1 if before else 0 : -2]


def hits(needles: Needles, texts: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(where it was found, where it belongs). ``texts``: (where, what is there)."""
    return sorted(
        {(where, needles[one]) for where, text in texts for one in needles if one in text}
    )


def database() -> Iterator[tuple[str, str]]:
    """Every row of every table, and what is packed in it; on SQLite also what is left in the files of
    rows that are deleted."""
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    for table in tables:
        for text in canary.texts_of(table):
            yield table, text
    if connection.vendor == "sqlite":
        for file in Path(connection.settings_dict["NAME"]).parent.glob("*.sqlite3*"):
            if file.name.startswith(Path(connection.settings_dict["NAME"]).name):
                yield file.name, file.read_bytes().decode("latin-1")


class Arguments(threading.Thread):
    """Reads the arguments and the environment of all processes again and again, as long as it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[str] = set()
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.01):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                for each in (file, file.with_name("environ")):
                    try:
                        self.seen.add(each.read_bytes().decode("latin-1"))
                    except OSError:  # ended meanwhile, or not ours to read
                        continue

    def __enter__(self) -> Arguments:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.over.set()
        self.join()
