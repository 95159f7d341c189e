"""What every page says about the platform itself."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from portal.teams import waiting_for
from portal.troubles import troubles


def platform(request: HttpRequest) -> dict[str, Any]:
    return {
        "simulated": settings.CLUSTER == "simulated",
        "store_scheme": settings.STORE_SCHEME,
        "store_domain": settings.STORE_DOMAIN,
        "support_email": settings.SUPPORT_EMAIL,
        "sign_up": settings.SIGNUP,
        # Asked only by a page that shows it.
        "troubles": troubles,
        "invitations": lambda: waiting_for(request.user),
    }
