"""What each plan gets: the only place with guardrail sizes."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores.errors import Refused


@dataclass(frozen=True)
class Plan:
    """Sizes in Kubernetes quantities; the quota counts everything in the store's namespace."""

    code: str
    # Translated when they are shown.
    name: Any
    purpose: Any
    requests_cpu: str
    requests_memory: str
    limits_cpu: str
    limits_memory: str
    storage: str
    volume_max: str
    container_max_cpu: str
    container_max_memory: str
    pods: int = 20
    volumes: int = 10

    @property
    def cpu(self) -> str:
        return self.requests_cpu

    @property
    def memory(self) -> str:
        return in_units(self.limits_memory)

    @property
    def disk(self) -> str:
        return in_units(self.storage)

    @property
    def summary(self) -> str:
        return _("%(purpose)s: %(cpu)s CPU, %(memory)s of memory, %(disk)s of disk.") % {
            "purpose": self.purpose,
            "cpu": self.cpu,
            "memory": self.memory,
            "disk": self.disk,
        }


def in_units(quantity: str) -> str:
    """As people write it: all sizes of plans are in Gi."""
    return quantity.replace("Gi", " GiB")


PLANS: dict[str, Plan] = {
    plan.code: plan
    for plan in (
        Plan(
            "small",
            gettext_lazy("Small"),
            gettext_lazy("For a first shop"),
            requests_cpu="2",
            requests_memory="2Gi",
            limits_cpu="4",
            limits_memory="4Gi",
            storage="20Gi",
            volume_max="10Gi",
            container_max_cpu="2",
            container_max_memory="2Gi",
            pods=12,
            volumes=5,
        ),
        Plan(
            "standard",
            gettext_lazy("Standard"),
            gettext_lazy("For most shops"),
            requests_cpu="4",
            requests_memory="4Gi",
            limits_cpu="8",
            limits_memory="8Gi",
            storage="50Gi",
            volume_max="20Gi",
            container_max_cpu="4",
            container_max_memory="4Gi",
        ),
        Plan(
            "large",
            gettext_lazy("Large"),
            gettext_lazy("For a busy shop"),
            requests_cpu="8",
            requests_memory="8Gi",
            limits_cpu="16",
            limits_memory="16Gi",
            storage="200Gi",
            volume_max="100Gi",
            container_max_cpu="8",
            container_max_memory="8Gi",
            pods=30,
        ),
    )
}
DEFAULT_PLAN = "standard"


def clean_plan(code: str) -> str:
    if code not in PLANS:
        known = ", ".join(PLANS)
        said = _("There is no plan “%(code)s”. Choose one of: %(known)s.")
        raise Refused(said % {"code": code, "known": known}, field="plan")
    return code
