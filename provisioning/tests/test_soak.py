"""The soak's choices: a seed that found something must be able to find it again."""

from __future__ import annotations

import random
from typing import Any

from soak.nemesis import ACTS, Nemesis
from soak.people import VERBS, People


def choices(seed: int, count: int = 400) -> list[Any]:
    """Of people and nemesis, with no stage at all: what is there has no part in them."""
    stage: Any = None
    people = People(random.Random(f"{seed}-people"))
    nemesis = Nemesis(stage, random.Random(f"{seed}-nemesis"), stage)
    return [
        (people.plan(), people.pause(1), nemesis.plan(), nemesis.pause(1)) for _ in range(count)
    ]


def test_the_same_seed_makes_the_same_choices() -> None:
    assert choices(7) == choices(7)
    assert choices(7) != choices(8)


def test_every_verb_and_every_harm_comes_up() -> None:
    asked = {people[0] for people, _, _, _ in choices(1)}
    done = {nemesis[0] for _, _, nemesis, _ in choices(1)}
    assert (asked, done) == (set(VERBS), set(ACTS))


def test_every_harm_can_be_done() -> None:
    assert [name for name in ACTS if not callable(getattr(Nemesis, name, None))] == []
