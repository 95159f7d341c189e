"""What the parts of a shop wrote last, and what the cluster says about them.

Asked for anew with every look: nothing of it is kept. The address says which part, what to find, and
whether the page follows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_safe

from portal.access import actor_of, signed_in, store_for
from portal.inquiries import answered
from portal.versions import version
from provisioning.engines import ENGINES
from stores import inquiries
from stores.inquiry import Inquiry
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Store
from stores.permissions import Right

Kind = Inquiry.Kind
LINES = (100, 300, 1000)
FIND_MAX = 100


@dataclass(frozen=True)
class Wanted:
    """What the address asks for; what makes no sense in it means what is usual."""

    component: str
    lines: int = LINES[1]
    find: str = ""
    follow: bool = True

    @classmethod
    def of(cls, store: Store, asked: QueryDict) -> Wanted:
        components = list(ENGINES[store.engine].components)
        component, lines = asked.get("component", ""), asked.get("lines", "")
        return cls(
            component if component in components else components[0],
            int(lines) if lines in map(str, LINES) else LINES[1],
            asked.get("find", "").strip()[:FIND_MAX],
            asked.get("follow", "1") != "0",
        )

    @property
    def query(self) -> str:
        found = QueryDict(mutable=True)
        found["component"] = self.component
        if self.lines != LINES[1]:
            found["lines"] = str(self.lines)
        if self.find:
            found["find"] = self.find
        if not self.follow:
            found["follow"] = "0"
        return found.urlencode()


@dataclass(frozen=True)
class Line:
    """``parts``: the text in pieces, and of each whether it is what was to be found."""

    parts: list[tuple[str, bool]]


@dataclass(frozen=True)
class Log:
    """Of one container. ``name``: "pod/container"; ``all``: how many lines there are."""

    name: str
    lines: list[Line]
    all: int


@dataclass(frozen=True)
class Event:
    """``tone``: a class of storeyard.css."""

    reason: str
    message: str
    of: str
    count: int
    last: datetime | None
    tone: str


# --- Pages -------------------------------------------------------------------------------


@require_safe
@signed_in
def store_logs(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.LOGS)
    wanted = Wanted.of(store, request.GET)
    context = {
        **around(store, wanted),
        **logs(request, store, wanted),
        **events(request, store),
    }
    return render(request, "stores/logs.html", context)


@require_safe
@signed_in
def store_logs_tail(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.LOGS)
    wanted = Wanted.of(store, request.GET)
    context = logs(request, store, wanted)
    return fragment(request, "stores/_log.html", context, context["version"])


@require_safe
@signed_in
def store_events(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.LOGS)
    context = events(request, store)
    return fragment(request, "stores/_events.html", context, context["events_version"])


def fragment(
    request: HttpRequest, template: str, context: dict[str, Any], version: str
) -> HttpResponse:
    if request.GET.get("version") == version:
        return HttpResponse(status=204)
    return render(request, template, context)


@require_safe
@signed_in
def store_logs_download(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.LOGS)
    wanted = replace(Wanted.of(store, request.GET), lines=LINES[-1])
    found, failure = look(request, store, Kind.LOGS, params(wanted))
    if failure:
        messages.error(request, failure)
        return redirect("store-logs", store.pk)
    text = "".join(f"=== {name}\n{written}\n\n" for name, written in found.get("logs", {}).items())
    name = f"{store.address}-{wanted.component}.log"
    return HttpResponse(
        text,
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def around(store: Store, wanted: Wanted) -> dict[str, Any]:
    """What of the page no look changes."""
    components = ENGINES[store.engine].components
    return {
        "tabs": [
            (str(name), replace(wanted, component=code).query, code == wanted.component)
            for code, name in components.items()
        ],
        "lines": [(count, replace(wanted, lines=count).query) for count in LINES],
        "turned": replace(wanted, follow=not wanted.follow).query,
    }


def logs(request: HttpRequest, store: Store, wanted: Wanted) -> dict[str, Any]:
    found, failure = look(request, store, Kind.LOGS, params(wanted))
    written = found.get("logs", {})
    return {
        "store": store,
        "wanted": wanted,
        "logs": [log(name, text, wanted.find) for name, text in written.items()],
        "failure": failure,
        "version": version(written, failure),
    }


def params(wanted: Wanted) -> dict[str, Any]:
    return {"component": wanted.component, "lines": wanted.lines}


def events(request: HttpRequest, store: Store) -> dict[str, Any]:
    found, failure = look(request, store, Kind.EVENTS, {})
    told = found.get("events", [])
    return {
        "store": store,
        "events": [event(one) for one in told],
        "events_failure": failure,
        "events_version": version(told, failure),
    }


# --- The answer --------------------------------------------------------------------------


def look(
    request: HttpRequest, store: Store, kind: Inquiry.Kind, params: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """What the cluster says, and, where it says nothing, why."""
    if store.status == Status.DELETED or not store.namespace_uid:
        return {}, ""
    inquiry = inquiries.ask(kind, store, actor=actor_of(request), params=params)
    answer = answered(inquiry.pk, settings.LOGS_WAIT_SECONDS)
    if answer is None:
        return {}, str(Message("inquiry-unanswered"))
    if answer.failure:
        return {}, str(Message.from_json(answer.failure))
    return answer.answer, ""


def log(name: str, text: str, find: str) -> Log:
    lines = text.splitlines()
    return Log(name, list(matching(lines, find)), len(lines))


def matching(lines: list[str], find: str) -> Iterator[Line]:
    for line in lines:
        if find.lower() in line.lower():
            yield Line(list(pieces(line, find)))


def pieces(line: str, find: str) -> Iterator[tuple[str, bool]]:
    """Upper and lower case are the same, as far as that leaves a line as long as it was."""
    small, sought, at = line.lower(), find.lower(), 0
    if len(small) != len(line) or not sought:
        yield line, False
        return
    while (start := small.find(sought, at)) >= 0:
        yield line[at:start], False
        at = start + len(sought)
        yield line[start:at], True
    yield line[at:], False


TONES: dict[str, str] = {"Warning": "going", "Normal": "gone"}


def event(told: dict[str, Any]) -> Event:
    return Event(
        reason=told["reason"],
        message=told["message"],
        of=told["of"],
        count=told["count"],
        last=parse_datetime(told["last"]) if told["last"] else None,
        tone=TONES.get(told["type"], "gone"),
    )
