"""What values the WooCommerce chart refuses, and that it says why."""

import json
from typing import Any

import pytest
import yaml
from chart_kit import GATEWAY, MAIL, VALUES, Chart, Document, Refused, merged, walk

FREE = {"commonLabels", "ingressPodLabels", "annotations", "requests", "limits", "global"}


@pytest.fixture(scope="module")
def schema(chart: Chart) -> Document:
    return json.loads((chart.path / "values.schema.json").read_text())


def test_every_level_is_closed_but_labels_annotations_and_resources(schema: Document) -> None:
    def check(name: str, node: Any) -> None:
        if isinstance(node, dict) and node.get("type") == "object" and name not in FREE:
            assert node.get("additionalProperties") is False, name
        for key in ("properties", "definitions"):
            for child_name, child in (node.get(key) or {}).items():
                check(child_name, child)
        if "items" in node:
            check(name, node["items"])

    check("values", schema)


def test_every_default_is_described_and_every_described_key_has_a_default(
    chart: Chart, schema: Document
) -> None:
    def compare(values: Document, described: Document, path: str) -> None:
        while "$ref" in described:
            described = schema["definitions"][described["$ref"].rsplit("/", 1)[1]]
        if "properties" in described:
            assert set(values) == set(described["properties"]) - {"global"}, path
            for key, value in values.items():
                compare(value, described["properties"][key], f"{path}.{key}")

    compare(yaml.safe_load((chart.path / "values.yaml").read_text()), schema, "values")


@pytest.mark.parametrize(
    "unknown",
    [
        {"surprise": 1},
        {"store": {"name": "x"}},
        {"web": {"replicas": 2}},
        {"mariadb": {"storage": {"accessMode": "ReadWriteMany"}}},
        {"exposure": {"tls": {"issuer": "x"}}},
        {"networkPolicy": {"enabled": False}},
    ],
)
def test_an_unknown_key_is_refused_by_name(chart: Chart, unknown: Document) -> None:
    key = list(walk(unknown))[-1]
    with pytest.raises(Refused, match=f"additional properties '{next(iter(key))}'"):
        chart.render(unknown)


@pytest.mark.parametrize("key", ["title", "url", "host"])
def test_what_identifies_a_store_is_required(chart: Chart, key: str) -> None:
    with pytest.raises(Refused, match=f"/store/{key}"):
        chart.render({"store": {key: ""}})
    without = {**VALUES, "store": {k: v for k, v in VALUES["store"].items() if k != key}}
    with pytest.raises(Refused, match=f"/store/{key}"):
        chart.template(without)


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"secrets": {"db": ""}}, "/secrets/db"),
        ({"secrets": {"wordpress": ""}}, "/secrets/wordpress"),
        ({"image": {"tag": "latest"}}, "/image/tag"),
        ({"mariadb": {"image": {"tag": ""}}}, "/mariadb/image/tag"),
        ({"store": {"title": "two\nlines"}}, "/store/title"),
        ({"store": {"title": "next\u0085line"}}, "/store/title"),
        ({"store": {"title": "nul\u0000"}}, "/store/title"),
        ({"store": {"title": "x" * 201}}, "/store/title"),
        ({"store": {"url": "https://shop.stores.example.com/"}}, "/store/url"),
        ({"store": {"url": "https://$(HOME)"}}, "/store/url"),
        ({"store": {"currency": "usd"}}, "/store/currency"),
        ({"store": {"country": "US: CA"}}, "/store/country"),
        ({"store": {"locale": "../en"}}, "/store/locale"),
        ({"store": {"timezone": "$(HOME)"}}, "/store/timezone"),
        ({"setup": {"activeDeadlineSeconds": 900}}, "/setup/activeDeadlineSeconds"),
        ({"setup": {"flatRateCost": "1; id"}}, "/setup/flatRateCost"),
        (
            {"web": {"resources": {"limits": {"cpu": None, "memory": "1Gi"}}}},
            "/web/resources/limits",
        ),
        ({"exposure": {"type": "loadbalancer"}}, "/exposure/type"),
        ({"exposure": {"type": "gateway"}}, "/exposure/gateway/parentRefs"),
        ({"exposure": {"tls": {"mode": "existing"}}}, "/exposure/tls/secretName"),
        ({"mail": {"host": "smtp.example.com"}}, "/mail/from"),
        ({"networkPolicy": {"egressExcept": ["10.0.0.1"]}}, "/networkPolicy/egressExcept"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_value_is_refused_and_named(chart: Chart, wrong: Document, where: str) -> None:
    with pytest.raises(Refused, match=where):
        chart.render(wrong)


def test_a_host_that_is_not_the_urls_is_refused(chart: Chart) -> None:
    with pytest.raises(Refused, match="is not the host of store.url"):
        chart.render({"store": {"host": "other.example.com"}})


def test_what_the_portal_passes_is_accepted_in_full(chart: Chart) -> None:
    resources = {
        "requests": {"cpu": "200m", "memory": "512Mi"},
        "limits": {"cpu": 2, "memory": "1Gi"},
    }
    complete = merged(
        MAIL,
        GATEWAY,
        {
            "store": {
                "currency": "EUR",
                "country": "DE",
                "locale": "de_DE",
                "timezone": "Europe/Berlin",
            },
            "secrets": {
                "wordpress": "store-wordpress",
                "db": "store-db",
                "smtp": "",
                "revision": "3",
            },
            "web": {"resources": resources},
            "mariadb": {"resources": resources, "storage": {"size": "2Gi", "storageClass": "fast"}},
            "content": {"size": "2Gi", "storageClass": "fast"},
            "setup": {"activeDeadlineSeconds": 480},
            "networkPolicy": {
                "ingressNamespace": "traefik",
                "ingressPodLabels": {"app.kubernetes.io/name": "traefik"},
                "egressExcept": ["10.0.0.0/8", "fd12::/16"],
            },
        },
    )
    assert chart.render(complete)
