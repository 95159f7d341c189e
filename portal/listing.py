"""The list of somebody's stores: what is searched, filtered and shown, with a few queries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.paginator import Page, Paginator
from django.db.models import Count, OuterRef, Q, Subquery, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from portal.shared import looked_at
from portal.troubles import Trouble, troubles
from portal.versions import version
from portal.waiting import line, waiting
from portal.wanted import MINE, SHARED, Wanted, health_is, order
from stores.health import is_old
from stores.lifecycle import SETTLED, Health, Status
from stores.models import OperationStep, Store, User

PER_PAGE = 25


@dataclass(frozen=True)
class Choice:
    """One of several to choose from: a status to filter by, with how many stores are in it."""

    label: str
    value: str
    chosen: bool
    link: str = ""
    count: int = 0


@dataclass(frozen=True)
class Overview:
    """All stores on one person's list, counted. ``version`` changes with anything a list shows.

    ``counts``: how many there are in each status; ``found``: of those, what was asked for besides.
    """

    counts: dict[str, int]
    found: dict[str, int]
    revisions: int
    # Their own that take a place in their quota, and how many that has.
    used: int
    max_stores: int
    shared: int
    troubles: list[Trouble]
    # Changes with what those who wait in line are told.
    line: str
    looked_at: datetime | None
    # Of those that are ready, how many are known to be well or not, although nobody looks at all.
    still_known: int

    @property
    def all_found(self) -> int:
        return sum(count for status, count in self.found.items() if status != Status.DELETED)

    @property
    def under_way(self) -> bool:
        return any(status not in SETTLED for status in self.counts)

    @property
    def is_full(self) -> bool:
        return self.used >= self.max_stores

    @property
    def summary(self) -> str:
        """For a screen reader, when something changed."""
        parts = [
            f"{self.counts[status]} {status.label.lower()}"
            for status in Status
            if status in self.counts and status != Status.DELETED
        ]
        said = _("%(used)s of %(most)s stores: %(parts)s")
        parts = parts or [_("none")]
        return said % {"used": self.used, "most": self.max_stores, "parts": ", ".join(parts)}

    @property
    def version(self) -> str:
        # Revisions only ever grow and rows are never removed: the sum names the state.
        known = self.still_known if is_old(self.looked_at) else "all"
        quota = (self.used, self.max_stores, self.shared)
        return version(self.revisions, quota, known, self.troubles, self.line)


def overview(user: User, wanted: Wanted) -> Overview:
    counted = count(user, wanted)
    counts = {row["status"]: row["stores"] for row in counted}
    return Overview(
        counts=counts,
        found={row["status"]: row["found"] for row in counted},
        revisions=sum(row["revisions"] for row in counted),
        looked_at=looked_at(),
        still_known=sum(row["known"] for row in counted),
        used=sum(row["used"] for row in counted),
        max_stores=user.max_stores,
        shared=sum(row["shared"] for row in counted),
        troubles=troubles(),
        line=line().version if Status.REQUESTED in counts else "",
    )


def count(user: User, wanted: Wanted) -> list[dict[str, Any]]:
    """A row for each status, with one look at all of them."""
    young = timezone.now() - timedelta(seconds=settings.UNKNOWN_SECONDS)
    rows = Store.objects.visible_to(user).order_by().values("status")
    return list(
        rows.annotate(
            stores=Count("pk"),
            found=Count("pk", filter=asked_for(wanted, user)),
            revisions=Sum("revision"),
            known=Count("pk", filter=Q(observed_at__gte=young)),
            used=Count("slot", filter=Q(owner=user)),
            shared=Count("pk", filter=~Q(owner=user)),
        )
    )


# --- What was asked for ------------------------------------------------------------------


def asked_for(wanted: Wanted, user: User) -> Q:
    """All but the status."""
    asked = Q(pk__isnull=False)
    if wanted.query:
        asked &= matches(wanted.query)
    if wanted.health:
        asked &= health_is(Health(wanted.health), looked_at())
    if wanted.whose:
        asked &= Q(owner=user) if wanted.whose == MINE else ~Q(owner=user)
    return asked


def in_status(wanted: Wanted) -> Q:
    """The deleted only where they are asked for."""
    return Q(status=wanted.status) if wanted.status else ~Q(status=Status.DELETED)


def matches(query: str) -> Q:
    # People paste what the browser shows as much as what they once typed.
    address = query.removeprefix(f"{settings.STORE_SCHEME}://").rstrip("/")
    address = address.removesuffix(f".{settings.STORE_DOMAIN}")
    return Q(name__icontains=query) | Q(address__icontains=address)


def page_of(user: User, wanted: Wanted, stores: Overview) -> Page[Store]:
    """With ``step``, the name of the last step begun of what is under way."""
    steps = OperationStep.objects.filter(
        operation__store=OuterRef("pk"), operation__finished_at=None
    )
    last = Subquery(steps.order_by("-position").values("name")[:1])
    rows = Store.objects.visible_to(user).filter(in_status(wanted), asked_for(wanted, user))
    rows = rows.annotate(step=last).select_related("owner").order_by(*order(wanted.sort))
    paginator = Paginator(rows, PER_PAGE)
    # Counted already.
    paginator.count = stores.found.get(wanted.status, 0) if wanted.status else stores.all_found
    return paginator.get_page(wanted.page)


# --- What there is to choose from ----------------------------------------------------------


def tabs(stores: Overview, wanted: Wanted) -> list[Choice]:
    """“All” (but the deleted), then every status that some store is in, or that was asked for."""
    shown = [status for status in Status if stores.counts.get(status) or status == wanted.status]
    everything = Choice(
        _("All"), "", not wanted.status, wanted.link(status="", page=1), stores.all_found
    )
    return [everything, *(tab(status, stores, wanted) for status in shown)]


def tab(status: Status, stores: Overview, wanted: Wanted) -> Choice:
    return Choice(
        str(status.label),
        status.value,
        status == wanted.status,
        wanted.link(status=status.value, page=1),
        stores.found.get(status, 0),
    )


def healths(wanted: Wanted) -> list[Choice]:
    known = [("", _("Any health")), *((one.value, str(one.label)) for one in Health)]
    return [Choice(label, value, value == wanted.health) for value, label in known]


def whose(wanted: Wanted) -> list[Choice]:
    known = [("", _("Everybody's")), (MINE, _("My own")), (SHARED, _("Shared with me"))]
    return [Choice(label, value, value == wanted.whose) for value, label in known]


def sorts(wanted: Wanted) -> list[Choice]:
    """The same in one list, for where there are no columns."""
    known = {
        "created": _("Newest first"),
        "-created": _("Oldest first"),
        "name": _("By name"),
        "status": _("By status"),
        "health": _("By health"),
    }
    return [Choice(label, value, value == wanted.sort) for value, label in known.items()]


def columns(wanted: Wanted) -> list[Choice]:
    """What can be sorted by. Asked for again, it is turned round."""
    labels = {
        "name": _("Store"),
        "status": _("Status"),
        "health": _("Health"),
        "created": _("Created"),
    }
    return [column(name, label, wanted) for name, label in labels.items()]


def column(name: str, label: str, wanted: Wanted) -> Choice:
    chosen = wanted.sort.lstrip("-") == name
    turned = f"-{name}" if wanted.sort == name else name
    return Choice(label, name, chosen, wanted.link(sort=turned, page=1))


def listing(user: User, wanted: Wanted, stores: Overview) -> dict[str, Any]:
    page = page_of(user, wanted, stores)
    return {
        "wanted": wanted,
        "overview": stores,
        "troubles": stores.troubles,
        "looked_at": stores.looked_at,
        "waiting": waiting(page),
        "tabs": tabs(stores, wanted),
        "healths": healths(wanted),
        "whose": whose(wanted) if stores.shared else [],
        "columns": columns(wanted),
        "sorts": sorts(wanted),
        "page": page,
        "first_use": not stores.counts,
        "before": wanted.link(page=page.previous_page_number()) if page.has_previous() else "",
        "after": wanted.link(page=page.next_page_number()) if page.has_next() else "",
    }
