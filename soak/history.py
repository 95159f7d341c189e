"""One soak: people and a nemesis take turns by the seed, then everything settles and is judged."""

from __future__ import annotations

import heapq
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError
from django.db import connection

from soak.judge import Judge
from soak.nemesis import Nemesis
from soak.people import People

if TYPE_CHECKING:
    from soak.stage import Stage

# Mean seconds from one act to the next.
PEOPLE_SECONDS, NEMESIS_SECONDS = 3.0, 6.0
LOOK_SECONDS = 1.0


class History:
    def __init__(self, stage: Stage, seed: int, seconds: float) -> None:
        self.stage, self.seconds = stage, seconds
        # One source of choices for each, so that what one does changes nothing for the other.
        self.people = People(random.Random(f"{seed}-people"))
        self.nemesis = Nemesis(stage, random.Random(f"{seed}-nemesis"), self.later)
        self.judge = Judge(stage)
        self.acts: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()
        self.away: Counter[str] = Counter()

    def run(self) -> list[str]:
        self.people.arrive()
        self.later(0, self.person)
        self.later(10, self.harm)
        self.later(LOOK_SECONDS, self.look)
        end = time.monotonic() + self.seconds
        while self.acts and self.acts[0][0] < end:
            at, _, act = heapq.heappop(self.acts)
            time.sleep(max(0.0, at - time.monotonic()))
            act()
        print(f"soak: {self.seconds:.0f} s are over, now it settles", flush=True)
        self.nemesis.end()
        violations = self.judge.end()
        self.tell()
        return violations

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self.acts, (time.monotonic() + seconds, next(self.order), act))

    def person(self) -> None:
        self.later(self.people.pause(PEOPLE_SECONDS), self.person)
        self.trying(self.people.act)

    def harm(self) -> None:
        self.later(self.nemesis.pause(NEMESIS_SECONDS), self.harm)
        self.nemesis.act()

    def look(self) -> None:
        self.later(LOOK_SECONDS, self.look)
        self.stage.serve()
        self.trying(self.judge.look)

    def trying(self, what: Callable[[], None]) -> None:
        """People see an error page while the database is away, and come again."""
        try:
            what()
        except DatabaseError:
            self.away[what.__qualname__] += 1
            connection.close()

    def tell(self) -> None:
        for name, counts in (
            ("people", self.people.done),
            ("nemesis", self.nemesis.done),
            ("database away for", self.away),
            ("stores", self.judge.statuses),
            ("passes' ends", self.judge.ends),
        ):
            told = ", ".join(f"{what} {number}" for what, number in sorted(counts.items()))
            print(f"soak: {name}: {told or 'nothing'}")
        print(f"soak: services started again: {self.stage.restarts}", flush=True)
