"""setup.sh: what it does on a first run, on later ones, and after dying at any moment.

It runs against a stand-in for WP-CLI (stand_in_wp.sh) that records every call and keeps the state.
"""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from chart_kit import EVERYTHING, Chart, Document, containers, one
from pod_kit import PASSWORD, Pod, owned, remove

pytestmark = pytest.mark.debian

TITLE = """ $(HOME) `id` "quotes" '…' <b> \\ 🛍  """
GERMAN: Document = {
    "store": {
        "title": TITLE,
        "currency": "EUR",
        "country": "DE:DE-BY",
        "locale": "de_DE",
        "timezone": "Europe/Berlin",
    }
}
FIRST_RUN = [
    "install_core",
    "refuse_older_core",
    "update_core_database",
    "install_extension plugin woocommerce 11.1.2",
    "install_extension theme storefront 4.6.2",
    "ensure_administrator",
    "activate_woocommerce",
    "activate_storefront",
    "update_shop_database",
    "finish_installation",
    "enable_order_tables",
    "name_the_shop",
    "install_language",
    "choose_settings",
    "make_pages",
    "add_flat_rate",
    "add_sample_products",
    "set_permalinks",
    "remember",
]
LATER_RUN = [*FIRST_RUN[:5], "update_shop_database"]
# All that a run on a finished shop may ask for: nothing of it sets what an owner may change.
HARMLESS = {
    "core is-installed",
    "option get db_version",
    "core update-db",
    "option list --search=storeyard_setup_done --format=count",
    "plugin list --name=woocommerce --field=version",
    "theme list --name=storefront --field=version",
    "plugin is-active woocommerce",
    "wc update",
}


class Shop:
    """A pod whose ``wp`` is the stand-in, and the setup Job's own environment from the chart."""

    def __init__(self, pod: Pod, chart: Chart, *changes: Document) -> None:
        self.pod = pod
        self.state = pod.root / "state"
        self.log = pod.root / "log/wp"
        documents = chart.render(EVERYTHING, *changes)
        pod.mount(documents)
        container = containers(one(documents, "Job")["spec"]["template"])[-1]
        self.environment = {variable["name"]: variable["value"] for variable in container["env"]}
        wp = pod.root / "bin/wp"
        if not wp.exists():
            wp.parent.mkdir()
            shutil.copy(Path(__file__).with_name("stand_in_wp.sh"), wp)
            wp.chmod(0o755)
        self.start_over()
        self.image(60000)

    def image(self, db_version: int) -> None:
        self.db_version = db_version
        self.pod.put_image("7.1", db_version)
        self.pod.copy_core()

    def start_over(self) -> None:
        remove(self.state)
        self.state.mkdir()
        owned(self.state)

    def set_up(self, **environment: str) -> CompletedProcess[str]:
        self.log.unlink(missing_ok=True)
        return self.pod.run(
            "/bin/bash",
            str(self.pod.root / "opt/storeyard/setup.sh"),
            **{
                **self.environment,
                "STORE_DB_HOST": "unused",
                "PATH": f"{self.pod.root}/bin:{self.pod.environment['PATH']}",
                "WP_STATE": str(self.state),
                "WP_LOG": str(self.log),
                "IMAGE_DB_VERSION": str(self.db_version),
                **environment,
            },
        )

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    def option(self, name: str) -> str | None:
        path = self.state / "options" / name
        return path.read_bytes().decode() if path.exists() else None

    def snapshot(self) -> dict[str, str]:
        """Everything the shop is; the number that the stand-in gives a shipping method is left out."""

        def name(path: Path) -> str:
            return re.sub(r"shipping-\d+", "shipping", str(path.relative_to(self.state)))

        files = [path for path in self.state.rglob("*") if path.is_file()]
        return {name(path): path.read_text() for path in files if path.name != ".answer"}


@pytest.fixture
def shop(pod: Pod, chart: Chart) -> Iterator[Shop]:
    yield Shop(pod, chart, GERMAN)


def steps(done: CompletedProcess[str]) -> list[str]:
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return [line["step"] for line in lines if line["state"] == "started"]


def succeeded(done: CompletedProcess[str]) -> CompletedProcess[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"step": "setup", "state": "done"}
    return done


def test_a_first_run_takes_every_step_in_order_and_ends_with_the_marker(shop: Shop) -> None:
    assert steps(succeeded(shop.set_up())) == FIRST_RUN
    assert shop.calls()[-1] == "option add storeyard_setup_done 11.1.2"


def test_the_shop_is_what_the_owner_asked_for(shop: Shop) -> None:
    succeeded(shop.set_up())
    assert shop.option("blogname") == TITLE
    assert shop.option("timezone_string") == "Europe/Berlin"
    assert shop.option("woocommerce_currency") == "EUR"
    assert shop.option("woocommerce_default_country") == "DE:DE-BY"
    assert shop.option("WPLANG") == "de_DE"
    assert shop.option("woocommerce_coming_soon") == "no"
    assert shop.option("permalink_structure") == "/%postname%/"
    assert shop.option("woocommerce_custom_orders_table_enabled") == "yes"
    assert json.loads(shop.option("woocommerce_cod_settings") or "")["enabled"] == "yes"
    [shipping] = shop.state.glob("shipping-*")
    assert json.loads(shipping.read_text()) == {"title": "Flat rate", "cost": "10"}
    products = sorted(path.name for path in shop.state.glob("product-*"))
    assert products == [f"product-SAMPLE-{name}" for name in ("CANDLE", "MUG", "NOTEBOOK", "TOTE")]
    mug = (shop.state / "product-SAMPLE-MUG").read_text()
    assert mug == "Stoneware mug at 14.00: Holds 350 ml and survives the dishwasher.\n"


def test_the_administrator_gets_the_password_of_the_secret(shop: Shop) -> None:
    succeeded(shop.set_up())
    assert (shop.state / "user-wordpress-admin-user").read_text() == PASSWORD


def test_the_password_is_in_no_argument_and_no_log(shop: Shop) -> None:
    done = succeeded(shop.set_up())
    assert PASSWORD not in shop.log.read_text()
    assert PASSWORD not in done.stdout + done.stderr
    assert "--prompt=admin_password" in shop.log.read_text()


def test_a_shop_without_samples_or_translation_gets_neither(pod: Pod, chart: Chart) -> None:
    shop = Shop(pod, chart, {"setup": {"sampleProducts": False, "flatRateCost": "4.90"}})
    succeeded(shop.set_up())
    assert not list(shop.state.glob("product-*")) and not list(shop.state.glob("language-*"))
    [shipping] = shop.state.glob("shipping-*")
    assert json.loads(shipping.read_text())["cost"] == "4.90"


def test_a_second_run_sets_nothing_that_an_owner_may_change(shop: Shop) -> None:
    succeeded(shop.set_up())
    before = shop.snapshot()
    assert steps(succeeded(shop.set_up())) == LATER_RUN
    assert set(shop.calls()) == HARMLESS
    assert shop.snapshot() == before


def test_what_the_owner_changed_stays_changed(shop: Shop) -> None:
    succeeded(shop.set_up())
    (shop.state / "options/blogname").write_text("My own name")
    (shop.state / "options/woocommerce_coming_soon").write_text("yes")
    (shop.state / "product-SAMPLE-MUG").unlink()
    (shop.state / "theme-storefront-active").unlink()
    for shipping in shop.state.glob("shipping-*"):
        shipping.unlink()
    changed = shop.snapshot()
    succeeded(shop.set_up())
    assert shop.snapshot() == changed


def test_a_run_that_dies_after_any_call_is_finished_by_the_next(shop: Shop) -> None:
    succeeded(shop.set_up())
    complete, calls = shop.snapshot(), shop.calls()
    for last, call in enumerate(calls[:-1], start=1):
        if re.search(r" (is-\w+|list|get)( |$)", call):
            continue  # it changed nothing: the call before it left the same shop
        shop.start_over()
        assert shop.set_up(WP_KILL_AFTER=str(last)).returncode == -9
        assert shop.option("storeyard_setup_done") is None, f"marked as done after {call}"
        succeeded(shop.set_up())
        assert shop.snapshot() == complete, f"another shop after dying at {call}"


def test_an_installation_that_died_before_its_administrator_gets_one(shop: Shop) -> None:
    succeeded(shop.set_up())
    (shop.state / "options/storeyard_setup_done").unlink()
    (shop.state / "user-wordpress-admin-user").unlink()
    done = succeeded(shop.set_up())
    assert (shop.state / "user-wordpress-admin-user").read_text() == PASSWORD
    assert (shop.state / "roles").exists()
    assert PASSWORD not in shop.log.read_text() + done.stdout + done.stderr


def test_a_lock_left_by_a_killed_installation_does_not_stop_the_next(shop: Shop) -> None:
    succeeded(shop.set_up())
    for name in ("options/storeyard_setup_done", "plugin-woocommerce-active"):
        (shop.state / name).unlink()
    (shop.state / "options/wc_installing").write_text("1")
    succeeded(shop.set_up())


def test_an_upgrade_replaces_the_plugin_and_updates_both_databases_only(shop: Shop) -> None:
    succeeded(shop.set_up())
    before = shop.snapshot()
    shop.image(61000)
    succeeded(shop.set_up(WOOCOMMERCE_VERSION="11.2.0"))
    changed = {name for name, text in shop.snapshot().items() if before.get(name) != text}
    assert changed == {"options/db_version", "plugin-woocommerce-version", "shop-database"}
    assert set(shop.calls()) - HARMLESS == {"plugin install woocommerce --version=11.2.0 --force"}


def test_an_upgrade_killed_while_it_replaced_the_plugin_puts_it_back(shop: Shop) -> None:
    succeeded(shop.set_up())
    (shop.state / "plugin-woocommerce-version").unlink()
    succeeded(shop.set_up())
    assert (shop.state / "plugin-woocommerce-version").read_text() == "11.1.2\n"


@pytest.mark.parametrize("newer", ["11.1.10", "11.2", "12.0.0"])
def test_an_older_plugin_never_replaces_a_newer_one(shop: Shop, newer: str) -> None:
    succeeded(shop.set_up(WOOCOMMERCE_VERSION=newer))
    done = succeeded(shop.set_up())
    assert not [call for call in shop.calls() if "install woocommerce" in call]
    assert f'"kept {newer}"' in done.stdout


def test_an_older_wordpress_refuses_a_newer_database_and_touches_nothing(shop: Shop) -> None:
    succeeded(shop.set_up())
    (shop.state / "options/db_version").write_text("61000")
    before = shop.snapshot()
    done = shop.set_up()
    assert done.returncode == 3
    assert "restore a backup" in done.stderr
    assert shop.snapshot() == before


def test_a_database_that_goes_away_never_makes_a_later_run_look_like_the_first(shop: Shop) -> None:
    succeeded(shop.set_up())
    before = shop.snapshot()
    wp = shop.pod.root / "bin/wp"
    whole = wp.read_text()
    wp.write_text(whole.replace('"option list")', '"option list") return 1 ;; "-")'))
    done = shop.set_up()
    wp.write_text(whole)
    assert done.returncode != 0 and shop.snapshot() == before
    assert steps(done) == FIRST_RUN[:3]


def test_a_failing_step_ends_the_run_and_is_named(shop: Shop) -> None:
    wp = shop.pod.root / "bin/wp"
    wp.write_text(wp.read_text().replace('"wc tool")', '"wc tool") return 1 ;; "-")'))
    done = shop.set_up()
    assert done.returncode != 0
    assert '{"step":"make_pages","state":"failed"}' in done.stdout.splitlines()
    assert shop.option("storeyard_setup_done") is None
