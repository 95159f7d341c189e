import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from devcluster.build import SOURCE, cache_folder
from devcluster.commands import COMPONENTS
from devcluster.detached import Detached
from devcluster.processes import Process, recorded, start_time
from devcluster.testing import eventually, require_programs

pytestmark = pytest.mark.cluster


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own that shares the compiled programs."""
    require_programs()
    shared = cache_folder()
    own = tmp_path / "storeyard" / "devcluster"
    own.mkdir(parents=True)
    for folder in shared.iterdir():
        if folder.name != "run" and folder.is_dir():
            (own / folder.name).symlink_to(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return own


def test_up_returns_says_where_and_down_leaves_no_process(cache: Path) -> None:
    first = _run("up", "--name", "demo")
    assert first.returncode == 0, first.stderr
    try:
        cluster = Detached("demo")
        started = recorded(cluster.root)
        assert "is running.\n" in first.stdout
        assert str(cluster.kubeconfig) in first.stdout
        assert "is running already.\n" in _run("up", "--name", "demo").stdout
        assert [process.pid for process in recorded(cluster.root)] == [p.pid for p in started]
        assert _run("kubeconfig", "--name", "demo").stdout.strip() == str(cluster.kubeconfig)
        assert _run("status").stdout == "demo: running\n"
    finally:
        assert "is stopped" in _run("down", "--name", "demo").stdout
    assert len(started) == len(COMPONENTS)
    assert not any(process.alive() for process in started)


def test_down_never_stops_a_process_that_took_over_a_pid(cache: Path) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        root = Detached("old").root
        root.mkdir(parents=True)
        began = start_time(bystander.pid)
        assert began is not None
        (root / "processes.json").write_text(json.dumps([["etcd", bystander.pid, began - 1]]))
        assert "was not running" in _run("down", "--name", "old").stdout
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_errors_are_one_line_that_says_what_to_do(cache: Path) -> None:
    answer = _run("kubeconfig", "--name", "absent")
    assert answer.returncode == 1
    assert answer.stderr == "devcluster: Cluster absent is not running: start it with `up`.\n"


def test_a_cluster_ends_with_the_test_that_started_it_even_if_it_is_killed(tmp_path: Path) -> None:
    require_programs()
    script = (
        "import time; from pathlib import Path; from devcluster import DevCluster\n"
        f"DevCluster(Path({str(tmp_path / 'c')!r})).start()\n"
        "print('up', flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen([sys.executable, "-c", script], cwd=SOURCE.parent, stdout=-1)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"up\n"
    components: list[Process] = recorded(tmp_path / "c")
    assert len(components) == len(COMPONENTS)
    os.kill(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    assert eventually(lambda: not any(process.alive() for process in components))


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "devcluster", *arguments]
    return subprocess.run(command, cwd=SOURCE.parent, capture_output=True, text=True, check=False)
