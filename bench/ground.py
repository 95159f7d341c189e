"""What a run stands on: a folder of its own, the platform's settings, and a Helm that is counted."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster.build import HELM, KUBERNETES, binaries

# Two lines: the second helm takes the place of the shell.
COUNTING_HELM = """#!/bin/sh
echo "$1" >> '{log}'
exec '{helm}' "$@"
"""


@dataclass(frozen=True)
class Options:
    stores: int
    workers: int
    starting: int
    ready_after: str
    samples: int
    rings: int
    seconds: float


@dataclass(frozen=True)
class Ground:
    """`folder` goes away with the run; `helm_log` has a line for each start of Helm."""

    folder: Path
    options: Options

    @property
    def helm(self) -> Path:
        return self.folder / "bin" / "helm"

    @property
    def helm_log(self) -> Path:
        return self.folder / "helm.log"

    def helm_runs(self) -> int:
        return len(self.helm_log.read_text().split()) if self.helm_log.exists() else 0

    def prepare(self) -> None:
        """Before anything of Django is imported: its settings are read from the environment once."""
        self.helm.parent.mkdir()
        self.helm.write_text(COUNTING_HELM.format(log=self.helm_log, helm=binaries() / "helm"))
        self.helm.chmod(0o755)
        os.environ.update(self.settings())
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)

    def settings(self) -> dict[str, str]:
        return {
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PRODUCTION": "false",
            "STOREYARD_RUN_DIR": str(self.folder),
            "STOREYARD_CLUSTER": "kubernetes",
            "STOREYARD_CLUSTER_ROUTES_TRAFFIC": "false",
            "STOREYARD_HELM": str(self.helm),
            "WORKERS": str(self.options.workers),
            "MAX_STORES_STARTING": str(self.options.starting),
            "MAX_STORES_TOTAL": "1000",
            "LOG_LEVEL": "WARNING",
        }


def facts() -> dict[str, Any]:
    """What a figure means nothing without."""
    import django
    from django.db import connection

    with connection.cursor():
        database = ".".join(map(str, connection.get_database_version()))
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load before": round(os.getloadavg()[0], 1),
        "Kubernetes": KUBERNETES,
        "Helm": HELM,
        "Python": platform.python_version(),
        "Django": django.get_version(),
        "database": f"{connection.vendor} {database}",
    }
