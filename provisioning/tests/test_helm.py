"""Helm's command line against a stand-in program: real pipes, real signals, real exit codes."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from provisioning.cluster.api import as_yaml
from provisioning.cluster.base import Release, no_beat
from provisioning.cluster.helm import Helm, failure
from provisioning.errors import (
    ClusterMisconfigured,
    ClusterUnavailable,
    LeaseLost,
    NotYet,
    StepFailed,
)

TITLE = "a,b={c} {{ .Release }} $(PASSWORD) 'q' \"q\" 🛍 --post-renderer=x"
RELEASE = Release(
    name="store",
    namespace="store-anna-123456",
    chart=Path("/charts/woocommerce"),
    chart_version="0.1.0",
    values={"store": {"title": TITLE}},
)


def stand_in(tmp_path: Path, body: str) -> str:
    program = tmp_path / "helm"
    program.write_text(f"#!{sys.executable}\nimport json, os, signal, sys, time\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


def recording(tmp_path: Path) -> Helm:
    record = tmp_path / "record.json"
    body = (
        "said = {'argv': sys.argv[1:], 'env': dict(os.environ), 'stdin': sys.stdin.read()}\n"
        f"open({str(record)!r}, 'w').write(json.dumps(said))"
    )
    return Helm(stand_in(tmp_path, body), "/kube/config", 30)


def recorded(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "record.json").read_text())


def test_values_go_in_on_standard_input_byte_for_byte_and_never_as_arguments(tmp_path):
    recording(tmp_path).upgrade(RELEASE, no_beat)
    said = recorded(tmp_path)
    assert json.loads(said["stdin"]) == RELEASE.values
    assert said["argv"][:4] == ["upgrade", "store", "/charts/woocommerce", "--install"]
    assert "--wait" not in said["argv"] and "--set" not in said["argv"]
    assert not any("Release" in argument for argument in said["argv"])


@given(st.text(max_size=300))
def test_any_text_is_read_from_the_values_as_it_was_typed(title):
    """By a YAML reader, as Helm has one; what Helm itself makes of hostile titles, charts/tests say."""
    assume(not any("\ud800" <= character <= "\udfff" for character in title))
    assert yaml.safe_load(as_yaml({"store": {"title": title}})) == {"store": {"title": title}}


def test_ten_thousand_letters_of_any_script_are_read_as_they_were_typed():
    title = "陶器🛍é\u2028'\"{{" * 1250
    assert yaml.safe_load(as_yaml({"title": title})) == {"title": title}


def test_helm_gets_an_environment_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HELM_PLUGINS", "/home/somebody/plugins")
    monkeypatch.setenv("SECRET_KEY", "do-not-pass-on")
    recording(tmp_path).uninstall("store", "store-anna-123456")
    env = recorded(tmp_path)["env"]
    assert env["KUBECONFIG"] == "/kube/config"
    assert "SECRET_KEY" not in env and "HELM_PLUGINS" not in env
    assert not Path(env["HOME"]).exists(), "its folder is gone with it"


def test_a_hundred_kilobytes_on_standard_error_do_not_block_it(tmp_path):
    program = stand_in(tmp_path, "sys.stderr.write('x' * 1_000_000 + '\\nError: no'); sys.exit(1)")
    with pytest.raises(StepFailed) as failed:
        Helm(program, "", 30).uninstall("store", "ns")
    assert failed.value.message.params["reason"] == "no"


def test_a_lost_lease_stops_helm_with_a_signal_it_can_answer(tmp_path):
    mark = tmp_path / "told"
    body = (
        f"signal.signal(signal.SIGTERM, lambda *_: (open({str(mark)!r}, 'w').close(), os._exit(1)))\n"
        "time.sleep(60)"
    )

    def beat() -> None:
        raise LeaseLost("gone")

    began = time.monotonic()
    with pytest.raises(LeaseLost):
        Helm(stand_in(tmp_path, body), "", 60).upgrade(RELEASE, beat)
    assert time.monotonic() - began < 8
    assert mark.exists()


def test_helm_that_takes_too_long_is_stopped_and_asked_again(tmp_path):
    program = stand_in(tmp_path, "time.sleep(60)")
    with pytest.raises(NotYet, match="still busy"):
        Helm(program, "", 0.5).upgrade(RELEASE, no_beat)


def test_helm_dies_with_the_worker_that_started_it(tmp_path):
    pid_file = tmp_path / "pid"
    program = stand_in(
        tmp_path, f"open({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    script = (
        "import django; django.setup()\n"
        "from provisioning.cluster.helm import Helm\n"
        f"Helm({program!r}, '', 60).uninstall('store', 'ns')\n"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "portal.settings"},
    )
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    pid = int(pid_file.read_text())
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("said", "means", "code"),
    [
        ('Error: Kubernetes cluster unreachable: Get "https://x": dial', ClusterUnavailable, ""),
        ("Error: UPGRADE FAILED: context deadline exceeded", ClusterUnavailable, ""),
        (
            "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress",
            NotYet,
            "busy",
        ),
        ('Error: secrets is forbidden: User "a" cannot list resource', NotYet, "access-pending"),
        ("Error: forbidden: status unknown for quota: store-quota", NotYet, "quota-pending"),
        ("Error: namespace x because it is being terminated", NotYet, "namespace-terminating"),
        ("Error: could not load release: unexpected EOF", StepFailed, "chart-refused"),
        ('Error: Get "https://x": EOF', ClusterUnavailable, ""),
        ("Error: values don't meet the specifications", StepFailed, "chart-refused"),
        ("", StepFailed, "chart-refused"),
    ],
)
def test_what_helm_says_is_told_apart(said, means, code):
    error = failure(said)
    assert type(error) is means
    if code:
        assert error.message.code == code
        assert str(error.message)


@pytest.mark.parametrize("version", ["v3.21.4", "v4.2.3", "nonsense"])
def test_a_helm_that_is_too_old_is_refused_with_the_version_needed(tmp_path, version):
    program = stand_in(tmp_path, f"print({version!r})")
    with pytest.raises(ClusterMisconfigured, match=r"4\.2\.4 or newer is needed"):
        Helm(program, "", 1).check_version()


def test_a_new_enough_helm_is_accepted(tmp_path):
    Helm(stand_in(tmp_path, "print('v4.2.4')"), "", 1).check_version()
    Helm(stand_in(tmp_path, "print('v4.10.0')"), "", 1).check_version()


def test_a_missing_helm_is_said_with_the_way_out():
    with pytest.raises(ClusterMisconfigured, match="Install Helm 4.2.4 or newer, or set STOREYARD"):
        Helm("no-such-helm", "", 1).check_version()


def test_an_orphan_in_the_same_namespace_is_ended_even_if_it_was_stopped(tmp_path):
    program = stand_in(tmp_path, "time.sleep(60)")
    orphans = [
        subprocess.Popen([program, "upgrade", "store", "--namespace", namespace])
        for namespace in ("store-anna-123456", "store-anna-1234567")
    ]
    ours, other = orphans
    try:
        ours.send_signal(signal.SIGSTOP)
        helm = Helm(program, "", 30)
        assert helm.end_orphans("store-anna-123456") is True
        assert ours.wait(5) == -signal.SIGKILL
        assert helm.end_orphans("store-anna-123456") is False
        assert other.poll() is None
    finally:
        for orphan in orphans:
            orphan.kill()
            orphan.wait()
