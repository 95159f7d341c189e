from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from provisioning import diagnosis
from provisioning.cluster import get_cluster
from provisioning.cluster.base import Cluster
from provisioning.diagnosis import Diagnosis
from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed
from provisioning.management.commands._base import StoreCommand, find_store
from stores.lifecycle import Health, Status
from stores.messages import Message, several
from stores.models import Operation, Store

MOVES = {
    "owner": "the owner's",
    "support": "support's",
    "platform": "the platform's",
    "nobody": "nobody's: wait",
}


class Command(StoreCommand):
    help = (
        "Ask the cluster now what is in a store's way, whose move it is and what to do. If the "
        "cluster cannot be asked, say what was last found."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("store", help="id or address")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run_command(self, **options: Any) -> None:
        store = find_store(options["store"])
        if store.status == Status.DELETED:
            raise CommandError("The store is deleted: there is nothing left to diagnose.")
        away = ""
        try:
            found = look(store, get_cluster())
        except (ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed) as error:
            away, found = str(error), last_found(store)
            if found is None:
                raise CommandError(
                    f"The cluster cannot be asked, and nothing was found before: {away}"
                ) from None
        if options["json"]:
            self.print_json(as_json(store, found, away))
        else:
            self.stdout.write("\n".join(as_text(store, found, away)))


def look(store: Store, cluster: Cluster) -> Diagnosis | None:
    """What is found now; None for a store that is as it should be."""
    evidence = cluster.evidence(store.namespace)
    if evidence["namespace"] is None:
        return without_namespace(store)
    waiting = cluster.not_ready(store.namespace)
    evidence["said"] = last_said(store)
    evidence["waiting"] = several(waiting).as_json() if waiting else store.message
    found = diagnosis.diagnose(evidence)
    if found or not (waiting or store.status == Status.FAILED):
        return found
    return diagnosis.unknown(evidence)


def without_namespace(store: Store) -> Diagnosis | None:
    if store.namespace_uid and store.status not in (Status.CLOSING, Status.DELETING):
        return diagnosis.of(Message("namespace-lost", {"namespace": store.namespace}))
    return last_found(store)


def last_operation(store: Store) -> Operation | None:
    return store.operations.first()


def last_found(store: Store) -> Diagnosis | None:
    """Of the newest operation, if it ended badly or is under way."""
    operation = last_operation(store)
    if operation is None or operation.outcome == Operation.Outcome.SUCCEEDED:
        return None
    return Diagnosis.from_json(operation.diagnosis) if operation.diagnosis else None


def last_said(store: Store) -> str:
    operation = last_operation(store)
    if operation is None or operation.outcome == Operation.Outcome.SUCCEEDED:
        return ""
    return " ".join(operation.evidence.get("said") or ())


def since(store: Store) -> datetime:
    """When it began to be as it is."""
    if store.is_observed and store.health != Health.HEALTHY and store.health_since:
        return store.health_since
    return store.status_since


def as_json(store: Store, found: Diagnosis | None, away: str) -> dict[str, Any]:
    return {
        "id": str(store.pk),
        "address": store.address,
        "status": store.status,
        "since": since(store).isoformat(),
        "asked_now": not away,
        "error": away,
        "diagnosis": found.as_json() | {"sentence": str(found.cause)} if found else None,
    }


def as_text(store: Store, found: Diagnosis | None, away: str) -> list[str]:
    moment = f"{since(store):%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"{store.url} is {store.get_status_display().lower()}, since {moment}."]
    if away:
        lines.append(f"The cluster cannot be asked ({away}). This was found last:")
    if found is None:
        return [*lines, "Nothing is in its way: all of it that should run does."]
    return [
        *lines,
        f"Cause:    {found.cause}",
        f"Class:    {found.kind}",
        f"Move:     {MOVES[found.move]}",
        f"Action:   {found.action or 'none'}",
        "Evidence:",
        *(f"  {line}" for line in found.lines or ("none was kept",)),
    ]
