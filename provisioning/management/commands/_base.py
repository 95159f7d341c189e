"""What the commands share: finding things by what a person would type, and saying no in one line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser

from stores.actor import SYSTEM, Actor
from stores.errors import Refused, StaleStore
from stores.health import Told, looked_at, told
from stores.messages import sentence
from stores.models import Operation, Store, User

COMMAND = Actor(None, "command")

__all__ = ["COMMAND", "SYSTEM", "StoreCommand", "all_as_json", "find_store", "find_user"]


class StoreCommand(BaseCommand):
    """A command whose refusals are one clear line and a non-zero exit code."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        # One line says what is wrong; --help says everything.
        parser.print_usage = lambda file=None: None  # type: ignore[method-assign]
        return parser

    def handle(self, *args: Any, **options: Any) -> str | None:
        try:
            return self.run_command(**options)
        except Refused as refusal:
            raise CommandError(str(refusal)) from None
        except StaleStore:
            raise CommandError("The store changed at the same moment. Try again.") from None

    def run_command(self, **options: Any) -> str | None:
        raise NotImplementedError

    def print_json(self, value: Any) -> None:
        self.stdout.write(json.dumps(value, indent=2, ensure_ascii=False))


def find_user(name: str) -> User:
    try:
        return User.objects.get(username=name)
    except User.DoesNotExist:
        raise CommandError(f"There is no user “{name}”.") from None


def find_store(text: str) -> Store:
    """By id, or by the address of a store that is not deleted."""
    try:
        found = Store.objects.filter(pk=UUID(text))
    except ValueError:
        found = Store.objects.existing().filter(address=text)
    if store := found.select_related("owner").first():
        return store
    raise CommandError(f"There is no store with the id or address “{text}”.")


def moment(when: datetime | None) -> str | None:
    return when.isoformat() if when else None


def diagnosis_of(store: Store) -> dict[str, Any] | None:
    """Of the newest operation, with its cause as a sentence; None where nothing is in the way."""
    newest = store.operations.first()
    if newest is None or not newest.diagnosis or newest.outcome == Operation.Outcome.SUCCEEDED:
        return None
    return {**newest.diagnosis, "cause": sentence(newest.diagnosis["cause"])}


def all_as_json(stores: Iterable[Store]) -> list[dict[str, Any]]:
    looked = looked_at()
    return [as_json(store, told(store, looked)) for store in stores]


def as_json(store: Store, health: Told | None) -> dict[str, Any]:
    return {
        "id": str(store.pk),
        "name": store.name,
        "owner": store.owner.get_username(),
        "url": store.url,
        "status": store.status,
        "since": store.status_since.isoformat(),
        "message": sentence(store.message),
        "health": health.health if health else "",
        "health_since": moment(health.since) if health else None,
        "health_message": health.sentence if health else "",
        "observed_at": moment(health.seen_at) if health else None,
        "closes_at": moment(store.closes_at),
        "diagnosis": diagnosis_of(store),
        "plan": store.plan,
        "engine": store.engine,
        "namespace": store.namespace,
    }
