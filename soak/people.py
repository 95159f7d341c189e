"""Owners, and what they do: create, delete, undo, retry, refresh."""

from __future__ import annotations

import random
from collections import Counter

from django.contrib.auth import get_user_model

from stores import services
from stores.actor import Actor
from stores.errors import IllegalTransition, Refused, StaleStore
from stores.models import Store

NAMES = ("alice", "bob", "dave")
MAX_STORES = 4
# Verb: how often, among all.
VERBS = {"create": 44, "delete": 14, "delete_now": 6, "undo": 12, "retry": 8, "refresh": 16}


class People:
    def __init__(self, choose: random.Random) -> None:
        self.choose = choose
        self.done: Counter[str] = Counter()
        self.made = 0

    def arrive(self) -> None:
        """Two of them are there already."""
        get_user_model().objects.create_user(NAMES[-1], "dave@example.com")
        get_user_model().objects.update(max_stores=MAX_STORES)

    def pause(self, mean: float) -> float:
        return self.choose.uniform(0.2, 1.8) * mean

    def plan(self) -> tuple[str, str, float]:
        """What is asked, by whom, for which of their stores; it does not depend on what there is."""
        verb = self.choose.choices(list(VERBS), weights=list(VERBS.values()))[0]
        return verb, self.choose.choice(NAMES), self.choose.random()

    def act(self) -> None:
        verb, name, which = self.plan()
        user = get_user_model().objects.get(username=name)
        actor = Actor(user, "soak")
        try:
            if verb == "create":
                self.create(user, actor)
            else:
                stores = list(user.stores.existing().order_by("created_at"))
                if not stores:
                    self.done["nothing there"] += 1
                    return
                self.ask(verb, stores[int(which * len(stores))], actor)
        except (Refused, IllegalTransition, StaleStore):
            self.done[f"{verb} refused"] += 1
        else:
            self.done[verb] += 1

    def create(self, user: object, actor: Actor) -> None:
        self.made += 1
        services.create_store(
            actor=actor, owner=user, name=f"Shop {self.made}", address=f"shop-{self.made}",
            plan="small",
        )  # fmt: skip

    def ask(self, verb: str, store: Store, actor: Actor) -> None:
        if verb == "delete":
            services.delete_store(store, actor=actor)
        elif verb == "delete_now":
            services.delete_store(store, actor=actor, now=True)
        elif verb == "undo":
            services.undo_delete(store, actor=actor)
        elif verb == "retry":
            services.retry_store(store, actor=actor)
        else:
            services.refresh_store(store, actor=actor)
