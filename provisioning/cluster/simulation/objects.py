"""The objects of the simulated cluster, in a SQLite file of their own.

Not Django's connection: a rollback there must not undo what was done to the cluster. A connection
lives as long as one transaction, so that processes may fork and threads may share the file's name.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from provisioning.errors import ClusterUnavailable

Manifest = dict[str, Any]

BUSY_SECONDS = 20.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT, namespace TEXT, name TEXT, body TEXT, applied TEXT,
    created REAL, since REAL, revision INTEGER, expires REAL,
    PRIMARY KEY (kind, namespace, name)
);
CREATE TABLE IF NOT EXISTS counter (value INTEGER);
INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT * FROM counter);
"""
COLUMNS = "kind, namespace, name, body, applied, created, since, revision, expires"
NAMESPACE_AND_CONTENT = "((kind = 'Namespace' AND name = ?) OR namespace = ?)"


@dataclass
class Stored:
    """An object as it should be, and what its course is computed from."""

    kind: str
    namespace: str
    name: str
    body: Manifest
    # What the last apply said: the next one drops what it does not repeat.
    applied: Manifest = field(default_factory=dict)
    created: float = 0.0
    # When its spec last changed: it is on its way there from then on.
    since: float = 0.0
    # The release's revision that last rolled it out.
    revision: int = 0
    # When it will be gone, once it is on its way out.
    expires: float | None = None

    @property
    def uid(self) -> str:
        return str(self.body["metadata"]["uid"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.body["metadata"].get("labels") or {})

    @property
    def annotations(self) -> dict[str, str]:
        return dict(self.body["metadata"].get("annotations") or {})


class Objects:
    """The objects within one transaction, at one moment."""

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self.connection, self.now = connection, now

    def find(self, kind: str, name: str, namespace: str = "") -> Stored | None:
        found = self._select("kind = ? AND namespace = ? AND name = ?", kind, namespace, name)
        return found[0] if found else None

    def namespace(self, name: str) -> Stored | None:
        return self.find("Namespace", name)

    def of_kind(self, *kinds: str, namespace: str | None = None) -> list[Stored]:
        condition = f"kind IN ({', '.join('?' * len(kinds))})"
        if namespace is None:
            return self._select(condition, *kinds)
        return self._select(f"{condition} AND namespace = ?", *kinds, namespace)

    def within(self, namespace: str) -> list[Stored]:
        return self._select("namespace = ?", namespace)

    def volumes_of(self, namespace: str) -> list[Stored]:
        """Those that claims of that namespace are bound to; they lie in none themselves."""
        return [
            volume
            for volume in self.of_kind("PersistentVolume")
            if volume.body["spec"]["claimRef"]["namespace"] == namespace
        ]

    def add(self, manifest: Manifest, *, applied: bool = False, revision: int = 0) -> Stored:
        wanted = as_kept(manifest)
        metadata = wanted["metadata"]
        stored = Stored(
            kind=wanted["kind"],
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            body=json.loads(json.dumps(wanted)),
            applied=wanted if applied else {},
            created=self.now,
            since=self.now,
            revision=revision,
        )
        stored.body["metadata"] |= {
            "uid": self._new_uid(stored),
            "creationTimestamp": timestamp(self.now),
            **({"generation": 1} if "spec" in stored.body else {}),
        }
        self.save(stored)
        return stored

    def change(self, stored: Stored, body: Manifest) -> None:
        """Make it so; a spec that differs is on its way from now on."""
        if body.get("spec") != stored.body.get("spec"):
            self.roll_out(stored, body)
        stored.body = body
        self.save(stored)

    def roll_out(self, stored: Stored, body: Manifest) -> None:
        body["metadata"]["generation"] = stored.body["metadata"].get("generation", 0) + 1
        stored.since = self.now

    def save(self, stored: Stored) -> None:
        stored.body["metadata"]["resourceVersion"] = str(self._count())
        values = (
            stored.kind, stored.namespace, stored.name, json.dumps(stored.body),
            json.dumps(stored.applied), stored.created, stored.since, stored.revision,
            stored.expires,
        )  # fmt: skip
        marks = ", ".join("?" * len(values))
        self.connection.execute(f"REPLACE INTO objects ({COLUMNS}) VALUES ({marks})", values)

    def remove(self, stored: Stored) -> None:
        self.connection.execute(
            "DELETE FROM objects WHERE kind = ? AND namespace = ? AND name = ?",
            (stored.kind, stored.namespace, stored.name),
        )

    def expire_namespace(self, name: str, at: float) -> None:
        """The namespace and everything in it will be gone at that moment."""
        self.connection.execute(
            f"UPDATE objects SET expires = ? WHERE {NAMESPACE_AND_CONTENT}", (at, name, name)
        )

    def forget_expired(self) -> None:
        self.connection.execute("DELETE FROM objects WHERE expires <= ?", (self.now,))

    def _select(self, condition: str, *values: Any) -> list[Stored]:
        rows = self.connection.execute(
            f"SELECT {COLUMNS} FROM objects WHERE {condition} "
            "AND (expires IS NULL OR expires > ?) ORDER BY kind, namespace, name",
            (*values, self.now),
        )
        return [
            Stored(kind, namespace, name, json.loads(body), json.loads(applied), *rest)
            for kind, namespace, name, body, applied, *rest in rows
        ]

    def _count(self) -> int:
        row = self.connection.execute("UPDATE counter SET value = value + 1 RETURNING value")
        return int(row.fetchone()[0])

    def _new_uid(self, stored: Stored) -> str:
        # Not the counter alone: it begins anew in a new file, and rows elsewhere remember uids.
        path = f"{stored.kind}/{stored.namespace}/{stored.name}"
        return str(uuid5(NAMESPACE_URL, f"{path}/{self.now!r}/{self._count()}"))


class ObjectFile:
    """The file. Raises ClusterUnavailable where SQLite does not get to it in time."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self.path, self.clock = path, clock

    @contextmanager
    def reading(self) -> Iterator[Objects]:
        with self._connection() as connection:
            connection.execute("BEGIN")
            yield Objects(connection, self.clock())

    @contextmanager
    def writing(self) -> Iterator[Objects]:
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            objects = Objects(connection, self.clock())
            objects.forget_expired()
            yield objects
            connection.execute("COMMIT")

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Whatever is not committed when it closes has not happened."""
        try:
            with closing(self._open()) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise ClusterUnavailable(f"{self.path}: {error}") from error

    def _open(self) -> sqlite3.Connection:
        new = not self.path.exists()
        if new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        if new or not self._has_tables(connection):
            prepare(connection)
        return connection

    def _has_tables(self, connection: sqlite3.Connection) -> bool:
        # The counter comes last: where it has its row, everything else is there.
        try:
            return connection.execute("SELECT * FROM counter").fetchone() is not None
        except sqlite3.OperationalError:
            return False


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables, whoever else is just doing the same."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            # The busy timeout does not cover this switch.
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")


def as_kept(manifest: Manifest) -> Manifest:
    """As an API server keeps it: no status from outside, a Secret's text as base64."""
    kept: Manifest = json.loads(json.dumps(manifest))
    kept.pop("status", None)
    # Which object is meant, not what it should be.
    kept["metadata"].pop("uid", None)
    if kept["kind"] == "Secret":
        texts = kept.pop("stringData", {})
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        if encoded:
            kept["data"] = {**kept.get("data", {}), **encoded}
    return kept


def merge(live: Manifest, before: Manifest, wanted: Manifest) -> Manifest:
    """Server-side apply: ``wanted`` wins, what only ``before`` said goes, the rest stays."""
    merged: Manifest = {}
    for key in [*live, *(key for key in wanted if key not in live)]:
        value = merge_key(live.get(key), before.get(key), wanted.get(key), key in wanted)
        if value is not None:
            merged[key] = value
    return merged


def merge_key(live: Any, before: Any, wanted: Any, repeated: bool) -> Any:
    """The value of one key; None for a key that goes."""
    if isinstance(live, dict) and isinstance(before, dict) and not repeated:
        return merge(live, before, {}) or None
    if isinstance(live, dict) and isinstance(wanted, dict):
        return merge(live, before if isinstance(before, dict) else {}, wanted)
    if repeated:
        return wanted
    return live if before is None else None


def timestamp(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
