"""What support may do with chosen rows: asked with what it means, done with a reason, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.functional import lazy
from django.utils.translation import gettext as _

from stores import services
from stores.actor import Actor
from stores.admin.acting import staff
from stores.errors import Refused, StaleStore

SEVERAL = 2


@dataclass(frozen=True)
class Verb:
    """``do(row, actor, form)``: what is done to each, with what was sent; raises Refused.
    ``possible(row)``: whether that can be done with it as it is now.

    ``label``, ``question``, ``yes``: of ``ngettext_lazy``, for one row and for several. ``meaning``:
    what the page says before; ``done``: what is said of each row afterwards, with its name as
    ``%(row)s``. ``choice``: the label of a box that can be ticked besides (``name="extra"``).
    """

    name: str
    label: Any
    question: Any
    meaning: Any
    yes: Any
    done: Any
    do: Callable[[Any, Actor, Any], str | None]
    possible: Callable[[Any], bool]
    choice: Any = ""
    permission: str = "operate"

    def as_action(self) -> Callable[..., HttpResponse | None]:
        def action(
            model_admin: Any, request: HttpRequest, chosen: QuerySet[Any]
        ) -> HttpResponse | None:
            return ask_or_do(self, model_admin, request, chosen)

        action.__name__ = self.name
        # A list asks of several, in the language of whoever looks at it.
        label: Any = lazy(lambda: self.label % SEVERAL, str)()
        described = admin.action(description=label, permissions=[self.permission])
        return described(action)


def offered(verbs: Iterable[Verb], row: Any) -> list[tuple[str, str]]:
    """Name and label of what can be done with this row as it is now."""
    return [(verb.name, verb.label % 1) for verb in verbs if verb.possible(row)]


def ask_or_do(
    verb: Verb, model_admin: Any, request: HttpRequest, chosen: QuerySet[Any]
) -> HttpResponse | None:
    if "reason" not in request.POST:
        return ask(verb, model_admin, request, chosen)
    try:
        reason = services.clean_reason(request.POST["reason"])
    except Refused as refused:
        return ask(verb, model_admin, request, chosen, str(refused))
    do(verb, model_admin, request, chosen, staff(request, reason))
    return None


def ask(
    verb: Verb, model_admin: Any, request: HttpRequest, chosen: QuerySet[Any], error: str = ""
) -> HttpResponse:
    """A page of its own before it is done: what it means, for which rows, and why."""
    rows = list(chosen.select_related(*model_admin.asked_related))
    context = {
        **model_admin.admin_site.each_context(request),
        "title": verb.question % len(rows),
        "opts": model_admin.opts,
        "verb": verb,
        "yes": verb.yes % len(rows),
        "line": f"admin/stores/{model_admin.opts.model_name}/line.html",
        "rows": rows,
        "error": error,
        "typed": request.POST.get("reason", ""),
        "reason_max": services.REASON_MAX,
    }
    return TemplateResponse(request, "admin/stores/asking.html", context)


def do(
    verb: Verb, model_admin: Any, request: HttpRequest, chosen: QuerySet[Any], actor: Actor
) -> None:
    """To each by itself: one that is refused does not hold up the others."""
    for row in chosen:
        try:
            said = verb.do(row, actor, request.POST) or verb.done
        except Refused as refused:
            said = _("“%(row)s”: %(refusal)s") % {"row": row, "refusal": refused}
            model_admin.message_user(request, said, messages.ERROR)
        except StaleStore:
            said = _("“%(row)s” changed at the same moment. Look again.") % {"row": row}
            model_admin.message_user(request, said, messages.ERROR)
        else:
            model_admin.message_user(request, said % {"row": row}, messages.SUCCESS)
