"""What a release consists of: the same objects, by the same names, as the store charts render.

Only what the portal looks at; values reach nothing but the labels.
"""

from __future__ import annotations

from provisioning.cluster.base import Manifest, Release

RELEASE_NAME = "meta.helm.sh/release-name"
# Helm leaves what carries this when it uninstalls.
KEEP = "helm.sh/resource-policy"


def objects_of(release: Release, revision: int) -> list[Manifest]:
    web, database = f"{release.name}-web", f"{release.name}-db"
    setup = f"{release.name}-setup-{revision}"
    return [
        content_claim(release),
        made(release, "Service", web, {"type": "ClusterIP", "ports": [{"port": 80}]}),
        made(release, "Service", database, {"type": "ClusterIP", "ports": [{"port": 3306}]}),
        made(release, "Deployment", web, workload(release, "web")),
        made(release, "StatefulSet", database, workload(release, "db")),
        made(release, "Job", setup, {"backoffLimit": 6} | template(release, "setup")),
        *routes(release, web),
    ]


def routes(release: Release, web: str) -> list[Manifest]:
    """What leads to the shop from outside; a closed one has none."""
    exposure = release.values.get("exposure", {"type": "none"})
    if exposure["type"] != "ingress":
        return []
    backend = {"service": {"name": web, "port": {"name": "http"}}}
    return [made(release, "Ingress", web, {"defaultBackend": backend})]


def content_claim(release: Release) -> Manifest:
    found = claim(release, f"{release.name}-content")
    found["metadata"]["annotations"][KEEP] = "keep"
    return found


def database_claim(release: Release) -> Manifest:
    """From the StatefulSet's claim template: not Helm's, so it outlives the release."""
    found = claim(release, f"data-{release.name}-db-0")
    del found["metadata"]["annotations"]
    return found


def claim(release: Release, name: str) -> Manifest:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "5Gi"}}}
    return made(release, "PersistentVolumeClaim", name, spec)


def made(release: Release, kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": {"Deployment": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1"}.get(
            kind, "v1"
        ),
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": release.namespace,
            "labels": labels(release),
            "annotations": {
                RELEASE_NAME: release.name,
                "meta.helm.sh/release-namespace": release.namespace,
            },
        },
        "spec": spec,
    }


def labels(release: Release) -> dict[str, str]:
    return {
        **release.values.get("commonLabels", {}),
        "app.kubernetes.io/managed-by": "Helm",
        "app.kubernetes.io/instance": release.name,
        "app.kubernetes.io/name": release.chart.name,
    }


def workload(release: Release, container: str) -> Manifest:
    return {
        "replicas": 1,
        "selector": {"matchLabels": {"app.kubernetes.io/component": container}},
        **template(release, container),
    }


def template(release: Release, container: str) -> Manifest:
    image = f"registry.example/{release.chart.name}-{container}:{release.chart_version}"
    metadata = {"labels": {**labels(release), "app.kubernetes.io/component": container}}
    spec = {"containers": [{"name": container, "image": image}]}
    return {"template": {"metadata": metadata, "spec": spec}}
