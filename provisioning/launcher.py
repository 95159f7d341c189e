"""The queue, started so that none of its processes outlives the one that started it.

    python -m provisioning.launcher PARENT

is what the supervisor (worker.py) runs, with its own number.
"""

from __future__ import annotations

import os
import sys

import django
from django.core.management import call_command

from provisioning.processes import die_with, forks_die_with_us


def main() -> None:
    die_with(int(sys.argv[1]))
    forks_die_with_us()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    django.setup()
    call_command("qcluster")


if __name__ == "__main__":
    main()
