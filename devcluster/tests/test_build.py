"""The build with a stand-in for the compiler: what it leaves, and how often it runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devcluster.build import CONTROL_PLANE, SOURCE, STAGES
from devcluster.testing import eventually

COMPILER = """#!/bin/sh
echo "$*" >> {log}
case "$1 $2" in
"env GOVERSION") echo go1.99.0; exit;;
"mod download") echo '{{"Dir": "{module}"}}'; exit;;
esac
sleep "${{COMPILING:-0.2}}"
while [ $# -gt 0 ]; do
  case "$1" in
  -o) echo binary > "$2";;
  */cmd/*) name=${{1##*/}}; echo binary > "$GOBIN/${{name%@*}}";;
  esac
  shift
done
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    module = tmp_path / "kwok"
    for stage in STAGES:
        file = module / "kustomize" / "stage" / stage
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("kind: Stage")
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(COMPILER.format(log=tmp_path / "calls", module=module))
    go.chmod(0o755)
    path = f"{go.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_two_builds_at_once_compile_once(tmp_path: Path, env: dict[str, str]) -> None:
    builds = [_build(env), _build(env)]
    folders = {build.communicate()[0].strip() for build in builds}
    assert len(folders) == 1
    compiled = [line for line in (tmp_path / "calls").read_text().splitlines() if " -o " in line]
    assert len(compiled) == 1
    names = {path.name for path in Path(folders.pop()).iterdir()}
    assert names >= {*CONTROL_PLANE, "helm", "kwok", "stages"}


def test_a_killed_build_leaves_nothing_half_and_the_next_one_succeeds(
    tmp_path: Path, env: dict[str, str]
) -> None:
    killed = _build({**env, "COMPILING": "30"})
    calls = tmp_path / "calls"
    assert eventually(lambda: calls.exists() and " -o " in calls.read_text())
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    cache = tmp_path / "cache" / "storeyard" / "devcluster"
    assert [path.name for path in cache.iterdir() if len(path.name) == 16] == []
    began = time.monotonic()
    answer, _ = _build(env).communicate()
    assert (Path(answer.strip()) / "etcd").read_text() == "binary\n"
    assert time.monotonic() - began < 20, "it waited for the killed build"


def _build(env: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "devcluster", "build"]
    return subprocess.Popen(
        command, cwd=SOURCE.parent, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
