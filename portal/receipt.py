"""The proof of a deletion, as people read it: what was there, and when each part was seen gone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from portal.timeline import Timeline
from stores.models import Operation

# In words that need no cluster; the kind itself stands beside it.
WORDS: dict[str, Any] = {
    "Namespace": _("The store's own place"),
    "Release": _("Record of the installation"),
    "Deployment": _("Program"),
    "StatefulSet": _("Program with data"),
    "CronJob": _("Timed task"),
    "Job": _("Task"),
    "Service": _("Inner address"),
    "Ingress": _("Public address"),
    "HTTPRoute": _("Public address"),
    "PersistentVolumeClaim": _("Claim of a disk"),
    "PersistentVolume": _("Disk"),
    "Secret": _("Passwords"),
    "ConfigMap": _("Settings"),
    "ServiceAccount": _("Identity"),
    "NetworkPolicy": _("Network wall"),
    "ResourceQuota": _("Limits"),
    "LimitRange": _("Limits"),
    "RoleBinding": _("Rights"),
}
# Helm keeps its own records as Secrets.
HELM_RECORD = "sh.helm.release."


@dataclass(frozen=True)
class Entry:
    """``gone_at`` is None for what the cluster keeps."""

    what: str
    kind: str
    name: str
    uid: str
    gone_at: datetime | None


@dataclass(frozen=True)
class Receipt:
    entries: list[Entry]
    hash: str

    @property
    def kept(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.gone_at is None]

    @property
    def gone(self) -> int:
        return len(self.entries) - len(self.kept)


def receipt(newest: Timeline | None) -> Receipt | None:
    """Of a finished deletion; an operation from before there were receipts has none."""
    if newest is None or newest.operation.kind != Operation.Kind.DELETE:
        return None
    if newest.operation.finished_at is None or not newest.operation.receipt:
        return None
    kept = newest.operation.receipt
    return Receipt([entry(item) for item in kept["items"]], kept["hash"])


def entry(item: dict[str, Any]) -> Entry:
    helms = item["kind"] == "Secret" and item["name"].startswith(HELM_RECORD)
    return Entry(
        what=str(WORDS.get("Release" if helms else item["kind"], item["kind"])),
        kind=item["kind"],
        name=item["name"],
        uid=item["uid"],
        gone_at=datetime.fromisoformat(item["gone"]) if "gone" in item else None,
    )
