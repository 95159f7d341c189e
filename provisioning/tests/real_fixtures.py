"""Opens platforms for tests: a plugin, named by each file that wants one.

The database of a platform is shared with other processes by name, so it is never the one that
pytest-django makes.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.utils import load_backend

from devcluster import DevCluster
from provisioning.tests.real_checks import check_invariants
from provisioning.tests.real_platform import OpenPlatform, Platform


class Databases:
    """Empty databases with all tables, by copying one. SQLite files, or PostgreSQL if CI says so."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = os.environ.get("DATABASE_URL", "")
        self.on_files = not self.url.startswith("postgres")
        self.mark = f"real_{uuid.uuid4().hex[:8]}"
        self.template = self.name_of("template")
        if not self.on_files:
            self.run(f"CREATE DATABASE {self.template}")
        with connected(self.template):
            call_command("migrate", verbosity=0)

    def name_of(self, short: str) -> str:
        return str(self.folder / f"{short}.sqlite3") if self.on_files else f"{self.mark}_{short}"

    def run(self, sql: str) -> None:
        with connections["default"]._nodb_cursor() as cursor:
            cursor.execute(sql)

    def make(self) -> str:
        name = self.name_of(uuid.uuid4().hex[:8])
        if self.on_files:
            shutil.copy(self.template, name)
        else:
            self.run(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return name

    def drop(self, name: str) -> None:
        if not self.on_files:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        if self.on_files:
            return f"sqlite:///{name}"
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))


@contextmanager
def connected(name: str) -> Iterator[None]:
    """The test's own thread works on that database meanwhile."""
    before = connections["default"]
    configuration = deepcopy(before.settings_dict)
    configuration["NAME"] = name
    backend = load_backend(configuration["ENGINE"])
    connections["default"] = backend.DatabaseWrapper(configuration, "default")
    try:
        yield
    finally:
        connections["default"].close()
        connections["default"] = before


@pytest.fixture(scope="session")
def open_platform(
    devcluster: DevCluster, tmp_path_factory: pytest.TempPathFactory, django_db_blocker: Any
) -> Iterator[OpenPlatform]:
    """Opens platforms with the settings given; the invariants are checked when one is closed."""
    with django_db_blocker.unblock():
        databases = Databases(tmp_path_factory.mktemp("databases"))

    @contextmanager
    def opened(**environment: Any) -> Iterator[Platform]:
        folder = tmp_path_factory.mktemp("platform")
        with django_db_blocker.unblock():
            name = databases.make()
            try:
                with connected(name):
                    platform = Platform(folder, databases.url_of(name), devcluster, **environment)
                    try:
                        yield platform
                        platform.kill_all()
                        check_invariants(platform)
                    finally:
                        platform.kill_all()
                        # Shown by pytest for tests that failed only.
                        print(platform.logs())
                        platform.tidy()
            finally:
                databases.drop(name)

    yield opened
    with django_db_blocker.unblock():
        databases.drop(databases.template)


@pytest.fixture
def platform(open_platform: OpenPlatform) -> Iterator[Platform]:
    """Nothing runs yet."""
    with open_platform() as opened:
        yield opened
