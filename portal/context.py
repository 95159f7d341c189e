"""What every page says about the platform itself."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Min
from django.http import HttpRequest

from stores.models import Store


def outage_since() -> datetime | None:
    """Since when the cluster does not answer; None while it does."""
    waiting = Store.objects.exclude(outage_since=None)
    return waiting.aggregate(since=Min("outage_since"))["since"]


def platform(request: HttpRequest) -> dict[str, Any]:
    return {
        "simulated": settings.CLUSTER == "simulated",
        "store_scheme": settings.STORE_SCHEME,
        "store_domain": settings.STORE_DOMAIN,
        # Asked only by a page that shows it.
        "outage_since": outage_since,
    }
