from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from provisioning import preflight
from provisioning.management.commands._base import COMMAND, StoreCommand, all_as_json, find_user
from stores import plans, services
from stores.lifecycle import Status
from stores.models import Store, User

LOOK_SECONDS = 0.5


class Command(StoreCommand):
    help = "Create a store for an owner, within the owner's quota."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--owner", required=True, help="user name of the owner")
        parser.add_argument("--name", required=True, help="display name, any text on one line")
        parser.add_argument("--address", default="", help="default: made from the name")
        parser.add_argument("--plan", default=plans.DEFAULT_PLAN, help=", ".join(plans.PLANS))
        parser.add_argument(
            "--check", action="store_true", help="create nothing, say whether it would fit"
        )
        parser.add_argument("--wait", action="store_true", help="until it is ready or failed")
        parser.add_argument("--timeout", type=float, default=900, help="seconds to wait at most")
        parser.add_argument("--json", action="store_true", help="print the store as JSON")

    def run_command(self, **options: Any) -> None:
        if options["check"]:
            return self.check_only(find_user(options["owner"]), options)
        store = services.create_store(
            actor=COMMAND,
            owner=find_user(options["owner"]),
            name=options["name"],
            address=options["address"],
            plan=options["plan"],
        )
        if options["wait"]:
            wait_until_settled(store, options["timeout"])
        if options["json"]:
            self.print_json(all_as_json([store])[0])
        else:
            self.stdout.write(f"{store.pk} {store.status} {store.url}")
        if options["wait"] and store.status != Status.READY:
            raise CommandError(store.sentence or f"The store is {store.status}.")

    def check_only(self, owner: User, options: dict[str, Any]) -> None:
        answers = preflight.check(owner, plans.clean_plan(options["plan"]))
        if options["json"]:
            self.print_json([asdict(answer) for answer in answers])
        for answer in () if options["json"] else answers:
            self.stdout.write(f"{answer.kind:8}  {answer.sentence}")
        if blockers := [answer for answer in answers if answer.kind == preflight.BLOCKER]:
            raise CommandError(f"It does not fit now: {blockers[0].sentence}")


def wait_until_settled(store: Store, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not store.is_settled:
        if time.monotonic() > deadline:
            raise CommandError(
                f"Still {store.status} after {seconds:g} seconds: {store.sentence} "
                "The work goes on; see list_stores."
            )
        time.sleep(LOOK_SECONDS)
        store.refresh_from_db()
