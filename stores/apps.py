from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.apps import apps as current_apps
from django.contrib.auth.management import create_permissions
from django.db import router
from django.db.models.signals import post_migrate

SUPPORT = "Support"
# What stores/admin asks for. The services decide what may be done with a store.
SUPPORT_MAY = (
    "view_user", "add_user", "change_user",
    "view_store", "change_store",
    "view_operation", "view_operationstep", "view_auditevent", "view_heartbeat", "view_snapshot",
)  # fmt: skip


class StoresConfig(AppConfig):
    name = "stores"

    def ready(self) -> None:
        post_migrate.connect(make_support_group, sender=self, dispatch_uid="stores.support_group")


def make_support_group(
    sender: AppConfig, using: str, apps: Any = current_apps, **kwargs: Any
) -> None:
    """The group of the support team, with its rights and no others: after every migrate and flush."""
    try:
        group_model = apps.get_model("auth", "Group")
        apps.get_model("stores", "AuditEvent")
    except LookupError:  # migrated to before they were there
        return
    if not router.allow_migrate_model(using, group_model):
        return
    create_permissions(sender, verbosity=0, using=using, apps=apps)
    permissions = apps.get_model("auth", "Permission").objects.using(using)
    group, _ = group_model.objects.using(using).get_or_create(name=SUPPORT)
    group.permissions.set(
        permissions.filter(content_type__app_label="stores", codename__in=SUPPORT_MAY)
    )
