from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from provisioning import adoption
from provisioning.cluster import get_cluster
from provisioning.errors import ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed
from provisioning.management.commands._base import COMMAND, StoreCommand, find_user
from stores.models import User


class Command(StoreCommand):
    help = "Rebuild the rows of stores that are in the cluster only. Says what it would do."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="do it")
        parser.add_argument(
            "--owner",
            action="append",
            default=[],
            metavar="ID=USER",
            help="give the stores of the owner with that id to that user",
        )
        parser.add_argument("--json", action="store_true", help="print JSON")

    def run_command(self, **options: Any) -> None:
        heirs = dict(heir(text) for text in options["owner"])
        try:
            verdicts = adoption.adopt(
                get_cluster(), actor=COMMAND, apply=options["apply"], heirs=heirs
            )
        except (ClusterMisconfigured, ClusterUnavailable, NotYet, StepFailed) as error:
            raise CommandError(f"The cluster cannot be asked: {error}") from None
        if options["json"]:
            return self.print_json([verdict.as_json() for verdict in verdicts])
        for verdict in verdicts:
            self.stdout.write(line(verdict))
        adopted = [verdict for verdict in verdicts if not verdict.why_not]
        verb = "adopted" if options["apply"] else "would be adopted; --apply does it"
        self.stdout.write(
            f"{len(adopted)} stores {verb}. {len(verdicts) - len(adopted)} not: see above."
        )


def heir(text: str) -> tuple[UUID, User]:
    owner, _, name = text.partition("=")
    try:
        return UUID(owner), find_user(name)
    except ValueError:
        raise CommandError(f"“{text}” is not ID=USER, the owner's id and a user name.") from None


def line(verdict: adoption.Verdict) -> str:
    if verdict.why_not or verdict.remains is None:
        return f"{verdict.namespace}  left alone: {verdict.why_not}"
    remains = verdict.remains
    owner = remains.owner_email or remains.owner
    return f"{verdict.namespace}  {remains.id}  {remains.status}  of {owner}  “{remains.name}”"
