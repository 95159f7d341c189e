"""What the WooCommerce chart renders, for every shape of values."""

from decimal import Decimal

import kubernetes_validate
import pytest
from chart_kit import (
    EVERYTHING,
    GATEWAY,
    MAIL,
    STORE_LABELS,
    VALUES,
    Chart,
    Document,
    containers,
    merged,
    one,
    parse,
    pod_templates,
    walk,
)

SHAPES = {
    "ingress": {},
    "gateway": GATEWAY,
    "none": {"exposure": {"type": "none"}},
    "mail": MAIL,
    "everything": EVERYTHING,
}
KUBERNETES = "1.37"
WITHOUT_A_SCHEMA = {"HTTPRoute"}  # the Gateway API's own; looked at by hand below
MADE_BY_THE_PORTAL = {"Namespace", "ResourceQuota", "LimitRange", "Secret"}


@pytest.fixture(params=SHAPES)
def documents(request: pytest.FixtureRequest, chart: Chart) -> list[Document]:
    return chart.render(SHAPES[request.param])


@pytest.fixture(scope="module")
def everything(chart: Chart) -> list[Document]:
    return chart.render(EVERYTHING)


@pytest.mark.parametrize("example", ["values-local.yaml", "values-prod.yaml"])
def test_each_example_passes_the_strict_linter_and_renders(chart: Chart, example: str) -> None:
    chart.run("lint", "--strict", str(chart.path), "-f", str(chart.path / example))
    assert parse(chart.run("template", "store", str(chart.path), "-f", str(chart.path / example)))


def test_every_document_is_valid_kubernetes(documents: list[Document]) -> None:
    for document in documents:
        if document["kind"] not in WITHOUT_A_SCHEMA:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_what_the_portal_makes_is_not_made_again(documents: list[Document]) -> None:
    assert not MADE_BY_THE_PORTAL & {document["kind"] for document in documents}


def test_no_policy_selects_every_pod(documents: list[Document]) -> None:
    policies = [d for d in documents if d["kind"] == "NetworkPolicy"]
    assert policies and all(policy["spec"]["podSelector"] for policy in policies)


def test_the_templates_roll_no_dice_and_ask_no_cluster(chart: Chart) -> None:
    text = "".join(path.read_text() for path in (chart.path / "templates").iterdir())
    for word in ("lookup", "rand", "genCA", "genSigned", "uuidv4", "now ", "helm.sh/hook"):
        assert word not in text
    assert "tpl (.Files.Get" in text and text.count("tpl ") == text.count("tpl (.Files.Get")


def test_rendering_twice_gives_the_same(chart: Chart) -> None:
    assert chart.render(EVERYTHING) == chart.render(EVERYTHING)


def test_every_container_is_restricted(documents: list[Document]) -> None:
    for _, template in pod_templates(documents):
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_pods_run_as_the_users_of_their_images(everything: list[Document]) -> None:
    for kind, template in pod_templates(everything):
        context = template["spec"]["securityContext"]
        expected = 999 if kind == "StatefulSet" else 33
        assert {context[key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {expected}


def test_every_container_has_somewhere_to_write(everything: list[Document]) -> None:
    for _, template in pod_templates(everything):
        empty = {v["name"] for v in template["spec"]["volumes"] if "emptyDir" in v}
        for container in containers(template):
            mounts = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
            assert mounts["/tmp"] in empty
    web = one(everything, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert "/run" in {m["mountPath"] for m in web["volumeMounts"]}
    db = one(everything, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    assert "/run/mysqld" in {m["mountPath"] for m in db["volumeMounts"]}


def test_every_mount_has_its_volume(documents: list[Document]) -> None:
    for kind, template in pod_templates(documents):
        volumes = {volume["name"] for volume in template["spec"]["volumes"]}
        if kind == "StatefulSet":
            volumes.add("data")
        used = {m["name"] for c in containers(template) for m in c["volumeMounts"]}
        assert used == volumes


def test_every_config_map_that_is_mounted_is_rendered(documents: list[Document]) -> None:
    rendered = {d["metadata"]["name"] for d in documents if d["kind"] == "ConfigMap"}
    mounted = {
        n["configMap"]["name"] for n in walk(documents) if isinstance(n.get("configMap"), dict)
    }
    assert mounted == rendered


def test_a_whole_store_fits_the_small_quota_at_its_busiest(everything: list[Document]) -> None:
    quota = {"requests": ("2", "2Gi"), "limits": ("4", "4Gi")}
    for kind, (cpu, memory) in quota.items():
        pods = [demand(template, kind) for _, template in pod_templates(everything)]
        assert sum(pod["cpu"] for pod in pods) <= amount(cpu)
        assert sum(pod["memory"] for pod in pods) <= amount(memory)
    assert len(pods) <= 10


def demand(template: Document, kind: str) -> dict[str, Decimal]:
    """What the quota counts for a pod: the greater of its largest init container and the rest."""

    def of(container: Document, resource: str) -> Decimal:
        return amount(container["resources"][kind][resource])

    pod = template["spec"]
    return {
        resource: max(
            sum(of(c, resource) for c in pod["containers"]),
            *(of(c, resource) for c in pod.get("initContainers", [])),
            Decimal(0),
        )
        for resource in ("cpu", "memory")
    }


def amount(quantity: str) -> Decimal:
    units = {"m": Decimal("0.001"), "Mi": Decimal(2**20), "Gi": Decimal(2**30)}
    for suffix, factor in units.items():
        if str(quantity).endswith(suffix):
            return Decimal(str(quantity).removesuffix(suffix)) * factor
    return Decimal(quantity)


def test_the_stores_labels_are_on_everything(documents: list[Document]) -> None:
    claims = [c for d in documents for c in d.get("spec", {}).get("volumeClaimTemplates", [])]
    jobs = [d["spec"]["jobTemplate"] for d in documents if d["kind"] == "CronJob"]
    templates = [template for _, template in pod_templates(documents)]
    for labelled in [*documents, *claims, *jobs, *templates]:
        assert labelled["metadata"]["labels"].items() >= STORE_LABELS.items()


def test_common_labels_cannot_take_a_pods_identity(chart: Chart) -> None:
    stolen = {"commonLabels": {"app.kubernetes.io/component": "db", "app.kubernetes.io/name": "x"}}
    web = one(chart.render(stolen), "Deployment")["spec"]
    assert web["template"]["metadata"]["labels"].items() >= web["selector"]["matchLabels"].items()
    assert web["template"]["metadata"]["labels"]["app.kubernetes.io/component"] == "web"


def test_the_charts_version_is_in_no_selector_pod_claim_or_job(everything: list[Document]) -> None:
    fixed = [template["metadata"] for _, template in pod_templates(everything)]
    fixed += [n for n in walk(everything) if "matchLabels" in n]
    fixed += [
        one(everything, "Service", name)["spec"]["selector"] for name in ("store-web", "store-db")
    ]
    fixed += [one(everything, "Job"), one(everything, "CronJob")["spec"]]
    fixed += [one(everything, "StatefulSet")["spec"], one(everything, "PersistentVolumeClaim")]
    assert "helm.sh/chart" not in str(fixed) and "app.kubernetes.io/version" not in str(fixed)


def test_the_setup_job_is_named_by_revision_and_is_nothing_but_a_job(chart: Chart) -> None:
    job = one(chart.render(), "Job")
    assert job["metadata"]["name"] == "store-setup-1"
    assert "annotations" not in job["metadata"]
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert job["spec"]["activeDeadlineSeconds"] == 480
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"
    source = (chart.path / "templates" / "setup.yaml").read_text()
    assert "-setup-{{ .Release.Revision }}" in source


def test_setup_and_cron_run_beside_the_web_pod_and_wait_for_the_database_only(
    everything: list[Document],
) -> None:
    selector = one(everything, "Deployment")["spec"]["selector"]
    for kind, template in pod_templates(everything):
        if kind in ("Job", "CronJob"):
            rules = template["spec"]["affinity"]["podAffinity"]
            [rule] = rules["requiredDuringSchedulingIgnoredDuringExecution"]
            assert rule["topologyKey"] == "kubernetes.io/hostname"
            assert rule["labelSelector"] == selector
            names = [c["name"] for c in template["spec"]["initContainers"]]
            assert names == ["core-copy", "wait-for-database"]


def test_a_second_web_pod_never_waits_for_the_first_ones_volume(everything: list[Document]) -> None:
    web = one(everything, "Deployment")["spec"]
    assert web["strategy"] == {"type": "Recreate"} and web["replicas"] == 1


def test_the_volume_of_a_shop_outlives_its_release(everything: list[Document]) -> None:
    claim = one(everything, "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    retention = one(everything, "StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert set(retention.values()) == {"Retain"}


def test_web_probes_ask_the_health_pages_never_wordpress(everything: list[Document]) -> None:
    web = one(everything, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    paths = {name: web[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert paths == {
        "startup": {"path": "/-/live.php", "port": "http"},
        "liveness": {"path": "/-/live.php", "port": "http"},
        "readiness": {"path": "/-/ready.php", "port": "http"},
    }
    assert web["ports"] == [{"name": "http", "containerPort": 8080}]


def test_database_probes_allow_for_a_slow_node(everything: list[Document]) -> None:
    db = one(everything, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    for name in ("startup", "liveness", "readiness"):
        probe = db[f"{name}Probe"]
        assert probe["exec"]["command"] == ["healthcheck.sh", "--connect", "--innodb_initialized"]
        assert probe["timeoutSeconds"] >= 5


def test_root_of_the_database_is_local_and_passwords_are_files(everything: list[Document]) -> None:
    db = one(everything, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable["value"] for variable in db["env"]}
    assert environment["MARIADB_ROOT_HOST"] == "localhost"
    assert environment["MARIADB_PASSWORD_FILE"] == "/etc/storeyard/db/password"
    assert environment["MARIADB_ROOT_PASSWORD_FILE"] == "/etc/storeyard/db/root-password"
    in_the_clear = {"MARIADB_PASSWORD", "MARIADB_ROOT_PASSWORD", "MARIADB_RANDOM_ROOT_PASSWORD"}
    assert not in_the_clear & set(environment)


def test_the_database_and_wordpress_agree_on_names(
    chart: Chart, everything: list[Document]
) -> None:
    db = one(everything, "StatefulSet")["spec"]["template"]["spec"]["containers"][0]
    environment = {variable["name"]: variable["value"] for variable in db["env"]}
    common = (chart.path / "files/wordpress/common.php").read_text()
    assert f"STOREYARD_DB_NAME = '{environment['MARIADB_DATABASE']}'" in common
    assert f"STOREYARD_DB_USER = '{environment['MARIADB_USER']}'" in common


def test_no_secret_is_in_an_environment_or_an_argument(everything: list[Document]) -> None:
    assert not [n for n in walk(everything) if "secretKeyRef" in n or "secretRef" in n]


def test_only_setup_sees_the_administrators_password(everything: list[Document]) -> None:
    for kind, template in pod_templates(everything):
        assert ("admin-password" in str(template["spec"]["volumes"])) == (kind == "Job")


@pytest.mark.parametrize(
    "title",
    [
        """{{ .Release }} , = $(WORDPRESS_DB_PASSWORD) "quotes" '…' <b> \\ emoji 🛍 """,
        "$(HOME) ${HOME} `id` $HOME %s %(x)s",
        "- a: [b] # not a comment",
        "yes",
        "0123",
        "  \u00a0\u2028 spaces \ufeff ",
        "&amp; </script> \U0001f469\u200d\U0001f680",
        "'" * 200,
    ],
)
def test_a_title_reaches_the_container_byte_for_byte(chart: Chart, title: str) -> None:
    documents = chart.render({"store": {"title": title}})
    identity = one(documents, "ConfigMap", "store-identity")
    assert identity["data"]["title"].encode() == title.encode()


def test_what_a_person_wrote_is_in_no_environment_or_argument(chart: Chart) -> None:
    documents = chart.render({"store": {"title": "UNMISTAKABLE"}})
    holders = [d["metadata"]["name"] for d in documents if "UNMISTAKABLE" in str(d)]
    assert holders == ["store-identity"]


def test_a_new_title_does_not_restart_the_shop_but_new_configuration_does(chart: Chart) -> None:
    def stamp(*changes: Document) -> Document:
        return one(chart.render(*changes), "Deployment")["spec"]["template"]["metadata"][
            "annotations"
        ]

    assert stamp() == stamp({"store": {"title": "Another"}})
    assert stamp() != stamp({"web": {"maxRequestWorkers": 4}})
    assert stamp() != stamp(MAIL)
    assert stamp() != stamp({"secrets": {"revision": "2"}})


def test_the_database_restarts_when_its_configuration_changes(chart: Chart) -> None:
    def stamp(*changes: Document) -> Document:
        return one(chart.render(*changes), "StatefulSet")["spec"]["template"]["metadata"][
            "annotations"
        ]

    assert stamp() == stamp({"web": {"maxRequestWorkers": 4}})
    assert stamp() != stamp({"mariadb": {"bufferPool": "64M"}})


def test_images_are_official_and_pinned(everything: list[Document]) -> None:
    images = {c["image"] for _, template in pod_templates(everything) for c in containers(template)}
    assert images == {
        "docker.io/library/wordpress:7.1-php8.4-apache",
        "docker.io/library/wordpress:cli-2.12.0-php8.4",
        "docker.io/library/mariadb:11.8",
    }


def test_a_digest_wins_over_a_tag(chart: Chart) -> None:
    digest = f"sha256:{'a' * 64}"
    db = one(chart.render({"mariadb": {"image": {"digest": digest}}}), "StatefulSet")
    [container] = db["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"docker.io/library/mariadb@{digest}"


def test_without_a_relay_nothing_about_mail_is_rendered(chart: Chart) -> None:
    documents = chart.render({"secrets": {"smtp": "store-smtp"}})
    assert "storeyard-mail.php" not in one(documents, "ConfigMap", "store-code")["data"]
    assert "store-mail" not in str(documents) and "store-smtp" not in str(documents)
    assert "587" not in str([d for d in documents if d["kind"] == "NetworkPolicy"])


def test_with_a_relay_the_plugin_its_settings_and_its_port_are_there(
    everything: list[Document],
) -> None:
    assert "storeyard-mail.php" in one(everything, "ConfigMap", "store-code")["data"]
    assert one(everything, "ConfigMap", "store-mail")["data"] == {
        "host": "smtp.example.com",
        "port": "587",
        "encryption": "starttls",
        "from": "shop@stores.example.com",
    }
    web = one(everything, "Deployment")["spec"]["template"]["spec"]
    mounts = {m["mountPath"] for m in web["containers"][0]["volumeMounts"]}
    assert {"/etc/storeyard/mail", "/etc/storeyard/smtp"} <= mounts


@pytest.mark.parametrize(
    ("exposure", "kinds"),
    [({}, ["Ingress"]), (GATEWAY["exposure"], ["HTTPRoute"]), ({"type": "none"}, [])],
    ids=["ingress", "gateway", "none"],
)
def test_an_exposure_renders_its_one_kind_or_none(
    chart: Chart, exposure: Document, kinds: list[str]
) -> None:
    documents = chart.render({"exposure": exposure})
    exposing = ("Ingress", "HTTPRoute", "Gateway")
    assert [d["kind"] for d in documents if d["kind"] in exposing] == kinds
    opened = [
        d
        for d in documents
        if d["kind"] == "NetworkPolicy" and d["metadata"]["name"] == "store-web"
    ]
    assert len(opened) == len(kinds)


def test_an_ingress_sends_the_stores_host_to_the_web_service(chart: Chart) -> None:
    exposure = {"ingress": {"className": "traefik", "annotations": {"a/b": "c"}}}
    ingress = one(chart.render({"exposure": exposure}), "Ingress")
    assert ingress["metadata"]["annotations"] == {"a/b": "c"}
    assert ingress["spec"]["ingressClassName"] == "traefik"
    [rule] = ingress["spec"]["rules"]
    assert rule["host"] == VALUES["store"]["host"]
    [path] = rule["http"]["paths"]
    assert path["backend"]["service"] == {"name": "store-web", "port": {"name": "http"}}


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        ({"mode": "wildcard"}, [{"hosts": ["shop.stores.example.com"]}]),
        (
            {"mode": "existing", "secretName": "own"},
            [{"hosts": ["shop.stores.example.com"], "secretName": "own"}],
        ),
        ({"mode": "off"}, None),
    ],
)
def test_tls_is_the_controllers_the_stores_or_off(
    chart: Chart, tls: Document, expected: object
) -> None:
    ingress = one(chart.render({"exposure": {"tls": tls}}), "Ingress")
    assert ingress["spec"].get("tls") == expected


def test_a_route_attaches_to_the_gateway_it_was_given(everything: list[Document]) -> None:
    route = one(everything, "HTTPRoute")
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"]["parentRefs"] == [{"name": "stores"}]
    assert route["spec"]["hostnames"] == [VALUES["store"]["host"]]
    assert route["spec"]["rules"][0]["backendRefs"] == [{"name": "store-web", "port": 80}]


def test_cron_spreads_stores_over_the_minutes(chart: Chart) -> None:
    schedules = {
        one(chart.render(namespace=f"store-{n}"), "CronJob")["spec"]["schedule"] for n in range(8)
    }
    assert len(schedules) >= 3
    assert schedules <= {f"{minute}-59/5 * * * *" for minute in range(5)}


def test_cron_never_overlaps_itself(everything: list[Document]) -> None:
    spec = one(everything, "CronJob")["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 300


def test_notes_say_how_to_follow_the_setup(chart: Chart) -> None:
    notes = chart.run(
        "install",
        "store",
        str(chart.path),
        "--dry-run=client",
        "-n",
        "store-x",
        "-f",
        "-",
        values=merged(VALUES, {"exposure": {"type": "none"}}),
    )
    assert "job/store-setup-1" in notes and "nothing outside the namespace" in notes
