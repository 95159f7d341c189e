"""What holds in production only: Django's own advice, cookies of this host alone, headers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from http.cookies import SimpleCookie

import pytest
from django.conf import settings

from portal.checks import check_domains, check_trusted_origins, own_domain

PRODUCTION = {
    "PRODUCTION": "true",
    "SECRET_KEY": "Zq7-" * 15 + "of many different letters 0123456789",
    "ALLOWED_HOSTS": "portal.example.com",
    "STOREYARD_CLUSTER": "kubernetes",
    "STORE_DOMAIN": "shops.example.net",
    "SIGNUP": "open",
    "EMAIL_URL": "submission://user:password@mail.example.com:587",
    "PORTAL_URL": "https://portal.example.com",
}
ASK = """
import json
import django
django.setup()
from django.core.management import call_command
from django.test import Client
from django.conf import settings
call_command("migrate", verbosity=0)
call_command("collectstatic", verbosity=0, interactive=False)
from stores.models import User
User.objects.create_user("alice", "alice@example.com", "correct horse battery staple")
client = Client(enforce_csrf_checks=False, headers={"host": "portal.example.com"})
answers = [
    client.get("/account/login/", secure=True),
    client.post(
        "/account/login/",
        {"login": "alice", "password": "correct horse battery staple"},
        secure=True,
    ),
    client.post("/account/", {"first_name": "Alice"}, secure=True),
    client.post("/account/logout/", secure=True),
    client.get("/nowhere/", secure=True),
]
plain = client.get("/stores/")
from django.templatetags.static import static
file = client.get(static("storeyard.css"), secure=True)
print(json.dumps({
    "status": [answer.status_code for answer in answers],
    "cookies": [m.OutputString() for answer in answers for m in answer.cookies.values()],
    "headers": [dict(answer.headers) for answer in answers],
    "plain": [plain.status_code, plain.headers["Location"]],
    "policies": [one.headers.get("Content-Security-Policy", "") for one in (*answers, plain, file)],
    "file": file.status_code,
}))
"""


def environment(folder, **more: str) -> dict[str, str]:
    ours = ("STOREYARD_", "STORE_", "DATABASE_URL", "PRODUCTION", "KUBECONFIG", "ALLOWED_HOSTS")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, **PRODUCTION, "STOREYARD_RUN_DIR": str(folder), **more}


def run(folder, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], env=environment(folder, **more), cwd=settings.BASE_DIR,
        text=True, capture_output=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_djangos_advice_for_production_is_followed(tmp_path):
    done = run(tmp_path, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("production")
    more = {"DJANGO_SETTINGS_MODULE": "portal.settings", "STATIC_ROOT": str(folder / "static")}
    done = run(folder, "-c", ASK, **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_every_cookie_is_of_this_host_alone(answers):
    assert answers["status"] == [200, 302, 302, 302, 404]
    cookies = SimpleCookie()
    for cookie in answers["cookies"]:
        cookies.load(cookie)
    assert {"__Host-sessionid", "__Host-csrftoken", "__Host-messages"} <= set(cookies)
    for name, cookie in cookies.items():
        assert name.startswith("__Host-"), name
        assert cookie["secure"] and cookie["httponly"] and cookie["path"] == "/", name
        assert cookie["samesite"] in ("Lax", "Strict") and not cookie["domain"], name


@pytest.mark.slow
def test_every_answer_carries_the_headers(answers):
    for headers in answers["headers"]:
        assert headers["Strict-Transport-Security"].startswith("max-age=31536000; includeSub")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"


@pytest.mark.slow
def test_every_answer_carries_the_policy_for_content_files_and_redirects_too(answers):
    assert answers["file"] == 200
    assert len(answers["policies"]) == 7
    for policy in answers["policies"]:
        assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy


@pytest.mark.slow
def test_plain_http_is_sent_to_https(answers):
    assert answers["plain"] == [301, "https://portal.example.com/stores/"]


# --- Stores on a domain of their own -----------------------------------------------------


@pytest.mark.parametrize(
    ("portal", "stores", "told"),
    [
        ("portal.example.com", "stores.example.com", True),
        (".example.com", "example.com", True),
        ("*", "shops.example.net", True),
        ("portal.example.com", "shops.example.net", False),
        ("portal.example.com", "example.net", False),
    ],
)
def test_stores_on_the_portals_domain_are_told_of(portal, stores, told, settings):
    settings.PRODUCTION, settings.ALLOWED_HOSTS, settings.STORE_DOMAIN = True, [portal], stores
    assert [message.id for message in check_domains(None)] == (["portal.W001"] if told else [])


@pytest.mark.parametrize(
    ("trusted", "told"),
    [
        ("https://anna.shops.example.net", True),
        ("https://*.shops.example.net", True),
        ("https://portal.example.com", False),
    ],
)
def test_a_shop_whose_forms_would_be_trusted_is_told_of(trusted, told, settings):
    settings.PRODUCTION, settings.CSRF_TRUSTED_ORIGINS = True, [trusted]
    settings.ALLOWED_HOSTS, settings.STORE_DOMAIN = ["portal.example.com"], "shops.example.net"
    assert [each.id for each in check_trusted_origins(None)] == (["portal.W002"] if told else [])


def test_in_development_everything_is_on_localhost(settings):
    settings.ALLOWED_HOSTS, settings.STORE_DOMAIN = ["*"], "stores.localhost"
    assert check_domains(None) == []
    assert own_domain("Shop.Stores.Localhost.") == "stores.localhost"
