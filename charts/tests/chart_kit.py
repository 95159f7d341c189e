"""Rendering the chart with Helm and looking at what came out. Documents are plain dicts."""

import copy
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]

STORE_LABELS = {
    "app.kubernetes.io/managed-by": "storeyard",
    "storeyard.dev/store": "7c1c0e2e-6f52-4b9c-9d0a-2f6f5a1f0f11",
}
NAMESPACE = "store-corner-1f0f11"
# What the portal passes at the least.
VALUES: Document = {
    "commonLabels": STORE_LABELS,
    "store": {
        "title": "Corner shop",
        "url": "https://shop.stores.example.com",
        "host": "shop.stores.example.com",
    },
}
MAIL = {"mail": {"host": "smtp.example.com", "from": "shop@stores.example.com"}}
GATEWAY = {"exposure": {"type": "gateway", "gateway": {"parentRefs": [{"name": "stores"}]}}}
# Every branch of the templates.
EVERYTHING = {**MAIL, **GATEWAY, "secrets": {"smtp": "store-smtp"}}


class Refused(Exception):
    """Helm would not render these values; the text is what it said."""


class Chart:
    def __init__(self, path: Path, helm: str, home: Path) -> None:
        self.path = path
        self.helm = helm
        self.home = home

    def run(self, *arguments: str, values: Document | None = None) -> str:
        done = subprocess.run(
            [self.helm, *arguments],
            input=for_helm(values),
            env={**os.environ, "HOME": str(self.home), "HELM_CACHE_HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise Refused(done.stdout + done.stderr)
        return done.stdout

    def render(self, *changes: Document, namespace: str = NAMESPACE) -> list[Document]:
        """The documents for VALUES with ``changes`` laid over them, one after the other."""
        return parse(self.template(merged(VALUES, *changes), namespace))

    def template(self, values: Document, namespace: str = NAMESPACE) -> str:
        path = str(self.path)
        return self.run("template", "store", path, "-n", namespace, "-f", "-", values=values)


def for_helm(values: Document | None) -> str:
    """JSON that Helm's YAML reader takes for what it is.

    It refuses the surrogate pairs by which JSON escapes an emoji, so text stays as it is; but it
    takes some characters for line ends or refuses them raw, and those are escaped.
    """
    text = json.dumps(values, ensure_ascii=False)
    return re.sub("[\x7f-\x9f\u2028\u2029\ufeff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def parse(text: str) -> list[Document]:
    return [document for document in yaml.safe_load_all(text) if document]


def merged(*parts: Document) -> Document:
    result: Document = {}
    for part in parts:
        for key, value in copy.deepcopy(part).items():
            both = isinstance(value, dict) and isinstance(result.get(key), dict)
            result[key] = merged(result[key], value) if both else value
    return result


def one(documents: list[Document], kind: str, name: str = "") -> Document:
    found = [d for d in documents if d["kind"] == kind and name in ("", d["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} documents are a {kind} {name}"
    return found[0]


def pod_templates(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """(kind of its owner, pod template) of everything that makes pods."""
    for document in documents:
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            yield document["kind"], spec["template"]


def containers(template: Document) -> list[Document]:
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def walk(node: Any) -> Iterator[Document]:
    """Every mapping inside a document, itself included."""
    if isinstance(node, dict):
        yield node
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    ):
        yield from walk(child)
