"""What the containers of the WooCommerce chart execute, on Debian's Apache, PHP and MariaDB."""

import json
import os
import threading
from pathlib import Path

import pytest
from chart_kit import EVERYTHING, Chart
from pod_kit import WWW_DATA, Pod, remove, wait_for

pytestmark = pytest.mark.debian
OPTIONS = "option_name varchar(191) PRIMARY KEY, option_value longtext"
OPTIONS_TABLE = f"CREATE TABLE wordpress.wp_options ({OPTIONS})"


# --- core-copy ---


def test_core_and_the_first_content_arrive_on_a_volume_that_belongs_to_root(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    (pod.content / "lost+found").mkdir(mode=0o700)
    pod.copy_core()
    assert "7.1" in (pod.core / "wp-includes/version.php").read_text()
    assert (pod.core / ".htaccess").exists()
    assert (pod.content / "themes/twentysix/style.css").read_text() == "7.1"
    assert (pod.content / "uploads").is_dir()
    if not os.getuid():
        assert (pod.core / "index.php").stat().st_uid == WWW_DATA


def test_our_configuration_and_plugins_are_put_in_place(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    pod.copy_core()
    plugins = sorted(path.name for path in (pod.content / "mu-plugins").iterdir())
    assert plugins == ["storeyard-mail.php", "storeyard-platform.php"]
    config = (pod.root / "opt/storeyard/wp-config.php").read_bytes()
    assert (pod.core / "wp-config.php").read_bytes() == config


def test_an_upgrade_replaces_core_entirely_and_keeps_the_owners_content(pod: Pod) -> None:
    pod.put_image("7.1", 60000, "wp-includes/gone-in-7.2.php")
    pod.copy_core()
    for name in ("uploads/photo.jpg", "plugins/own.php", "mu-plugins/own.php"):
        (pod.content / name).write_text("the owner's")
    pod.put_image("7.2", 61000)
    pod.copy_core()
    assert "7.2" in (pod.core / "wp-includes/version.php").read_text()
    assert not (pod.core / "wp-includes/gone-in-7.2.php").exists()
    assert (pod.content / "themes/twentysix/style.css").read_text() == "7.1"
    for name in ("uploads/photo.jpg", "plugins/own.php", "mu-plugins/own.php"):
        assert (pod.content / name).read_text() == "the owner's"


def test_what_the_owner_deleted_does_not_come_back(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    pod.copy_core()
    (pod.content / "plugins/hello.php").unlink()
    pod.copy_core()
    assert not (pod.content / "plugins/hello.php").exists()


def test_a_copy_that_was_cut_short_is_finished_by_the_next(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    cp = pod.root / "bin/cp"  # dies inside a theme
    cp.parent.mkdir()
    cp.write_text(
        '#!/bin/sh\ncase "$2" in *twentysix) mkdir -p "$3"; exit 1 ;; esac\nexec /bin/cp "$@"\n'
    )
    cp.chmod(0o755)
    script = str(pod.root / "opt/storeyard/core-copy.sh")
    assert pod.run("/bin/sh", script, PATH=f"{cp.parent}:{pod.environment['PATH']}").returncode
    assert not (pod.content / "themes/twentysix").exists()
    pod.copy_core()
    assert (pod.content / "themes/twentysix/style.css").read_text() == "7.1"


def test_two_pods_may_fill_a_new_volume_at_once(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    themes = pod.root / "usr/src/wordpress/wp-content/themes"
    for n in range(30):
        (themes / f"theme{n}").mkdir()
        (themes / f"theme{n}/style.css").write_text("whole")
    results: list[int] = []
    script = str(pod.root / "opt/storeyard/core-copy.sh")
    # Each pod has a core of its own and the content in common.
    second = Path(script).with_name("second.sh")
    second.write_text(Path(script).read_text().replace(f"to={pod.core}\n", f"to={pod.root}/run\n"))
    (pod.root / "run/wp-content").symlink_to(pod.content)
    runs = [
        threading.Thread(target=lambda s=s: results.append(pod.run("/bin/sh", s).returncode))
        for s in (script, str(second))
    ]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert results == [0, 0]
    names = sorted(path.name for path in (pod.content / "themes").iterdir())
    assert names == sorted(["twentysix", *(f"theme{n}" for n in range(30))])
    assert all(
        (pod.content / f"themes/theme{n}/style.css").read_text() == "whole" for n in range(30)
    )
    assert not list(pod.content.glob(".storeyard.*"))


def test_switching_mail_off_removes_its_plugin_from_the_volume(pod: Pod, chart: Chart) -> None:
    pod.put_image("7.1", 60000)
    pod.copy_core()
    pod.mount(chart.render())
    pod.copy_core()
    plugins = [path.name for path in (pod.content / "mu-plugins").iterdir()]
    assert plugins == ["storeyard-platform.php"]


# --- Apache, PHP and the database ---


def test_the_web_server_is_alive_without_a_database_and_ready_only_after_setup(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    pod.copy_core()
    pod.start_apache()
    assert pod.get("/-/live.php") == (200, "ok\n")
    assert pod.get("/-/ready.php") == (503, "no database\n")
    pod.start_mariadb()
    assert pod.get("/-/ready.php") == (503, "not set up\n")
    pod.sql(OPTIONS_TABLE)
    pod.sql(
        "INSERT INTO wordpress.wp_options VALUES ('siteurl', 'https://shop.stores.example.com')"
    )
    assert pod.get("/-/ready.php") == (503, "not set up\n")
    pod.finish_setup()
    assert pod.get("/-/ready.php") == (200, "ready\n")


def test_apache_serves_the_shop_with_the_charts_settings(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    pod.copy_core()
    settings = "memory_limit upload_max_filesize post_max_size max_execution_time"
    (pod.core / "settings.php").write_text(
        f"<?php echo json_encode(array_map('ini_get', explode(' ', '{settings}')));"
    )
    (pod.content / "uploads/evil.php").write_text("<?php echo 'run';")
    (pod.content / "uploads/photo.txt").write_text("a photo")
    pod.start_apache()
    assert json.loads(pod.get("/settings.php")[1]) == ["256M", "64M", "64M", "120"]
    assert pod.get("/product/mug/?a=b") == (200, "WordPress 7.1 at /product/mug/?a=b")
    assert pod.get("/wp-content/uploads/photo.txt") == (200, "a photo")
    assert pod.status("/wp-content/uploads/evil.php") == 403
    assert pod.status("/-/nothing.php") == 404
    wait_for(lambda: "/product/mug/" in (pod.root / "log/access.log").read_text())
    assert "/-/" not in (pod.root / "log/access.log").read_text()


def test_apache_takes_the_charts_worker_limit_without_complaint(pod: Pod, chart: Chart) -> None:
    pod.mount(chart.render(EVERYTHING, {"web": {"maxRequestWorkers": 5}}))
    pod.put_image("7.1", 60000)
    pod.copy_core()
    pod.start_apache()
    assert "MaxRequestWorkers 5\n" in (pod.root / "etc/apache2/ports.conf").read_text()
    errors = pod.root / "log/error.log"
    wait_for(lambda: "resuming normal operations" in errors.read_text())
    assert "AH00558" not in errors.read_text() and "MaxRequestWorkers" not in errors.read_text()


def test_the_database_boots_on_the_charts_configuration_as_a_plain_user(pod: Pod) -> None:
    pod.start_mariadb()
    variables = dict(
        line.split("\t")
        for line in pod.sql(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('innodb_buffer_pool_size', 'max_connections',"
            "'max_allowed_packet', 'collation_server', 'log_bin', 'skip_name_resolve', 'performance_schema')"
        ).splitlines()
    )
    assert variables == {
        "innodb_buffer_pool_size": str(128 * 2**20),
        "max_connections": "60",
        "max_allowed_packet": str(64 * 2**20),
        "collation_server": "utf8mb4_unicode_520_ci",
        "log_bin": "OFF",
        "skip_name_resolve": "ON",
        "performance_schema": "OFF",
    }


def test_waiting_for_the_database_ends_when_it_answers(pod: Pod) -> None:
    script = str(pod.root / "opt/storeyard/wait-for-database.php")
    waiting = pod.start("php", script, "60")
    wait_for(lambda: "Waiting" in (pod.root / "log/php.out").read_text())
    assert waiting.poll() is None
    pod.start_mariadb()
    assert waiting.wait(20) == 0


def test_waiting_for_the_database_gives_up_and_says_why(pod: Pod) -> None:
    done = pod.run("php", str(pod.root / "opt/storeyard/wait-for-database.php"), "1")
    assert done.returncode == 1
    assert "did not answer in time: Connection refused" in done.stderr
    assert "db-password" not in done.stdout + done.stderr


def test_cron_does_nothing_before_setup_and_fails_aloud_without_a_database(pod: Pod) -> None:
    wp = pod.root / "bin/wp"
    wp.parent.mkdir()
    wp.write_text(f'#!/bin/sh\necho "$@" >> {pod.root}/log/wp\n')
    wp.chmod(0o755)

    def cron() -> tuple[int, str]:
        done = pod.run(
            "/bin/bash",
            str(pod.root / "opt/storeyard/cron.sh"),
            PATH=f"{wp.parent}:{pod.environment['PATH']}",
            ACTION_SCHEDULER_BATCHES="4",
        )
        return done.returncode, done.stdout + done.stderr

    assert cron() == (1, "The database does not answer.\n")
    pod.start_mariadb()
    assert cron() == (0, "The shop is not set up yet.\n")
    assert not (pod.root / "log/wp").exists()
    pod.sql(OPTIONS_TABLE)
    pod.finish_setup()
    assert cron() == (0, "")
    assert (pod.root / "log/wp").read_text().splitlines() == [
        "cron event run --due-now",
        "plugin is-active woocommerce",
        "action-scheduler run --batches=4",
    ]


# --- wp-config.php and the plugins, with WordPress's functions stood in for ---


def php(pod: Pod, code: str) -> object:
    done = pod.run("php", "-d", "display_errors=stderr", "-d", "error_reporting=-1", "-r", code)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_wordpress_is_configured_from_the_mounted_files(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    pod.copy_core()
    names = "DB_NAME DB_USER DB_PASSWORD DB_HOST AUTH_KEY NONCE_SALT "
    names += "WP_HOME WP_SITEURL DISABLE_WP_CRON ABSPATH"
    shown = php(
        pod,
        f"$_SERVER['HTTP_X_FORWARDED_PROTO'] = 'https'; require '{pod.core}/wp-config.php';"
        f"$constants = array_map('constant', explode(' ', '{names}'));"
        "echo json_encode([...$constants, $table_prefix, $_SERVER['HTTPS']]);",
    )
    url = "https://shop.stores.example.com"
    assert shown == [
        "wordpress",
        "wordpress",
        "db-password",
        f"127.0.0.1:{pod.db_port}",
        "wordpress-auth-key",
        "wordpress-nonce-salt",
        url,
        url,
        True,
        f"{pod.core}/",
        "wp_",
        "on",
    ]


def test_a_missing_secret_stops_wordpress_instead_of_weakening_it(pod: Pod) -> None:
    pod.put_image("7.1", 60000)
    pod.copy_core()
    (pod.root / "etc/storeyard/wordpress/auth-salt").unlink()
    assert pod.run("php", str(pod.core / "wp-config.php")).returncode != 0


def test_wordpress_itself_cannot_be_updated_in_place(pod: Pod) -> None:
    plugin = pod.root / "opt/storeyard/storeyard-platform.php"
    shown = php(
        pod,
        "function add_filter($name, $filter) { $GLOBALS[$name] = $filter; }"
        f"require '{plugin}';"
        "echo json_encode([$map_meta_cap(['x'], 'update_core'), $map_meta_cap(['x'], 'update_plugins')]);",
    )
    assert shown == [["do_not_allow"], ["x"]]


MAILER = """
class Mailer {
    public $From, $FromName, $Host, $Port, $SMTPSecure, $SMTPAutoTLS, $Username, $Password;
    public $SMTPAuth = false, $smtp = false, $replies = [];
    function isSMTP() { $this->smtp = true; }
    function getReplyToAddresses() { return $this->replies; }
    function addReplyTo($address, $name) { $this->replies[] = [$address, $name]; }
    function setFrom($address, $name) { $this->From = $address; $this->FromName = $name; }
}
function add_action($name, $action) { $GLOBALS[$name] = $action; }
"""


def send(pod: Pod, code: str = "") -> dict[str, object]:
    """The mailer as the plugin leaves it for a mail from the shop's own address."""
    shown = php(
        pod,
        MAILER + f"require '{pod.root}/opt/storeyard/common.php';"
        f"require '{pod.root}/opt/storeyard/storeyard-mail.php'; $mail = new Mailer;"
        f"$mail->From = 'hello@own.example'; $mail->FromName = 'Corner shop'; {code}"
        "$phpmailer_init($mail); echo json_encode($mail);",
    )
    assert isinstance(shown, dict)
    return shown


def test_mail_goes_through_the_relay_under_its_sender_and_answers_go_to_the_shop(pod: Pod) -> None:
    mail = send(pod)
    assert mail["smtp"] is True
    assert (mail["Host"], mail["Port"]) == ("smtp.example.com", 587)
    assert (mail["SMTPSecure"], mail["SMTPAutoTLS"]) == ("tls", True)
    assert (mail["SMTPAuth"], mail["Username"], mail["Password"]) == (
        True,
        "smtp-user",
        "smtp-password",
    )
    assert (mail["From"], mail["FromName"]) == ("shop@stores.example.com", "Corner shop")
    assert mail["replies"] == [["hello@own.example", "Corner shop"]]


def test_a_mail_that_has_a_reply_address_keeps_it(pod: Pod) -> None:
    mail = send(pod, "$mail->replies = [['customer@example.com', '']];")
    assert mail["replies"] == [["customer@example.com", ""]]


@pytest.mark.parametrize(
    ("encryption", "secure", "automatic"), [("tls", "ssl", True), ("none", "", False)]
)
def test_the_relays_encryption_is_as_chosen(
    pod: Pod, encryption: str, secure: str, automatic: bool
) -> None:
    (pod.root / "etc/storeyard/mail/encryption").write_text(encryption)
    mail = send(pod)
    assert (mail["SMTPSecure"], mail["SMTPAutoTLS"]) == (secure, automatic)


def test_a_relay_without_a_secret_is_used_without_a_password(pod: Pod) -> None:
    remove(pod.root / "etc/storeyard/smtp")
    assert send(pod)["SMTPAuth"] is False


def test_every_php_file_parses(pod: Pod) -> None:
    for path in [*(pod.root / "opt").rglob("*.php")]:
        assert pod.run("php", "-l", str(path)).returncode == 0, path


def test_every_shell_script_parses(pod: Pod) -> None:
    for path in (pod.root / "opt/storeyard").glob("*.sh"):
        shell = path.read_text().splitlines()[0].removeprefix("#!")
        assert pod.run(shell, "-n", str(path)).returncode == 0, path
