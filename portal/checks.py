"""Settings that would give away a promise of safety are told of at start."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register


@register()
def check_domains(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What runs in a shop could set cookies for the portal, were their domain the same."""
    stores = own_domain(settings.STORE_DOMAIN)
    near = [host for host in settings.ALLOWED_HOSTS if host == "*" or own_domain(host) == stores]
    if not settings.PRODUCTION or not near:
        return []
    return [
        Warning(
            f"Stores ({settings.STORE_DOMAIN}) and the portal ({', '.join(near)}) share a domain.",
            hint="Give stores a domain of their own: a shop can set cookies for all of its domain.",
            id="portal.W001",
        )
    ]


@register()
def check_trusted_origins(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What runs in a shop must not be able to send the portal a form."""
    stores = own_domain(settings.STORE_DOMAIN)
    hosts = [urlsplit(origin).hostname or "" for origin in settings.CSRF_TRUSTED_ORIGINS]
    if not settings.PRODUCTION or not any(own_domain(host) == stores for host in hosts):
        return []
    return [
        Warning(
            f"CSRF_TRUSTED_ORIGINS trusts the domain of the stores ({settings.STORE_DOMAIN}).",
            hint="Name the portal's own origins only, or none.",
            id="portal.W002",
        )
    ]


def own_domain(host: str) -> str:
    """The last two labels: what somebody registers, but for suffixes such as co.uk."""
    return ".".join(host.strip(".").lower().split(".")[-2:])
