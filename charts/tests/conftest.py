"""What the chart tests ask for: Helm, and Debian's Apache, PHP and MariaDB."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chart_kit import Chart
from pod_kit import Pod, make_data_directory, remove, temporary_folder

from devcluster.build import binaries, built
from devcluster.testing import needs

DEBIAN_PACKAGES = "apache2 libapache2-mod-php php-cli php-mysql mariadb-server"
DEBIAN_PROGRAMS = ("apache2", "php", "mariadbd", "mariadb-install-db", "mariadb", "setpriv")


@pytest.fixture(scope="session")
def chart(tmp_path_factory: pytest.TempPathFactory) -> Chart:
    """charts/woocommerce, to be rendered by Helm."""
    helm = os.environ.get("HELM_BIN") or shutil.which("helm") or helm_of_the_devcluster()
    if not helm:
        needs("helm", "set HELM_BIN, or run python -m devcluster build")
    return Chart(Path(__file__).parents[1] / "woocommerce", helm, tmp_path_factory.mktemp("helm"))


def helm_of_the_devcluster() -> str | None:
    # Compiling it takes minutes: that is asked for, not a surprise.
    return shutil.which("helm", path=str(binaries())) if built() else None


@pytest.fixture(scope="session")
def debian() -> None:
    missing = [program for program in DEBIAN_PROGRAMS if not find_program(program)]
    if not missing and not list(Path("/usr/lib/apache2/modules").glob("libphp*.so")):
        missing = ["libphp"]
    if missing:
        needs("debian", f"{', '.join(missing)}: apt-get install {DEBIAN_PACKAGES}")


def find_program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@pytest.fixture(scope="session")
def data_directory(debian: None) -> Iterator[Path]:
    """A freshly initialised MariaDB data directory, to be copied: making one takes seconds."""
    folder = temporary_folder()
    yield make_data_directory(folder)
    remove(folder)


@pytest.fixture
def pod(debian: None, chart: Chart, data_directory: Path) -> Iterator[Pod]:
    """The files that the chart mounts, in a folder of this test's own."""
    pod = Pod(temporary_folder(), chart, data_directory)
    yield pod
    pod.stop()
    remove(pod.root)
