"""What comes out of the cluster opens no door, breaks no line and no page, and is never long."""

import json
import string
import time
from pathlib import Path

import pytest
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from provisioning.redaction import GONE, LONGEST, clean, one_line, redact, tail

SECRET = "hunter2-Zq8"
SENTENCES = [
    f"password={SECRET}",
    f"DB_PASSWORD: {SECRET}",
    f"WORDPRESS_DB_PASSWORD={SECRET} WORDPRESS_DEBUG=1",
    f'{{"user": "anna", "password": "{SECRET}", "port": 3306}}',
    f'{{"password": "with \\"quotes\\" {SECRET}"}}',
    json.dumps({"log": json.dumps({"api_key": SECRET})}),
    f"{{'secret': '{SECRET} with spaces'}}",
    f'"token": "cut off {SECRET}',
    f"'password' => '{SECRET}',",
    f"Authorization: Bearer {SECRET}abcdef",
    f"authorization: Basic {SECRET}==",
    f"curl -H 'Authorization: Bearer {SECRET}' https://example.com",
    f"sent bearer {SECRET}{SECRET}",
    f"Set-Cookie: wordpress_logged_in={SECRET}; path=/",
    f"mysql://wordpress:{SECRET}@store-db:3306/wordpress",
    f"mysql://wordpress:p@ss/{SECRET}@store-db/wordpress",
    f"https://{SECRET}@git.example.com/repository",
    f"redis://:{SECRET}@cache:6379",
    f"mysqld --password {SECRET}",
    f"wp user create anna --user-pass={SECRET}",
    f"CREATE USER 'wordpress'@'%' IDENTIFIED BY '{SECRET}'",
    f"PHP Warning: mysqli_real_connect('store-db', 'wordpress', '{SECRET}') failed",
    f"#0 db.php(12): PDO->__construct('mysql:host=store-db', 'wordpress', '{SECRET}')",
    f"-----BEGIN RSA PRIVATE KEY-----\n{SECRET}\n{SECRET}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}",
    f"client_secret={SECRET}&grant_type=code",
    f"AUTH_SALT={SECRET}",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_a_secret_is_taken_out_and_the_rest_stays(text: str) -> None:
    found = redact(text)
    assert SECRET not in found
    assert GONE in found


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJSUzI1NiIsImtpZCI6Ii0ifQ.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "kV3pQx9_rT7-LmZ2aWbN4cYd",
        "Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MEFCQ0RFRg==",
        "AKIAv3Yt/K7MDENGbPxRfiCYEXAMPLEKEY9x",
    ],
)
def test_what_looks_as_if_a_machine_had_made_it_is_taken_out(secret: str) -> None:
    assert secret not in redact(f"the answer was {secret}, strange")


@pytest.mark.parametrize(
    "text",
    [
        "exceeded quota: store-quota, requested: requests.cpu=1, used: requests.cpu=2, limited: cpu=2",
        "Pod store-web-5d8f7c9b9d-x2x4q: Back-off pulling image registry.example.com/shop/wordpress:7",
        "docker.io/library/wordpress@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
        "store 123e4567-e89b-12d3-a456-426614174000 in store-annas-ceramics-1a2b3c",
        "PHP Fatal error in /var/www/html/wp-content/plugins/woocommerce/src/Internal/Orders/V2/Data.php:12",
        'secret "store-db" not found',
        "requested: count/secrets=1, used: count/secrets=20, limited: count/secrets=20",
        "quota count/secrets: 20 of 20 used",
        "exceeded quota: store-quota, requested: secrets=1, used: secrets=3, limited: secrets=3",
        "NamespaceDeletionGroupVersionParsingFailure",
        "GET https://10.0.0.1:6443/api/v1/namespaces/store-anna-1a2b3c/pods: HTTP 503",
        "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available",
    ],
)  # fmt: skip
def test_what_a_diagnosis_needs_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("name", ["password", "DB_PASSWORD", "apiKey", "access-token", "pwd"])
@pytest.mark.parametrize("form", ["{}={}", "{}: {}", '{{"{}": {}}}', "--{} {}"])
@given(value=st.text(string.ascii_letters + string.digits + "!#$%&,;*()<>@/_-+.~^", min_size=4))
def test_no_value_of_such_a_name_is_seen(name: str, form: str, value: str) -> None:
    # Marked, so that what is looked for is nowhere else in the text.
    assert "Q7Q7" not in redact(f"before {form.format(name, as_in(form, f'{value}Q7Q7'))} after")


def as_in(form: str, value: str) -> str:
    return json.dumps(value) if '"' in form else value


@given(st.text())
def test_no_text_can_move_the_cursor_or_end_a_line_in_secret(text: str) -> None:
    shown = redact(text)
    assert not any(ord(letter) < 32 and letter not in "\n\t" for letter in shown)
    assert not any(letter in shown for letter in "\x7f\x9b\u2028\u202e\u2066")
    shown.encode()  # no half characters


@given(st.text(), st.integers(min_value=2, max_value=400))
def test_a_line_is_one_and_never_longer_than_asked(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert "\n" not in line
    assert len(tail(text, limit)) <= limit


@given(st.text())
def test_redacting_twice_is_the_same_as_once(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)


def test_every_text_within_a_value_is_cleaned() -> None:
    value = {
        "waiting": {"params": {"reason": f"password={SECRET}", "times": 3}},
        "all": ["word " * 99],
    }
    found = clean(value)
    assert SECRET not in found["waiting"]["params"]["reason"]
    assert found["waiting"]["params"]["times"] == 3
    assert len(found["all"][0]) == 300


def test_a_tail_keeps_the_end() -> None:
    text = "\n".join(f"line {number}" for number in range(1000))
    assert tail(text, 100).endswith("line 999")
    assert tail(text, 100).startswith("…")


def test_of_a_long_log_only_the_end_is_looked_at_and_no_half_of_a_secret_is_shown() -> None:
    secret = "q7" * LONGEST
    for before in (f"password={secret}\n", f"password={secret} "):
        assert tail(f"{before}It ended.", 2 * LONGEST) == "It ended."


@pytest.mark.parametrize(
    "text",
    [
        f"http://one:80/and/mysql://anna:{SECRET}@store-db/two",
        f"a://b:a://b:{SECRET}@c:d",
        f"a://b:c a://b:{SECRET}@c",
        f"eyJ-no eyJ-{SECRET}.second",
    ],
)
def test_a_secret_is_found_behind_what_only_looks_like_one(text: str) -> None:
    assert SECRET not in redact(text)


def test_a_page_shows_what_a_container_wrote_as_text() -> None:
    """Nothing is escaped twice and nothing is markup: redacting leaves that to the template."""
    text = redact("<script>alert(1)</script> & more")
    assert text == "<script>alert(1)</script> & more"
    shown = Template("{{ text }}").render(Context({"text": text}))
    assert shown == "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more"


def test_a_long_text_takes_no_long_time() -> None:
    """No rule goes back and forth over the same text: twenty times as much takes about so much."""
    source = Path(__file__).read_text()
    for text in (source * 5, "a" * 50_000, "password" * 6_000, '\\"' * 20_000, "://a:" * 10_000):
        assert len(one_line(text)) <= 300


@pytest.mark.parametrize(
    "evil", ["a://b:", "eyJ-", "://a:", "--a", "a-", "password ", '\\"', "a://"]
)
def test_what_somebody_writes_to_keep_us_busy_takes_no_longer_than_plain_text(evil: str) -> None:
    """Some times as long, that is: reading it again from every place would be hundreds of times."""
    plain = seconds_for("The shop answers on port 8080 and all is well.\n")
    assert seconds_for(evil) < 60 * plain


def seconds_for(unit: str) -> float:
    text = unit * (8 * LONGEST // len(unit))
    took = []
    for _ in range(2):
        began = time.process_time()
        redact(text)
        took.append(time.process_time() - began)
    return min(took)
