"""Where a request comes from: what the audit trail keeps and the limits of logging in count by."""

from __future__ import annotations

from allauth.core.internal.httpkit import get_client_ip
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """What the outermost of our own proxies saw (TRUSTED_PROXY_COUNT); empty if nobody knows.

    Of X-Forwarded-For only what our proxies added counts: anybody can send the rest.
    """
    try:
        return get_client_ip(request) or ""
    except ImproperlyConfigured:
        # Fewer addresses than we have proxies: it did not come through them.
        return str(request.META.get("REMOTE_ADDR", ""))
