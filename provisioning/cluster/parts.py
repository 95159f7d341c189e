"""What a release consists of in the cluster, by kind and name, with the generation of each.

The cluster counts an object's generation up when its spec changes, whoever changes it. So what Helm
left, written down, tells later whether anything is missing or was edited, without rendering the chart.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from provisioning.cluster.api import METADATA_ONLY, Api, NotFound
from provisioning.cluster.base import MANAGED_BY, PARTS_ANNOTATION, Manifest

# Not Jobs, which end; not claims: one that is gone took its data along, and is no matter for Helm.
KINDS = (
    "Deployment", "StatefulSet", "CronJob", "Service", "NetworkPolicy", "Ingress", "HTTPRoute",
    "ConfigMap", "ServiceAccount",
)  # fmt: skip
MADE_BY = "meta.helm.sh/release-name"
Parts = dict[str, int]


def of_release(api: Api, name: str, namespace: str) -> Parts:
    return counted(found for kind in KINDS for found in made_by_helm(api, kind, name, namespace))


def made_by_helm(api: Api, kind: str, name: str, namespace: str) -> list[Manifest]:
    try:
        found = api.objects(
            kind, namespace, accept=METADATA_ONLY, labelSelector=f"{MANAGED_BY}=Helm"
        )
    except NotFound:  # HTTPRoutes, where no gateway was ever installed
        return []
    return [one for one in found if one["metadata"].get("annotations", {}).get(MADE_BY) == name]


def counted(found: Iterable[Manifest]) -> Parts:
    return {
        f"{one['kind']}/{one['metadata']['name']}": one["metadata"].get("generation", 0)
        for one in found
    }


def remembered(annotations: Mapping[str, str]) -> Parts | None:
    """None where nothing was ever written down, or somebody wrote something else."""
    try:
        found = json.loads(annotations[PARTS_ANNOTATION])
    except (KeyError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def as_annotation(parts: Parts) -> str:
    return json.dumps(parts, sort_keys=True, separators=(",", ":"))
