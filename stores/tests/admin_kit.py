"""How tests use the support team's admin."""

from __future__ import annotations

from django.contrib.auth.models import Permission
from django.test import Client

from stores.models import Store, User

STORES = "/admin/stores/store/"
REASON = "They asked on the phone."


def allow(user: User, *codenames: str) -> None:
    user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))


def ask(client: Client, action: str, *rows: Store | User, **more: str) -> str:
    """The page that is shown before anything is done."""
    url = STORES if isinstance(rows[0], Store) else "/admin/stores/user/"
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows], **more}
    response = client.post(url, data, follow=True)
    assert response.status_code == 200
    return response.content.decode()


def run(client: Client, action: str, *rows: Store | User, **more: str) -> str:
    return ask(client, action, *rows, **{"reason": REASON, **more})
