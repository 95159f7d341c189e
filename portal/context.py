"""What every page says about the platform itself."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from portal.teams import waiting_for
from portal.troubles import troubles


def platform(request: HttpRequest) -> dict[str, Any]:
    return {
        "simulated": settings.CLUSTER == "simulated",
        "store_scheme": settings.STORE_SCHEME,
        "store_domain": settings.STORE_DOMAIN,
        "support_email": settings.SUPPORT_EMAIL,
        "sign_up": settings.SIGNUP,
        "admin_url": admin_url,
        # Asked only by a page that shows it.
        "troubles": troubles,
        "invitations": lambda: waiting_for(request.user),
    }


def admin_url() -> str:
    """On its own host, if it has one."""
    host = f"//{settings.ADMIN_HOST}" if settings.ADMIN_HOST else ""
    return host + reverse("admin:index")
