"""What the address of a list of stores asks for: searched, filtered, sorted, and which page of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, F, IntegerField, Q, Value, When
from django.db.models.expressions import OrderBy
from django.db.models.functions import Lower
from django.http import QueryDict
from django.utils import timezone
from django.utils.http import urlencode

from stores.health import is_old
from stores.lifecycle import OBSERVED, Health, Status

MINE, SHARED = "mine", "shared"
# The first is what nobody has to ask for. A minus turns it round.
SORTS = ("created", "name", "status", "health")
DIRECTIONS = {sign + name for name in SORTS for sign in ("", "-")}
# What somebody should look at stands first.
STATUSES = (
    Status.FAILED, Status.PROVISIONING, Status.UPDATING, Status.REQUESTED, Status.CLOSING,
    Status.DELETING, Status.READY, Status.DELETED,
)  # fmt: skip
HEALTHS = (Health.LOST, Health.DEGRADED, Health.UNKNOWN, Health.HEALTHY)


@dataclass(frozen=True)
class Wanted:
    """What makes no sense in the address is ignored."""

    query: str = ""
    status: str = ""
    health: str = ""
    whose: str = ""
    sort: str = SORTS[0]
    page: str = "1"

    @classmethod
    def from_url(cls, parameters: QueryDict) -> Wanted:
        def one_of(name: str, known: Any, otherwise: str = "") -> str:
            value = parameters.get(name, "")
            return value if value in known else otherwise

        return cls(
            # PostgreSQL refuses NUL in any text.
            query=parameters.get("q", "").replace("\x00", "").strip()[:100],
            status=one_of("status", Status.values),
            health=one_of("health", Health.values),
            whose=one_of("whose", (MINE, SHARED)),
            sort=one_of("sort", DIRECTIONS, SORTS[0]),
            page=parameters.get("page", "1"),
        )

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the status leaves stores out."""
        return bool(self.query or self.health or self.whose)

    @property
    def is_downward(self) -> bool:
        """The youngest first, which goes without saying, is downward too."""
        return self.sort in ("created", "-name", "-status", "-health")

    def link(self, **changed: Any) -> str:
        """The query string of this list with something changed; what goes without saying is left
        out."""
        values = {
            "q": self.query,
            "status": self.status,
            "health": self.health,
            "whose": self.whose,
            "sort": self.sort,
            "page": self.page,
            **changed,
        }
        unsaid = {"page": "1", "sort": SORTS[0]}
        said = {key: value for key, value in values.items() if value}
        return "?" + urlencode({k: v for k, v in said.items() if str(v) != unsaid.get(k)})


def order(sort: str) -> tuple[Any, ...]:
    """Always the same for the same stores: the newest first where nothing else decides."""
    first: OrderBy = {
        # The youngest first: what people mean by it.
        "created": F("created_at").desc(),
        "name": Lower("name").asc(),
        "status": ranked("status", STATUSES).asc(),
        "health": by_health().asc(),
    }[sort.lstrip("-")]
    if sort.startswith("-"):
        first.reverse_ordering()
    return (first, "-created_at", "pk")


def ranked(field: str, values: tuple[str, ...]) -> Case:
    places = [When(**{field: value}, then=Value(place)) for place, value in enumerate(values)]
    return Case(*places, default=Value(len(values)), output_field=IntegerField())


def by_health() -> Case:
    """Those whose health nobody tells stand last."""
    told = When(is_observed(), then=ranked("health", HEALTHS))
    return Case(told, default=Value(len(HEALTHS) + 1), output_field=IntegerField())


def is_observed() -> Q:
    """As ``Store.is_observed``."""
    return Q(status__in=OBSERVED, ready_at__isnull=False)


def health_is(health: Health, looked_at: datetime | None) -> Q:
    """As ``stores.health.told`` tells it at this moment."""
    young = timezone.now() - timedelta(seconds=settings.UNKNOWN_SECONDS)
    seen = Q() if not is_old(looked_at) else Q(observed_at__gte=young)
    if health == Health.LOST:
        return is_observed() & Q(health=health)
    if health == Health.UNKNOWN:
        known = Q(health__in=(Health.HEALTHY, Health.DEGRADED)) & seen
        return is_observed() & ~known & ~Q(health=Health.LOST)
    return is_observed() & Q(health=health) & seen
