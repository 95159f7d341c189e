"""What a diagnosis is: the cause in words, whose move it is, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from stores.messages import Message

Evidence = dict[str, Any]
Object = dict[str, Any]
Move = Literal["owner", "support", "platform", "nobody"]
Action = Literal["", "retry", "repair", "delete", "contact"]
# Whose fault it is decides what becomes of the store: workload and chart may fail it at once where
# waiting cannot help, user and unknown at its deadline, cluster and portal never do.
Class = Literal["user", "chart", "workload", "cluster", "portal", "unknown"]


@dataclass(frozen=True)
class Diagnosis:
    """Why a store is not as it should be, what that rests on, and what to do.

    ``lines``: the evidence, each one line of text, redacted and cut. ``at_once``: waiting cannot help.
    """

    cause: Message
    kind: Class
    move: Move
    action: Action = ""
    lines: tuple[str, ...] = field(default=())
    at_once: bool = False

    @property
    def never_fails(self) -> bool:
        """Not the store's fault: its clock stands still, and it is tried again."""
        return self.kind in ("cluster", "portal")

    def as_json(self) -> dict[str, Any]:
        return {
            "cause": self.cause.as_json(),
            "kind": self.kind,
            "move": self.move,
            "action": self.action,
            "lines": list(self.lines),
            "at_once": self.at_once,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Diagnosis:
        return cls(
            cause=Message.from_json(value["cause"]),
            kind=value["kind"],
            move=value["move"],
            action=value["action"],
            lines=tuple(value["lines"]),
            at_once=value["at_once"],
        )


# What a step knows without looking further: class, whose move it is, and what to do.
KNOWN: dict[str, tuple[Class, Move, Action]] = {
    "setup-failed": ("workload", "owner", "retry"),
    "secret-lost": ("workload", "support", "contact"),
    "volume-lost": ("workload", "support", "contact"),
    "namespace-lost": ("workload", "support", "contact"),
    "namespace-taken": ("user", "support", "contact"),
}


def of(message: Message) -> Diagnosis:
    """The diagnosis that a step has made itself."""
    kind, move, action = KNOWN.get(message.code, ("unknown", "support", "contact"))
    return Diagnosis(message, kind, move, action, at_once=True)
