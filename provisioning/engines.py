"""What shops can be made of. To add one: a chart, and an entry in ``ENGINES``."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from provisioning import manifests
from provisioning.cluster.base import Release
from stores.models import Store

CHARTS = Path(settings.BASE_DIR) / "charts"
RELEASE_NAME = "store"
# What the chart allows its setup Job.
SETUP_SECONDS = (60, 599)
SALTS = ("auth", "secure-auth", "logged-in", "nonce")


@dataclass(frozen=True)
class Login:
    """Where the initial password of the shop's first user is: a Secret, and the keys in it."""

    secret: str
    user: str
    password: str


@dataclass(frozen=True)
class Engine:
    """``secrets``: name of each Secret and what makes its content; ``volume_secrets``: those a
    volume's data depends on; ``volumes``: the claims the shop's data lies in;
    ``values``: the chart's values for a store; ``disks``: the size of each of its ``volumes``;
    ``components``: the parts of the shop that write logs, by the label of their pods.
    """

    code: str
    chart: Path
    chart_version: str
    secrets: Callable[[Store], dict[str, Callable[[], dict[str, str]]]]
    volume_secrets: tuple[str, ...]
    volumes: tuple[str, ...]
    values: Callable[[Store], dict[str, Any]]
    disks: Callable[[Store], dict[str, str]]
    login: Login
    components: dict[str, Any]

    def release(self, store: Store, *, closed: bool = False) -> Release:
        """``closed``: nothing leads to the shop from outside; all else is the same."""
        values = self.values(store)
        if closed:
            values["exposure"] = {**values["exposure"], "type": "none"}
        return Release(
            name=RELEASE_NAME,
            namespace=store.namespace,
            chart=self.chart,
            chart_version=store.chart_version,
            values=values,
            may_start_over=store.ready_at is None,
        )


def password() -> str:
    """192 random bits as text."""
    return secrets.token_urlsafe(24)


def woocommerce_secrets(store: Store) -> dict[str, Callable[[], dict[str, str]]]:
    made: dict[str, Callable[[], dict[str, str]]] = {
        "store-db": lambda: {"root-password": password(), "password": password()},
        "store-wordpress": lambda: wordpress_secret(store),
    }
    if settings.STORE_MAIL_USER:
        made["store-smtp"] = lambda: {
            "user": settings.STORE_MAIL_USER,
            "password": settings.STORE_MAIL_PASSWORD,
        }
    return made


def wordpress_secret(store: Store) -> dict[str, str]:
    return {
        # Not "admin": half of the guessing on the internet is for that name.
        "admin-user": f"owner-{secrets.token_hex(3)}",
        "admin-password": password(),
        "admin-email": store.owner.email or f"owner@{store.host}",
        **{
            f"{name}-{kind}": secrets.token_urlsafe(48)
            for name in SALTS
            for kind in ("key", "salt")
        },
    }


# Sizes of what runs, by plan; the guardrails around it are stores/plans.py.
WOOCOMMERCE_SIZES: dict[str, dict[str, Any]] = {
    "small": {
        "content": {"size": "5Gi"},
        "mariadb": {"storage": {"size": "5Gi"}},
    },
    "standard": {
        "content": {"size": "10Gi"},
        "mariadb": {"storage": {"size": "10Gi"}},
    },
    "large": {
        "web": {
            "maxRequestWorkers": 20,
            "resources": {
                "requests": {"cpu": "500m", "memory": "1Gi"},
                "limits": {"cpu": "4", "memory": "2Gi"},
            },
        },
        "content": {"size": "50Gi"},
        "mariadb": {
            "bufferPool": "512M",
            "resources": {
                "requests": {"cpu": "500m", "memory": "1Gi"},
                "limits": {"cpu": "2", "memory": "2Gi"},
            },
            "storage": {"size": "50Gi"},
        },
    },
}


def woocommerce_disks(store: Store) -> dict[str, str]:
    sizes = WOOCOMMERCE_SIZES[store.plan]
    return {
        "store-content": sizes["content"]["size"],
        "data-store-db-0": sizes["mariadb"]["storage"]["size"],
    }


def woocommerce_values(store: Store) -> dict[str, Any]:
    """No secret is in here, only the names of Secrets; the owner's text is ``store.title`` alone."""
    values: dict[str, Any] = {
        "commonLabels": manifests.labels(store),
        "store": {"title": store.name, "url": store.url, "host": store.host},
        "secrets": {
            "wordpress": "store-wordpress",
            "db": "store-db",
            "smtp": "store-smtp" if settings.STORE_MAIL_USER else "",
            # A retry restarts the pods: controllers wait ever longer between their own attempts.
            "revision": str(store.generation),
        },
        "exposure": exposure(),
        "networkPolicy": {
            "ingressNamespace": settings.STORE_INGRESS_NAMESPACE,
            "ingressPodLabels": settings.STORE_INGRESS_POD_LABELS,
            "egressExcept": settings.STORE_EGRESS_EXCEPT,
        },
        "mail": {
            "host": settings.STORE_MAIL_HOST,
            "port": settings.STORE_MAIL_PORT,
            "from": settings.STORE_MAIL_FROM,
            "cidrs": settings.STORE_MAIL_CIDRS,
        },
        "setup": {"activeDeadlineSeconds": setup_seconds()},
        "web": {},
        "content": {},
        "mariadb": {"storage": {}},
    }
    for part, sizes in WOOCOMMERCE_SIZES[store.plan].items():
        values[part].update(sizes)
    if settings.STORE_STORAGE_CLASS:
        values["content"]["storageClass"] = settings.STORE_STORAGE_CLASS
        values["mariadb"]["storage"] = {
            **values["mariadb"]["storage"],
            "storageClass": settings.STORE_STORAGE_CLASS,
        }
    return values


def setup_seconds() -> int:
    """Less than the store's own deadline, so that it is the Job that says what went wrong."""
    return min(max(settings.PROVISION_SECONDS - 120, SETUP_SECONDS[0]), SETUP_SECONDS[1])


def exposure() -> dict[str, Any]:
    gateway_namespace, _, gateway = settings.STORE_GATEWAY.rpartition("/")
    return {
        "type": settings.STORE_EXPOSURE,
        "ingress": {"className": settings.STORE_INGRESS_CLASS},
        "gateway": {
            "parentRefs": [{"name": gateway, "namespace": gateway_namespace}] if gateway else []
        },
        "tls": {"mode": "off" if settings.STORE_SCHEME == "http" else "wildcard"},
    }


ENGINES: dict[str, Engine] = {
    engine.code: engine
    for engine in (
        Engine(
            code=Store.Engine.WOOCOMMERCE,
            chart=CHARTS / "woocommerce",
            chart_version="0.1.0",
            secrets=woocommerce_secrets,
            volume_secrets=("store-db", "store-wordpress"),
            volumes=("store-content", "data-store-db-0"),
            values=woocommerce_values,
            disks=woocommerce_disks,
            login=Login("store-wordpress", "admin-user", "admin-password"),
            components={
                "web": _("Shop"),
                "db": _("Database"),
                "setup": _("Setup"),
                "cron": _("Scheduled tasks"),
            },
        ),
    )
}
