"""Names: what people may type, and what the cluster gets to see."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores import names
from stores.errors import Refused

RFC_1123 = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "needs an address"),
        ("ab", "too short"),
        ("a" * 41, "at most 40"),
        ("xn--80ak6aa92e", "two hyphens"),
        ("a--b", "two hyphens"),
        ("Anna", "cannot be an address"),
        ("anna shop", "cannot be an address"),
        ("żółw", "cannot be an address"),
        ("магазин", "cannot be an address"),
        ("-anna", "cannot be an address"),
        ("anna-", "cannot be an address"),
        ("anna.b", "cannot be an address"),
        ("anna\n", "cannot be an address"),
        ("admin", "reserved"),
        ("www", "reserved"),
        ("kube-public", "reserved"),
    ],
)
def test_an_address_that_breaks_the_rule_is_refused_with_the_rule(text, says):
    with pytest.raises(Refused, match=says) as refusal:
        names.clean_address(text)
    assert refusal.value.field == "address"


def test_a_refused_address_comes_with_one_that_is_possible():
    with pytest.raises(Refused, match="For example: “annas-shop”"):
        names.clean_address("Annas Shop")


@pytest.mark.parametrize("text", ["anna", "a1b", "shop-24", "4seasons", "a" * 40])
def test_an_address_that_keeps_the_rule_stays_exactly_as_typed(text):
    assert names.clean_address(text) == text


@pytest.mark.parametrize("text", ["", "   ", "\u2003"])
def test_a_name_of_nothing_is_refused(text):
    with pytest.raises(Refused, match="needs a name"):
        names.clean_name(text)


@pytest.mark.parametrize("text", ["a\nb", "a\n", "a\x00b", "a\u2028b", "\ttab", "bell\x07"])
def test_a_name_with_a_line_break_or_control_character_is_refused(text):
    with pytest.raises(Refused, match="line breaks or control characters"):
        names.clean_name(text)


def test_a_name_that_is_too_long_is_refused_with_both_lengths():
    with pytest.raises(Refused, match="61 characters; at most 60"):
        names.clean_name("x" * 61)


@pytest.mark.parametrize(
    "text",
    [
        "{{ .Release.Name }}",
        "a,b={c}",
        "$(WORDPRESS_DB_PASSWORD)",
        "'; rm -rf / #",
        '"quotes" & <b>bold</b>',
        "Zażółć gęślą jaźń",
        "陶器の店",
        "🛍️ shop",
        "yes: no",
    ],
)
def test_a_name_may_be_any_text_on_one_line_and_stays_as_typed(text):
    assert names.clean_name(f"  {text} ") == text


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("Anna’s Ceramics", "annas-ceramics"),
        ("Møbel & Łóżko", "mobel-lozko"),
        ("Straße 7", "strasse-7"),
        ("Œuvre", "oeuvre"),
        ("陶器の店", ""),
    ],
)
def test_an_address_is_suggested_in_plain_letters(name, address):
    assert names.suggest_address(name) == address


@given(st.text(max_size=200))
def test_a_suggested_address_is_empty_or_has_the_form_of_one(text):
    suggestion = names.suggest_address(text)
    assert suggestion == "" or (
        RFC_1123.fullmatch(suggestion) and len(suggestion) <= 40 and "--" not in suggestion
    )


@given(st.from_regex(r"[a-z0-9](-?[a-z0-9]){2,19}", fullmatch=True), st.uuids(), st.uuids())
def test_a_namespace_is_a_dns_label_that_helm_accepts_and_no_two_stores_share_one(address, a, b):
    name = names.namespace_name(address, a)
    assert RFC_1123.fullmatch(name) and len(name) <= 53
    assert name.startswith("store-")
    if a.hex[:6] != b.hex[:6]:
        assert name != names.namespace_name(address, b)


def test_the_longest_address_still_fits_a_release_name():
    assert len(names.namespace_name("a" * names.ADDRESS_MAX, uuid.uuid4())) == 53


# Other people's names, and names that something else on the platform or in a cluster goes by.
@pytest.mark.parametrize(
    "address",
    [
        "kube-system", "kube-node-lease", "kubernetes", "default", "openshift-ingress", "openshift-x",
        "storeyard", "portal", "www", "api", "admin", "mail", "smtp", "ns1", "ns2", "localhost",
        "autoconfig", "autodiscover", "postmaster", "hostmaster", "webmaster", "abuse", "root",
    ],
)  # fmt: skip
def test_reserved_names_are_nobodys_address(address):
    with pytest.raises(Refused, match="reserved"):
        names.clean_address(address)
