"""Where settings come from, and what all of them need."""

from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from environs import Env

env = Env()
BASE_DIR = Path(__file__).resolve().parents[2]
# Where a development checkout keeps its database and the simulated cluster.
RUN_DIR = env.path("STOREYARD_RUN_DIR", BASE_DIR / ".run")

PRODUCTION = env.bool("PRODUCTION", False)


def required_in_production(name: str, why: str) -> None:
    if PRODUCTION and not env.str(name, ""):
        raise ImproperlyConfigured(f"{name} is not set. {why}")
