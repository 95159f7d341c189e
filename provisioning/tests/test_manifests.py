"""What the portal makes itself, as whole dictionaries."""

import json

import jsonschema
import pytest
import yaml
from kubernetes_validate import validate

from provisioning import manifests
from provisioning.engines import CHARTS, ENGINES
from stores.models import Store
from stores.plans import PLANS

ACCOUNT = "portal-system/portal-worker"
GIB = {"Gi": 1024, "Mi": 1}


@pytest.fixture(params=PLANS)
def store(request, alice) -> Store:
    store = Store(owner=alice, name="A {{ b }}", address="anna", plan=request.param)
    store.namespace = "store-anna-123456"
    store.chart_version = "0.1.0"
    return store


def mebibytes(quantity: str) -> int:
    return int(quantity[:-2]) * GIB[quantity[-2:]]


def test_the_base_denies_everything_both_ways_but_names(store):
    assert manifests.default_deny(store)["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [
            {
                "to": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "kube-system"}
                        }
                    }
                ],
                "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
            }
        ],
    }


def test_a_namespace_is_restricted_in_every_mode_and_pinned_to_a_version(store):
    labels = manifests.namespace(store)["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        assert labels[f"pod-security.kubernetes.io/{mode}-version"].startswith("v1.")


def test_a_known_namespace_is_applied_with_its_uid_and_a_new_one_without(store):
    assert "uid" not in manifests.namespace(store)["metadata"]
    store.namespace_uid = "1-2-3"
    assert manifests.namespace(store)["metadata"]["uid"] == "1-2-3"


def test_the_binding_names_one_role_and_one_account(store):
    binding = manifests.access(store, ACCOUNT)
    assert binding["roleRef"]["name"] == "storeyard-store-operator"
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "portal-worker", "namespace": "portal-system"}
    ]


def test_the_standard_quota_is_what_was_promised(alice):
    store = Store(owner=alice, plan="standard", namespace="n")
    hard = manifests.quota(store)["spec"]["hard"]
    promised = {
        "requests.cpu": "4",
        "requests.memory": "4Gi",
        "limits.cpu": "8",
        "limits.memory": "8Gi",
        "pods": "20",
        "persistentvolumeclaims": "10",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    assert promised.items() <= hard.items()


def test_limits_fit_into_each_other_and_cover_what_the_quota_counts(store):
    plan = PLANS[store.plan]
    container, claim = manifests.limits(store)["spec"]["limits"]
    assert mebibytes(container["defaultRequest"]["memory"]) <= mebibytes(
        container["default"]["memory"]
    )
    assert mebibytes(container["default"]["memory"]) <= mebibytes(container["max"]["memory"])
    assert mebibytes(container["max"]["memory"]) <= mebibytes(plan.limits_memory)
    assert mebibytes(claim["max"]["storage"]) <= mebibytes(plan.storage)
    assert set(container["default"]) == set(container["defaultRequest"]) == {"cpu", "memory"}


def test_everything_carries_the_labels_of_its_store(store):
    for manifest in (
        manifests.namespace(store),
        *manifests.guardrails(store, ACCOUNT),
        manifests.secret(store, "s", {"a": "b"}),
    ):
        labels = manifest["metadata"]["labels"]
        assert manifests.labels(store).items() <= labels.items()


def test_every_manifest_is_valid_to_the_letter(store):
    for manifest in (
        manifests.namespace(store),
        *manifests.guardrails(store, ACCOUNT),
        manifests.secret(store, "s", {"a": "b"}),
    ):
        validate(manifest, "1.34", strict=True)


@pytest.mark.parametrize("engine", ENGINES.values(), ids=lambda engine: engine.code)
def test_an_engine_names_the_version_of_the_chart_that_is_there(engine):
    chart = yaml.safe_load((CHARTS / engine.chart.name / "Chart.yaml").read_text())
    assert chart["version"] == engine.chart_version


def test_no_secret_and_no_text_of_the_owners_but_the_title_is_in_the_values(store):
    engine = ENGINES[store.engine]
    values = engine.values(store)
    assert values["store"].pop("title") == "A {{ b }}"
    assert "{{" not in str(values)
    made = [value for make in engine.secrets(store).values() for value in make().values()]
    assert not [secret for secret in made if secret in str(values) and "@" not in secret]


@pytest.mark.parametrize("exposed", ["ingress", "gateway", "none"])
@pytest.mark.parametrize("seconds", [12, 600, 7200])
def test_the_chart_accepts_the_values_of_every_plan(store, settings, exposed, seconds):
    settings.STORE_EXPOSURE = exposed
    settings.STORE_GATEWAY = "gateways/shops"
    settings.STORE_STORAGE_CLASS = "fast"
    settings.STORE_MAIL_HOST, settings.STORE_MAIL_USER = "mail.example.com", "relay"
    settings.STORE_MAIL_FROM = "shops@example.com"
    settings.PROVISION_SECONDS = seconds
    engine = ENGINES[store.engine]
    schema = json.loads((engine.chart / "values.schema.json").read_text())
    defaults = yaml.safe_load((engine.chart / "values.yaml").read_text())
    jsonschema.validate(merged(defaults, engine.values(store)), schema)


def merged(defaults: dict, values: dict) -> dict:
    """As Helm merges them: maps key by key, anything else replaced."""
    return defaults | {
        key: merged(defaults[key], value)
        if isinstance(value, dict) and isinstance(defaults.get(key), dict)
        else value
        for key, value in values.items()
    }


def test_passwords_are_long_and_never_the_same_twice(store):
    make = ENGINES[store.engine].secrets(store)["store-db"]
    first, second = make(), make()
    assert not set(first.values()) & set(second.values())
    assert all(len(value) >= 32 for value in first.values())


def test_the_release_hash_changes_with_values_and_version_only(store):
    engine = ENGINES[store.engine]
    before = engine.release(store).hash
    assert engine.release(store).hash == before
    store.generation += 1
    assert engine.release(store).hash != before
