"""As whom staff act and why, and what they can only look at."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import Model
from django.http import HttpRequest

from stores.actor import Actor
from stores.models import User


def staff(request: HttpRequest, reason: str = "") -> Actor:
    return Actor(
        cast(User, request.user),
        "admin",
        address=getattr(request, "client_address", ""),
        request_id=getattr(request, "request_id", ""),
        reason=reason,
    )


class ReadOnly:
    """Looked at by who may view it; added, changed or deleted here by nobody, superusers included."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Unlogged:
    """The audit trail is the only log. Django's own would keep names that nobody erases."""

    def log_addition(self, *args: Any, **kwargs: Any) -> Any:
        pass

    def log_change(self, *args: Any, **kwargs: Any) -> Any:
        pass

    def log_deletion(self, *args: Any, **kwargs: Any) -> Any:
        pass

    def log_deletions(self, *args: Any, **kwargs: Any) -> Any:
        pass
