"""Running what the chart's containers run, with Debian's Apache, PHP and MariaDB, as uid 33.

A Pod is a folder laid out like a pod's file system, filled from the rendered chart. The files are
the chart's own but for two things: absolute paths get the folder in front (PATHS), and ports are
free ones on the loopback address.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from chart_kit import EVERYTHING, Chart, Document

WWW_DATA = 33
PATHS = ("/var/www/html", "/opt/storeyard", "/etc/storeyard", "/usr/src/wordpress")
PROGRAMS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
SECRETS = {
    "db": ["password"],
    "smtp": ["user", "password"],
    "wordpress": [
        *(f"{name}-key" for name in ("auth", "secure-auth", "logged-in", "nonce")),
        *(f"{name}-salt" for name in ("auth", "secure-auth", "logged-in", "nonce")),
        *("admin-user", "admin-password", "admin-email"),
    ],
}
PASSWORD = "the-administrators-password"


def temporary_folder() -> Path:
    """Not pytest's: its parent is closed to other users, and we become one."""
    folder = Path(tempfile.mkdtemp(prefix="storeyard-chart-"))
    folder.chmod(0o755)
    return folder


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def unprivileged(*command: str) -> list[str]:
    if os.getuid():
        return list(command)
    user = str(WWW_DATA)
    return [
        "setpriv",
        f"--reuid={user}",
        f"--regid={user}",
        "--clear-groups",
        "--no-new-privs",
        *command,
    ]


def owned(path: Path) -> Path:
    if not os.getuid():
        for entry in (path, *path.rglob("*")):
            os.lchown(entry, WWW_DATA, WWW_DATA)
    return path


def like_a_volume(path: Path) -> Path:
    """As the kubelet leaves one for fsGroup 33: root's, with the group's rights and the sticky group."""
    path.mkdir(parents=True, exist_ok=True)
    if not os.getuid():
        os.chown(path, 0, WWW_DATA)
    path.chmod(0o2777)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def make_data_directory(folder: Path) -> Path:
    data = folder / "data"
    data.mkdir()
    owned(folder)
    command = unprivileged(
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={data}",
        "--skip-test-db",
        "--auth-root-authentication-method=normal",
        f"--tmpdir={folder}",
    )
    subprocess.run(command, check=True, capture_output=True, env={"PATH": PROGRAMS}, cwd=folder)
    return data


class Pod:
    def __init__(self, root: Path, chart: Chart, data_directory: Path, *changes: Document) -> None:
        self.root = root
        self.port = free_port()
        self.db_port = free_port()
        self.data_directory = data_directory
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            "PATH": PROGRAMS,
            "HOME": str(root / "tmp"),
            "STORE_DB_HOST": f"127.0.0.1:{self.db_port}",
        }
        self.mount(chart.render(EVERYTHING, *changes))
        self.core = like_a_volume(root / "var/www/html")
        self.content = like_a_volume(self.core / "wp-content")
        for folder in ("run", "tmp", "log"):
            like_a_volume(root / folder)

    def mount(self, documents: list[Document]) -> None:
        """The config maps and secrets, at their mount points below the root."""
        data = {d["metadata"]["name"]: d["data"] for d in documents if d["kind"] == "ConfigMap"}
        shutil.rmtree(self.root / "opt", ignore_errors=True)
        self.write("opt/storeyard", data["store-code"])
        health = {name: data["store-apache"][name] for name in ("live.php", "ready.php")}
        self.write("opt/storeyard-health", health)
        self.write("etc/storeyard/store", data["store-identity"])
        self.write("etc/storeyard/mail", data.get("store-mail", {}))
        for secret, keys in SECRETS.items():
            self.write(f"etc/storeyard/{secret}", {key: f"{secret}-{key}" for key in keys})
        self.write(
            "etc/storeyard/wordpress", {"admin-password": PASSWORD, "admin-email": "a@example.com"}
        )
        self.apache_files = data["store-apache"]
        self.mariadb_files = data["store-mariadb"]

    def write(self, folder: str, files: dict[str, str]) -> None:
        (self.root / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (self.root / folder / name).write_bytes(self.here(text).encode())

    def here(self, text: str) -> str:
        """``text`` with the image's absolute paths moved below this pod's root."""
        for path in PATHS:
            text = text.replace(path, f"{self.root}{path}")
        return text

    def run(
        self, *command: str, seconds: float = 60, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            unprivileged(*command),
            env={**self.environment, **environment},
            cwd=self.core,
            capture_output=True,
            text=True,
            timeout=seconds,
            start_new_session=True,
        )

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        log = (self.root / "log" / f"{Path(command[0]).name}.out").open("wb")
        process = subprocess.Popen(
            unprivileged(*command),
            env={**self.environment, **environment},
            cwd=self.core,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # --- what the images bring ---

    def put_image(self, version: str, db_version: int, *files: str) -> None:
        """A stand-in for the WordPress of one image, where the image has it."""
        image = self.root / "usr/src/wordpress"
        shutil.rmtree(image, ignore_errors=True)
        contents = {
            "index.php": f"<?php echo 'WordPress {version} at ', $_SERVER['REQUEST_URI'] ?? '';",
            "wp-settings.php": "<?php",
            ".htaccess": "# empty\n",
            "wp-includes/version.php": f"<?php\n$wp_version = '{version}';\n$wp_db_version = {db_version};\n",
            "wp-content/index.php": "<?php // silence",
            "wp-content/plugins/hello.php": version,
            "wp-content/themes/twentysix/style.css": version,
            **dict.fromkeys(files, version),
        }
        for name, text in contents.items():
            path = image / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def copy_core(self) -> None:
        done = self.run("/bin/sh", str(self.root / "opt/storeyard/core-copy.sh"))
        assert done.returncode == 0, done.stdout + done.stderr

    # --- MariaDB ---

    def start_mariadb(self, data: str = "data") -> None:
        """The chart's configuration file and nothing of Debian's; our user as the image would make it."""
        folder = self.root / data
        shutil.copytree(self.data_directory, folder)
        owned(folder)
        self.write("etc/mysql/conf.d", self.mariadb_files)
        self.start(
            "mariadbd",
            f"--defaults-file={self.root}/etc/mysql/conf.d/90-store.cnf",
            f"--datadir={folder}",
            f"--socket={self.root}/run/mysqld.sock",
            f"--pid-file={self.root}/run/mysqld.pid",
            f"--tmpdir={self.root}/tmp",
            f"--port={self.db_port}",
            "--bind-address=127.0.0.1",
        )
        wait_for(lambda: self.run(*self.client(), "-e", "SELECT 1").returncode == 0)
        self.sql(
            "CREATE DATABASE wordpress; CREATE USER wordpress@'%' IDENTIFIED BY 'db-password';"
            "GRANT ALL ON wordpress.* TO wordpress@'%'"
        )

    def client(self) -> list[str]:
        return ["mariadb", "--no-defaults", f"--socket={self.root}/run/mysqld.sock", "-uroot", "-N"]

    def sql(self, statement: str) -> str:
        done = self.run(*self.client(), "-e", statement)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def finish_setup(self) -> None:
        """What the last step of setup.sh leaves in the database."""
        self.sql("INSERT INTO wordpress.wp_options VALUES ('storeyard_setup_done', '11.1.2')")

    # --- Apache ---

    def start_apache(self) -> None:
        configuration = self.root / "etc/apache2"
        shutil.copytree("/etc/apache2", configuration, symlinks=True)
        enabled = configuration / "mods-enabled"
        for link in [*enabled.glob("mpm_*")]:
            link.unlink()
        for module in ("mpm_prefork", "rewrite"):  # both are on in the image
            for file in (configuration / "mods-available").glob(f"{module}.*"):
                shutil.copy(file, enabled / file.name)
        listen = {
            "Listen 8080": f"Listen 127.0.0.1:{self.port}",
            "*:8080": f"127.0.0.1:{self.port}",
        }
        for name, text in (
            ("ports.conf", self.apache_files["ports.conf"]),
            ("sites-enabled/000-default.conf", self.apache_files["vhost.conf"]),
        ):
            for image, ours in listen.items():
                text = text.replace(image, ours)
            (configuration / name).unlink(missing_ok=True)
            (configuration / name).write_text(self.here(text))
        self.write("etc/php", {"zz-store.ini": self.apache_files["web.ini"]})
        [debians] = Path("/etc/php").glob("*/apache2/conf.d")
        self.start(
            "apache2",
            "-d",
            str(configuration),
            "-f",
            str(configuration / "apache2.conf"),
            "-DFOREGROUND",
            APACHE_RUN_USER="www-data",
            APACHE_RUN_GROUP="www-data",
            APACHE_PID_FILE=f"{self.root}/run/apache2.pid",
            APACHE_RUN_DIR=f"{self.root}/run",
            APACHE_LOCK_DIR=f"{self.root}/run",
            APACHE_LOG_DIR=f"{self.root}/log",
            PHP_INI_SCAN_DIR=f"{debians}:{self.root}/etc/php",
        )
        wait_for(lambda: self.status("/-/live.php") != 0)

    def status(self, path: str) -> int:
        return self.get(path)[0]

    def get(self, path: str) -> tuple[int, str]:
        """(status, body); 0 when nobody listens."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""
