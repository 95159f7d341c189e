"""An operation as people see it: its steps in order, done, under way and still to come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from provisioning.steps import CLOSE, PROVISION, TEAR_DOWN
from stores.lifecycle import Status
from stores.messages import sentence
from stores.models import Operation, OperationStep

Outcome = OperationStep.Outcome

# What a step is for, in words that need no cluster.
PURPOSES = {
    "create_namespace": _("A place of its own, closed off from every other store."),
    "apply_guardrails": _("The plan's limits, and walls around the network."),
    "create_secrets": _("Passwords, made once and known to this store only."),
    "install_release": _("The shop and its database are put in."),
    "wait_until_running": _("Everything starts up. This is the longest part."),
    "check_storefront": _("The shop's address is opened, as a customer would."),
    "close_storefront": _("The shop is taken off its address. Nothing is destroyed yet."),
    "take_inventory": _(
        "Everything that is there is written down, to prove later that it is gone."
    ),
    "uninstall_release": _("The shop and its database are shut down."),
    "delete_namespace": _("The store's place is cleared, with everything in it."),
    "wait_until_gone": _("The disks are released; nothing is left behind."),
}
# What a step is called: its function's name in words (OperationStep.title), here to be translated.
STEP_TITLES = (
    gettext_noop("Create namespace"),
    gettext_noop("Apply guardrails"),
    gettext_noop("Create secrets"),
    gettext_noop("Install release"),
    gettext_noop("Wait until running"),
    gettext_noop("Check storefront"),
    gettext_noop("Close storefront"),
    gettext_noop("Take inventory"),
    gettext_noop("Uninstall release"),
    gettext_noop("Delete namespace"),
    gettext_noop("Wait until gone"),
)
# Outcome -> word, icon, tone (a class of storeyard.css).
LOOKS = {
    "": (_("To come"), "circle", "none"),
    Outcome.RUNNING: (_("Under way"), "arrow-repeat", "busy"),
    Outcome.WAITING: (_("Waiting"), "hourglass-split", "busy"),
    Outcome.DONE: (_("Done"), "check-circle-fill", "ok"),
    Outcome.SKIPPED: (_("Skipped"), "skip-forward-circle", "gone"),
    Outcome.FAILED: (_("Failed"), "exclamation-octagon-fill", "bad"),
}
TITLES = {
    Operation.Kind.CREATE: _("Creation"),
    Operation.Kind.RETRY: _("Another try"),
    Operation.Kind.REFRESH: _("Refresh"),
    Operation.Kind.REPAIR: _("Repair"),
    Operation.Kind.DELETE: _("Deletion"),
    Operation.Kind.UNDO: _("Undone deletion"),
}
STOPPED = (_("Stopped"), "slash-circle", "gone")


@dataclass(frozen=True)
class Line:
    """One step on the page. ``started_at`` only while it is under way."""

    title: str
    purpose: str
    word: str
    icon: str
    tone: str
    sentence: str = ""
    tries: int = 0
    duration: timedelta | None = None
    started_at: datetime | None = None


@dataclass(frozen=True)
class Timeline:
    operation: Operation
    lines: list[Line]

    @property
    def title(self) -> str:
        return str(TITLES[Operation.Kind(self.operation.kind)])

    @property
    def findings(self) -> list[str]:
        """Of a repair: what was found different from what is wanted."""
        return [sentence(finding) for finding in self.operation.findings]

    @property
    def says_it(self) -> bool:
        """Whether one of its lines already says what the store waits for."""
        return any(line.sentence == self.operation.store.sentence for line in self.lines)

    @property
    def took(self) -> timedelta | None:
        """From the request to the end."""
        ended = self.operation.finished_at
        return ended - self.operation.requested_at if ended else None

    @property
    def went_well(self) -> bool:
        return self.operation.outcome == Operation.Outcome.SUCCEEDED

    @property
    def done(self) -> int:
        return sum(line.tone in ("ok", "gone") for line in self.lines)


def timeline(operation: Operation) -> Timeline:
    steps = list(operation.steps.all())
    lines = [line_of(step, ended=operation.finished_at is not None) for step in steps]
    if operation.finished_at is None:
        lines += still_to_come(operation, {step.name for step in steps})
    return Timeline(operation, lines)


def line_of(step: OperationStep, *, ended: bool) -> Line:
    under_way = step.outcome in (Outcome.RUNNING, Outcome.WAITING)
    word, icon, tone = STOPPED if under_way and ended else LOOKS[step.outcome]
    return Line(
        title=step.title,
        purpose=PURPOSES.get(step.name, ""),
        word=word,
        icon=icon,
        tone=tone,
        sentence=step.sentence,
        # Of one that waits it is how often it looked, which tells nobody anything.
        tries=step.tries if step.outcome == Outcome.FAILED else 0,
        duration=None if under_way else step.duration,
        started_at=step.started_at if under_way and not ended else None,
    )


def still_to_come(operation: Operation, begun: set[str]) -> Iterable[Line]:
    steps = PROVISION
    if operation.kind == Operation.Kind.DELETE:
        closing = operation.store.status == Status.CLOSING
        steps = (*CLOSE, *TEAR_DOWN) if closing else TEAR_DOWN
    word, icon, tone = LOOKS[""]
    for name in (step.__name__ for step in steps):
        if name not in begun:
            title = OperationStep(name=name).title
            yield Line(title, PURPOSES.get(name, ""), word, icon, tone)
