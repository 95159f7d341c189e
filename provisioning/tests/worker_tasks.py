"""What tests let the queue's processes do: the queue calls these by name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

from provisioning.cluster.helm import dies_with_us
from provisioning.lease import Lease

# Asked to end, it takes a moment for what it must write down.
HELM = 'trap "sleep 1; date +%s.%N > {folder}/helm-ended; exit" TERM; touch {folder}/helm; '
HELM += "while :; do sleep 0.05; done"


def hold(store_id: str, folder: str) -> None:
    """A pass that lasts until there is a file "go"."""
    while not (lease := Lease.take(UUID(store_id))):
        time.sleep(0.05)  # a pass of the worker's own
    (Path(folder) / "holder").write_text(str(os.getpid()))
    while not (Path(folder) / "go").exists():
        lease.renew()
        time.sleep(0.05)
    (Path(folder) / "finished").touch()
    lease.release(orderly=True)


def hold_with_helm(store_id: str, folder: str) -> None:
    """The same, with a program under way that ends with it, as Helm does."""
    program = ["sh", "-c", HELM.format(folder=folder)]
    subprocess.Popen([*dies_with_us(), *program], start_new_session=True)
    while not (Path(folder) / "helm").exists():
        time.sleep(0.01)
    hold(store_id, folder)


def helm_alone(folder: str) -> None:
    """Only the program, and nothing that would need the database meanwhile."""
    program = ["sh", "-c", HELM.format(folder=folder)]
    running = subprocess.Popen([*dies_with_us(), *program], start_new_session=True)
    while not (Path(folder) / "go").exists():
        time.sleep(0.05)
    running.terminate()
    running.wait()


def leave() -> None:
    """What a library may do that thinks it owns the process."""
    sys.exit(3)
