"""The whole history of a store: a page with a filter, and a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from portal import history
from portal.access import signed_in, store_for
from stores.models import Store, User


@dataclass(frozen=True)
class Tab:
    label: str
    link: str
    chosen: bool


@require_safe
@signed_in
def store_history(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id)
    return render(request, "stores/history.html", whole(store, request.user, request.GET))


@require_safe
@signed_in
def store_history_csv(request: HttpRequest, store_id: UUID) -> StreamingHttpResponse:
    store = store_for(request, store_id)
    lines = history.as_csv(store, request.user, kind_of(request.GET))
    return StreamingHttpResponse(
        lines,
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{store.address}-history.csv"'},
    )


def whole(store: Store, reader: User, asked: QueryDict) -> dict[str, Any]:
    kind = kind_of(asked)
    paginator = Paginator(history.events(store, kind), history.PER_PAGE)
    page = paginator.get_page(asked.get("page"))
    return {
        "store": store,
        "page": page,
        "entries": history.entries(page, store, reader),
        "sees_addresses": store.standing in history.SEES_ADDRESSES,
        "tabs": [Tab(str(name), link(code), code == kind) for code, name in history.KINDS.items()],
        "kind": kind,
        "query": link(kind),
        "newer": link(kind, page.previous_page_number()) if page.has_previous() else "",
        "older": link(kind, page.next_page_number()) if page.has_next() else "",
    }


def kind_of(asked: QueryDict) -> str:
    """What makes no sense means all."""
    kind = asked.get("kind", "")
    return kind if kind in history.KINDS else ""


def link(kind: str, page: int = 1) -> str:
    """The part of the address after the path; ``?`` alone, so that it always leads somewhere."""
    query = QueryDict(mutable=True)
    if kind:
        query["kind"] = kind
    if page > 1:
        query["page"] = str(page)
    return f"?{query.urlencode()}"
