"""The list of somebody's stores: what is searched, filtered and shown, with a few queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import Count, OuterRef, Q, Subquery, Sum
from django.http import QueryDict
from django.utils import timezone
from django.utils.http import urlencode

from portal.shared import looked_at
from portal.troubles import Trouble, troubles
from portal.versions import version
from portal.waiting import line, waiting
from stores.health import is_old
from stores.lifecycle import SETTLED, Status
from stores.models import OperationStep, Store, User

PER_PAGE = 25


@dataclass(frozen=True)
class Wanted:
    """What the address of the list asks for; what makes no sense in it is ignored."""

    query: str = ""
    status: str = ""
    page: str = "1"

    @classmethod
    def from_url(cls, parameters: QueryDict) -> Wanted:
        status = parameters.get("status", "")
        return cls(
            # PostgreSQL refuses NUL in any text.
            query=parameters.get("q", "").replace("\x00", "").strip()[:100],
            status=status if status in Status.values else "",
            page=parameters.get("page", "1"),
        )

    def link(self, **changed: Any) -> str:
        """The query string of this list with something changed; empty values are left out."""
        values = {"q": self.query, "status": self.status, "page": self.page, **changed}
        if str(values["page"]) == "1":
            del values["page"]
        return "?" + urlencode({key: value for key, value in values.items() if value})


@dataclass(frozen=True)
class Tab:
    """A status to filter by, with how many stores are in it."""

    label: str
    count: int
    link: str
    chosen: bool


@dataclass(frozen=True)
class Overview:
    """All stores of one person, counted. ``version`` changes with anything a list shows."""

    counts: dict[str, int]
    revisions: int
    max_stores: int
    troubles: list[Trouble]
    # Changes with what those who wait in line are told.
    line: str
    looked_at: datetime | None
    # Of those that are ready, how many are known to be well or not, although nobody looks at all.
    still_known: int
    # How many of them are asked for.
    found: int

    @property
    def used(self) -> int:
        return sum(count for status, count in self.counts.items() if status != Status.DELETED)

    @property
    def under_way(self) -> bool:
        return any(status not in SETTLED for status in self.counts)

    @property
    def summary(self) -> str:
        """For a screen reader, when something changed."""
        parts = [
            f"{self.counts[status]} {status.label.lower()}"
            for status in Status
            if status in self.counts and status != Status.DELETED
        ]
        return f"{self.used} of {self.max_stores} stores: {', '.join(parts) or 'none'}"

    @property
    def version(self) -> str:
        # Revisions only ever grow and rows are never removed: the sum names the state.
        known = self.still_known if is_old(self.looked_at) else "all"
        return version(self.revisions, self.max_stores, known, self.troubles, self.line)


def overview(user: User, wanted: Wanted) -> Overview:
    rows = Store.objects.visible_to(user).order_by().values_list("status")
    young = timezone.now() - timedelta(seconds=settings.UNKNOWN_SECONDS)
    counted = list(
        rows.annotate(
            stores=Count("pk"),
            revisions=Sum("revision"),
            known=Count("pk", filter=Q(observed_at__gte=young)),
            found=Count("pk", filter=asked_for(wanted)),
        )
    )
    counts = {status: count for status, count, *_ in counted}
    return Overview(
        counts=counts,
        revisions=sum(revisions for _, _, revisions, _, _ in counted),
        looked_at=looked_at(),
        still_known=sum(known for *_, known, _ in counted),
        found=sum(found for *_, found in counted),
        max_stores=user.max_stores,
        troubles=troubles(),
        line=line().version if Status.REQUESTED in counts else "",
    )


def asked_for(wanted: Wanted) -> Q:
    asked = Q(status=wanted.status) if wanted.status else ~Q(status=Status.DELETED)
    if not wanted.query:
        return asked
    # People paste what the browser shows as much as what they once typed.
    address = wanted.query.removeprefix(f"{settings.STORE_SCHEME}://").rstrip("/")
    address = address.removesuffix(f".{settings.STORE_DOMAIN}")
    return asked & (Q(name__icontains=wanted.query) | Q(address__icontains=address))


def page_of(user: User, wanted: Wanted, stores: Overview) -> Page[Store]:
    """With ``step``, the name of the last step begun of what is under way."""
    steps = OperationStep.objects.filter(
        operation__store=OuterRef("pk"), operation__finished_at=None
    )
    last = Subquery(steps.order_by("-position").values("name")[:1])
    found = Store.objects.visible_to(user).filter(asked_for(wanted)).annotate(step=last)
    paginator = Paginator(found.order_by("-created_at", "pk"), PER_PAGE)
    # Counted already, with one look at all of them.
    paginator.count = stores.found
    return paginator.get_page(wanted.page)


def tabs(stores: Overview, wanted: Wanted) -> list[Tab]:
    """“All” (but the deleted), then every status that some store is in, or that was asked for."""
    shown = [status for status in Status if stores.counts.get(status) or status == wanted.status]
    return [
        Tab("All", stores.used, wanted.link(status="", page=1), not wanted.status),
        *(
            Tab(
                str(status.label),
                stores.counts.get(status, 0),
                wanted.link(status=status.value, page=1),
                status == wanted.status,
            )
            for status in shown
        ),
    ]


def listing(user: User, wanted: Wanted, stores: Overview) -> dict[str, Any]:
    page = page_of(user, wanted, stores)
    return {
        "wanted": wanted,
        "overview": stores,
        "troubles": stores.troubles,
        "looked_at": stores.looked_at,
        "waiting": waiting(page),
        "tabs": tabs(stores, wanted),
        "page": page,
        "poll": wanted.link(version=stores.version),
        "first_use": not stores.counts,
        "newer": wanted.link(page=page.previous_page_number()) if page.has_previous() else "",
        "older": wanted.link(page=page.next_page_number()) if page.has_next() else "",
    }
