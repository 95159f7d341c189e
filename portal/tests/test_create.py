"""Creating a store: what is refused, what is kept, and what happens once."""

import re

import pytest
from django.urls import reverse
from django.utils.html import escape

from stores.actor import Actor
from stores.models import AuditEvent, Store, User
from stores.services import create_store

URL = "/stores/new/"
GOOD = {"name": "Anna’s Ceramics", "address": "annas-ceramics", "plan": "small"}


def post(client, **changed):
    return client.post(URL, {**GOOD, **changed})


def test_a_store_is_made_and_shown(at_alice, alice):
    response = at_alice.post(URL, GOOD, follow=True)
    store = Store.objects.get()
    assert response.redirect_chain == [(store.get_absolute_url(), 302)]
    assert (store.owner, store.name, store.address, store.plan) == (
        alice, GOOD["name"], "annas-ceramics", "small",
    )  # fmt: skip
    assert "is on its way" in response.content.decode()
    event = AuditEvent.objects.get(action="store.ask_create")
    assert (event.via, event.origin.address) == ("portal", "127.0.0.1") and event.request_id


def test_without_an_address_it_is_made_from_the_name(at_alice):
    post(at_alice, address="", name="Tea & Coffee")
    assert Store.objects.get().address == "tea-coffee"


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        ({"name": ""}, "name", "needs a name"),
        ({"name": "   "}, "name", "needs a name"),
        ({"name": "x" * 61}, "name", "at most 60"),
        ({"name": "two\nlines"}, "name", "line breaks or control characters"),
        ({"name": "trailing\n"}, "name", "line breaks or control characters"),
        ({"name": "bell\x07"}, "name", "line breaks or control characters"),
        ({"name": "магазин", "address": ""}, "address", "No address can be made"),
        ({"address": "ab"}, "address", "too short"),
        ({"address": "a" * 41}, "address", "at most 40"),
        ({"address": "магазин"}, "address", "cannot be an address"),
        ({"address": "Annas Ceramics"}, "address", "“annas-ceramics”"),
        ({"address": "UPPER"}, "address", "cannot be an address"),
        ({"address": " padded "}, "address", "cannot be an address"),
        ({"address": "-edge"}, "address", "cannot be an address"),
        ({"address": "admin"}, "address", "reserved"),
        ({"address": "xn--80ak6aa92e"}, "address", "two hyphens"),
        ({"address": "taken-shop"}, "address", "is taken"),
        ({"plan": "gigantic"}, "plan", "There is no plan"),
        ({"plan": ""}, "plan", "There is no plan"),
        ({"engine": "shopify"}, "engine", "There is no engine"),
    ],
)
def test_what_breaks_a_rule_is_refused_beside_its_field(changed, field, words, at_alice, bob):
    create_store(actor=Actor(bob, "test"), owner=bob, name="Bob", address="taken-shop")
    events = AuditEvent.objects.count()
    response = post(at_alice, **changed)
    assert response.status_code == 200
    form = response.context["form"]
    assert list(form.errors) == [field]
    assert words in form.errors[field][0]
    assert f'id="id_{field}_error"' in response.content.decode()
    assert (Store.objects.count(), AuditEvent.objects.count()) == (1, events)


def test_a_refusal_is_tied_to_its_input_and_keeps_what_was_typed(at_alice):
    page = post(at_alice, address="Not Good", plan="large").content.decode()
    assert 'aria-describedby="id_address_helptext id_address_error"' in page
    assert 'aria-invalid="true"' in page
    assert f'value="{escape(GOOD["name"])}"' in page and 'value="Not Good"' in page
    assert 'value="large" checked' in page


@pytest.mark.parametrize(
    ("changed", "focused"),
    [
        ({"name": "", "plan": "x"}, 'id="id_name"'),
        ({"address": "Not Good"}, 'id="id_address"'),
        ({"plan": "x"}, 'name="plan" value="small"'),
        ({"engine": "x"}, 'name="engine" value="woocommerce"'),
    ],
)
def test_the_cursor_is_where_the_first_mistake_is(changed, focused, at_alice):
    page = post(at_alice, **changed).content.decode()
    fields = [tag for tag in re.findall("<input[^>]*>", page) if "autofocus" in tag]
    assert len(fields) == 1 and focused in fields[0]


def test_null_characters_are_refused(at_alice):
    assert list(post(at_alice, name="a\x00b").context["form"].errors) == ["name"]
    assert not Store.objects.exists()


def test_a_quota_of_zero_explains_instead_of_a_form_and_is_held_by_the_server(at_alice, alice):
    User.objects.filter(pk=alice.pk).update(max_stores=0)
    page = at_alice.get(URL).content.decode()
    assert "may not create stores" in page and 'name="address"' not in page
    refused = post(at_alice)
    assert "may not create stores" in refused.context["form"].non_field_errors()[0]
    assert not Store.objects.exists()


def test_a_full_quota_says_how_full_and_what_to_do(at_alice, alice, make_store):
    for _ in range(3):
        make_store("ready")
    page = at_alice.get(URL).content.decode()
    assert "You have 3 of 3 stores" in page and "Delete one" in page
    post(at_alice)
    assert Store.objects.count() == 3


def test_a_full_platform_says_so(at_alice, settings):
    settings.MAX_STORES_TOTAL = 0
    assert "platform is full" in at_alice.get(URL).content.decode()


def test_sending_the_same_form_twice_makes_one_store(at_alice):
    key = at_alice.get(URL).context["form"]["idempotency_key"].value()
    first, second = (post(at_alice, idempotency_key=key) for _ in range(2))
    assert first.url == second.url
    assert Store.objects.count() == 1


def test_every_form_has_a_key_of_its_own_and_is_not_kept_by_the_browser(at_alice):
    answers = [at_alice.get(URL) for _ in range(2)]
    keys = {answer.context["form"]["idempotency_key"].value() for answer in answers}
    assert len(keys) == 2 and "no-store" in answers[0]["Cache-Control"]


def test_the_rule_and_the_plans_are_there_before_typing(at_alice):
    page = at_alice.get(URL).content.decode()
    assert "3 to 40 characters" in page and ".stores.localhost" in page
    for plan in ("Small", "Standard", "Large", "WooCommerce"):
        assert f'<span class="plan-name">{plan}</span>' in page
    for size in ("2 CPU", "8 GiB of memory", "200 GiB of disk"):
        assert size in page


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"address": "free-one"}, "https://free-one.stores.localhost</strong> is free"),
        ({"name": "Tea & Coffee"}, "https://tea-coffee.stores.localhost</strong> is free"),
        ({"name": "Tea", "address": "free-one"}, "https://free-one."),
        ({"address": "taken-shop"}, "is taken"),
        ({"address": "admin"}, "is reserved"),
        ({"address": "A B"}, "cannot be an address"),
        ({"name": "магазин"}, "appears here"),
        ({}, "appears here"),
        ({"address": "<b>"}, "&lt;b&gt;"),
    ],
)
def test_typing_an_address_says_whether_it_is_free(asked, words, at_alice, bob):
    create_store(actor=Actor(bob, "test"), owner=bob, name="Bob", address="taken-shop")
    response = at_alice.get(reverse("address-check"), asked)
    assert words in response.content.decode()
