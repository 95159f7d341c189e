"""Sharing, handing over and support's access, as people see it in the portal."""

import re

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.urls import reverse

from portal.tests.conftest import browser_of, long_after
from provisioning.post import words
from stores.consent import ask_consent, give_consent
from stores.models import AuditEvent, Consent, Handover, Letter, Share, Store, User
from stores.teams import accept_handover, accept_share, offer_handover, share_store


@pytest.fixture
def at_dora(dora) -> Client:
    verify(dora)
    return browser_of(dora)


def verify(user: User) -> None:
    EmailAddress.objects.update_or_create(
        user=user, email=user.email, defaults={"verified": True, "primary": True}
    )


def page(client: Client, name: str, *args, status: int = 200) -> str:
    response = client.get(reverse(name, args=args))
    assert response.status_code == status, response
    return " ".join(response.content.decode().split())


def send(client: Client, name: str, *args, **data) -> str:
    """The page that follows; every change is answered with a redirect."""
    response = client.post(reverse(name, args=args), data, follow=True)
    assert response.redirect_chain, response
    return " ".join(response.content.decode().split())


def refused(client: Client, name: str, *args, **data) -> str:
    """The page with the form and what was wrong."""
    response = client.post(reverse(name, args=args), data)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.fixture
def shared(store, as_alice, dora) -> Share:
    share = share_store(store, dora.email, "viewer", actor=as_alice)
    accept_share(share, [dora.email], actor=type(as_alice)(dora, "test"))
    share.refresh_from_db()
    return share


# --- Sharing -----------------------------------------------------------------------------


def test_from_the_invitation_to_the_store(store, at_alice, at_dora):
    said = send(at_alice, "store-people", store.pk, email=" Dora@example.com", role="manager")
    assert "An invitation is on its way to Dora@example.com." in said
    assert "dora@example.com" in said and "Manager" in said and "invited" in said
    listed = page(at_dora, "store-list")
    assert "alice@example.com</strong> shares “Anna’s Ceramics” with you, as Manager." in listed
    share = Share.objects.get()
    said = send(at_dora, "invitation-accept", share.pk)
    assert "“Anna’s Ceramics” is shared with you now." in said
    assert "<h1>Anna’s Ceramics</h1>" in said
    assert "shares “Anna’s" not in page(at_dora, "store-list")
    assert "accepted" in page(at_alice, "store-people", store.pk)


def test_the_answer_does_not_tell_who_has_an_account(store, at_alice, dora):
    known, unknown = (
        send(at_alice, "store-people", store.pk, email=f"{name}@example.com", role="viewer")
        for name in ("dora", "nobody")
    )
    said = re.compile(r"An invitation is on its way to \w+@example.com\.")
    assert said.search(known) and said.search(unknown)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"email": "", "role": "viewer"}, "email"),
        ({"email": "dora", "role": "viewer"}, "email"),
        ({"email": "alice@example.com", "role": "viewer"}, "email"),
        ({"email": "dora@example.com", "role": "owner"}, "role"),
        ({"email": "dora@example.com"}, "role"),
    ],
)
def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(
    store, at_alice, data, field
):
    said = refused(at_alice, "store-people", store.pk, **data)
    assert f'id="id_{field}_error"' in said
    assert f'value="{data["email"]}"' in said or not data["email"]
    assert not Share.objects.exists() and not Letter.objects.exists()


def test_without_a_verified_address_nothing_waits_and_nothing_can_be_accepted(
    store, as_alice, dora
):
    share = share_store(store, dora.email, "viewer", actor=as_alice)
    EmailAddress.objects.create(user=dora, email=dora.email, verified=False, primary=True)
    at_dora = browser_of(dora)
    assert "shares “" not in page(at_dora, "store-list")
    assert reverse("account_email") in page(at_dora, "invitations")
    assert at_dora.post(reverse("invitation-accept", args=[share.pk])).status_code == 404
    assert Store.objects.find(store.pk, dora) is None


def test_nobody_else_can_answer_an_invitation(store, as_alice, dora, at_bob, bob):
    verify(bob)
    share = share_store(store, dora.email, "viewer", actor=as_alice)
    offer = offer_handover(store, dora.email, actor=as_alice)
    for name, pk in (
        ("invitation-accept", share.pk),
        ("invitation-decline", share.pk),
        ("handover-accept", offer.pk),
        ("handover-decline", offer.pk),
    ):
        assert at_bob.post(reverse(name, args=[pk])).status_code == 404
    assert Share.objects.count() == Handover.objects.count() == 1


def test_an_invitation_is_declined(store, as_alice, at_dora, at_alice):
    share = share_store(store, "dora@example.com", "viewer", actor=as_alice)
    assert "Declined." in send(at_dora, "invitation-decline", share.pk)
    assert "dora@example.com" not in page(at_alice, "store-people", store.pk)


def test_the_owner_changes_a_role_and_takes_the_share_back(store, shared, at_alice, at_dora):
    assert "Make manager" in page(at_alice, "store-people", store.pk)
    assert "Make viewer" in send(at_alice, "share-role", store.pk, shared.pk, role="manager")
    assert "Manager" in page(at_dora, "store-people", store.pk)
    said = send(at_alice, "share-remove", store.pk, shared.pk)
    assert "dora@example.com no longer has to do with this store." in said
    page(at_dora, "store-detail", store.pk, status=404)


def test_a_role_that_there_is_not_changes_nothing(store, shared, at_alice):
    assert "not one of the available choices" in send(
        at_alice, "share-role", store.pk, shared.pk, role="owner"
    )
    shared.refresh_from_db()
    assert shared.role == "viewer"


def test_a_share_of_another_store_is_not_found(make_store, shared, at_alice):
    other = make_store("ready", name="Other")
    for name in ("share-role", "share-remove"):
        url = reverse(name, args=[other.pk, shared.pk])
        assert at_alice.post(url, {"role": "manager"}).status_code == 404
    assert Share.objects.get().role == "viewer"


def test_whoever_it_is_shared_with_sees_no_other_addresses_and_can_leave(
    store, shared, as_alice, at_dora
):
    share_store(store, "secret-partner@example.com", "viewer", actor=as_alice)
    seen = page(at_dora, "store-people", store.pk)
    assert "alice@example.com" in seen and "secret-partner" not in seen
    assert "You see everything but the passwords." in seen
    assert "You have left “Anna’s Ceramics”." in send(at_dora, "share-leave", store.pk)
    page(at_dora, "store-detail", store.pk, status=404)


def test_a_viewer_is_told_in_a_sentence_what_they_may_not(store, shared, at_dora):
    for name in ("store-people", "handover-offer", "consent-give", "store-retry"):
        response = at_dora.post(reverse(name, args=[store.pk]), {"email": "x@example.com"})
        assert response.status_code == 403
        assert "Ask its owner to make you a manager." in response.content.decode()


def test_the_list_shows_what_is_shared_beside_ones_own(store, shared, at_dora):
    assert "Anna’s Ceramics" in page(at_dora, "store-list")


def test_what_waits_costs_the_list_no_more_queries_than_that_nothing_does(
    store, as_alice, at_dora, count_of_queries
):
    before = count_of_queries(at_dora, reverse("store-list"))
    share_store(store, "dora@example.com", "viewer", actor=as_alice)
    offer_handover(store, "dora@example.com", actor=as_alice)
    assert count_of_queries(at_dora, reverse("store-list")) == before


def test_the_banner_of_consent_costs_the_page_no_query(store, as_alice, at_alice, count_of_queries):
    before = count_of_queries(at_alice, store.get_absolute_url())
    give_consent(store, 3, actor=as_alice)
    # The event that tells of it is in the history, with who it was.
    assert count_of_queries(at_alice, store.get_absolute_url()) <= before


@pytest.fixture
def count_of_queries(django_assert_max_num_queries):
    def count(client: Client, url: str) -> int:
        with django_assert_max_num_queries(100) as queries:
            assert client.get(url).status_code == 200
        return len(queries)

    return count


# --- Not by whoever finds an open browser ------------------------------------------------


@pytest.mark.parametrize("name", ["store-people", "handover-offer", "share-role", "consent-give"])
def test_whoever_lets_somebody_in_shows_first_who_they_are(name, store, shared, at_alice):
    before = AuditEvent.objects.count()
    args = [store.pk, shared.pk] if name == "share-role" else [store.pk]
    data = {"email": "thief@example.com", "role": "manager", "hours": "72"}
    response = long_after(at_alice).post(reverse(name, args=args), data)
    people = reverse("store-people", args=[store.pk])
    assert response.status_code == 302
    assert response.url.startswith(reverse("account_reauthenticate"))
    assert response.url.endswith("?next=" + people.replace("/", "%2F"))
    assert (Share.objects.get().role, Handover.objects.count()) == ("viewer", 0)
    assert not store.consents.exists()
    assert AuditEvent.objects.count() == before


def test_the_forms_are_not_shown_before_that(store, at_alice):
    at_once = page(at_alice, "store-people", store.pk)
    assert 'name="email"' in at_once and 'name="hours"' in at_once
    seen = page(long_after(at_alice), "store-people", store.pk)
    assert 'name="email"' not in seen and 'name="hours"' not in seen
    assert "Show that it is you" in seen


def test_what_shuts_somebody_out_needs_no_more_than_a_click(store, shared, at_alice):
    seen = page(long_after(at_alice), "store-people", store.pk)
    assert reverse("share-remove", args=[store.pk, shared.pk]) in seen


# --- Handing over ------------------------------------------------------------------------


def test_a_store_is_handed_over(store, at_alice, at_dora, dora):
    said = send(at_alice, "handover-offer", store.pk, email="dora@example.com")
    assert "Until it is accepted, nothing changes." in said and "Withdraw the offer" in said
    assert "wants to hand “Anna’s Ceramics” over to you" in page(at_dora, "store-list")
    said = send(at_dora, "handover-accept", Handover.objects.get().pk)
    assert "“Anna’s Ceramics” is yours now." in said
    assert Store.objects.get().owner == dora
    page(at_alice, "store-detail", store.pk, status=404)
    assert "took this store over" in page(at_dora, "store-history", store.pk)


def test_without_room_the_new_owner_is_told_what_to_do(store, as_alice, at_dora):
    User.objects.filter(username="dora").update(max_stores=0)
    offer = offer_handover(store, "dora@example.com", actor=as_alice)
    said = send(at_dora, "handover-accept", offer.pk)
    assert "Ask support for a quota." in said
    assert "wants to hand" in said


def test_an_offer_is_withdrawn_or_declined(store, as_alice, at_alice, at_dora):
    offer = offer_handover(store, "dora@example.com", actor=as_alice)
    assert "You keep the store." in send(at_alice, "handover-withdraw", store.pk)
    assert at_dora.post(reverse("handover-accept", args=[offer.pk])).status_code == 404
    offer = offer_handover(store, "dora@example.com", actor=as_alice)
    assert "Declined." in send(at_dora, "handover-decline", offer.pk)
    assert not Handover.objects.exists()


def test_an_offer_to_nobody_is_refused_beside_its_field(store, at_alice):
    said = refused(at_alice, "handover-offer", store.pk, email="dora at example")
    assert 'id="handover_email_error"' in said and "That is no e-mail address." in said


# --- Support's access --------------------------------------------------------------------


def test_support_asks_without_learning_whose_store_it_is(store, at_carol, alice):
    for html in (
        page(at_carol, "consent-ask", store.pk),
        send(at_carol, "consent-ask", store.pk, reason="The checkout fails."),
    ):
        assert str(store.pk) in html
        for private in (store.name, store.address, alice.email, alice.username):
            assert private not in text(html)
    assert "has not answered yet" in page(at_carol, "consent-ask", store.pk)
    page(at_carol, "store-detail", store.pk, status=404)


def test_a_question_without_a_reason_is_refused_beside_its_field(store, at_carol):
    assert 'id="id_reason_error"' in refused(at_carol, "consent-ask", store.pk, reason=" ")
    assert not Consent.objects.exists()


def test_only_the_team_finds_the_page_that_asks(store, at_alice, at_bob):
    for client in (at_alice, at_bob):
        page(client, "consent-ask", store.pk, status=404)


def test_the_owner_sees_who_asks_and_why_and_lets_them_in(store, as_carol, at_alice, at_carol):
    ask_consent(store, "The checkout fails.", actor=as_carol)
    assert "asks to look into this store" in page(at_alice, "store-detail", store.pk)
    seen = text(page(at_alice, "store-people", store.pk))
    assert "carol asked" in seen and "“The checkout fails.”" in seen
    send(at_alice, "consent-give", store.pk, hours="12")
    assert "may look into this store until" in text(page(at_alice, "store-detail", store.pk))
    assert "You are in it for the team" in page(at_carol, "store-detail", store.pk)
    assert "looked into this store" in page(at_alice, "store-history", store.pk)
    assert AuditEvent.objects.filter(action="support.enter").count() == 1


def test_the_owner_ends_it_with_one_click(store, as_alice, at_alice, at_carol):
    give_consent(store, 72, actor=as_alice)
    assert reverse("consent-end", args=[store.pk]) in page(at_alice, "store-detail", store.pk)
    page(at_carol, "store-detail", store.pk)
    assert "Support's access has ended." in send(at_alice, "consent-end", store.pk).replace(
        "&#x27;", "'"
    )
    page(at_carol, "store-detail", store.pk, status=404)
    assert "End it now" not in page(at_alice, "store-detail", store.pk)


def test_the_owner_declines(store, as_carol, at_alice, at_carol):
    ask_consent(store, "The checkout fails.", actor=as_carol)
    assert "Nobody gets in." in send(at_alice, "consent-decline", store.pk)
    page(at_carol, "store-detail", store.pk, status=404)


@pytest.mark.parametrize("hours", ["", "1", "100", "x"])
def test_consent_for_another_time_is_refused_beside_its_field(store, at_alice, hours):
    assert 'id="id_hours_error"' in refused(at_alice, "consent-give", store.pk, hours=hours)
    assert not Consent.objects.exists()


def test_an_open_page_learns_that_consent_was_given_or_has_run_out(store, as_alice, at_alice):
    def version() -> str:
        return re.search(r"version=([0-9a-f]+)", page(at_alice, "store-detail", store.pk))[1]

    before = version()
    consent = give_consent(store, 3, actor=as_alice)
    during = version()
    # It ends by itself: nobody writes a row.
    Consent.objects.filter(pk=consent.pk).update(ends_at=consent.given_at)
    assert len({before, during, version()}) == 3


def test_support_with_consent_sees_who_it_is_for_and_cannot_share(store, as_alice, at_carol):
    give_consent(store, 3, actor=as_alice)
    seen = text(page(at_carol, "store-people", store.pk))
    assert "You look into this store for the support team" in seen and "Invite" not in seen
    response = at_carol.post(reverse("store-people", args=[store.pk]), {"email": "x@example.com"})
    assert response.status_code == 403


# --- Letters -----------------------------------------------------------------------------


def letter() -> str:
    """The newest one, on one line."""
    return " ".join(" ".join(words(Letter.objects.latest("id"))).split())


@pytest.fixture(autouse=True)
def portal(settings) -> None:
    settings.PORTAL_URL = "https://portal.example"


@pytest.mark.parametrize("sign_up", ["open", "invitation", "closed"])
def test_whoever_is_invited_is_told_by_whom_to_what_and_how_to_get_in(
    store, as_alice, settings, sign_up
):
    settings.SIGNUP = sign_up
    share_store(store, "new@example.com", "manager", actor=as_alice)
    invited = letter()
    assert invited.startswith("“Anna’s Ceramics” is shared with you")
    assert "alice@example.com shares the store" in invited and "as a manager" in invited
    offer_handover(store, "new@example.com", actor=as_alice)
    for text in (invited, letter()):
        assert "https://portal.example/invitations/" in text
        assert ("https://portal.example/account/invitation/" in text) == (sign_up != "closed")


def test_whoever_signs_up_by_the_letter_finds_what_waits(store, as_alice, settings):
    settings.SIGNUP = "invitation"
    share_store(store, "new@example.com", "viewer", actor=as_alice)
    [way_in] = re.findall(r"/account/invitation/[^ ]+", letter())
    newcomer = Client()
    page = newcomer.get(way_in, follow=True)
    assert page.redirect_chain[-1][0] == reverse("account_signup")
    data = {"email": "new@example.com", "password1": "a long enough phrase 7"}
    listed = newcomer.post(reverse("account_signup"), data, follow=True).content.decode()
    assert "shares “Anna’s Ceramics” with you" in listed


def test_the_owner_reads_why_support_asks_and_that_a_store_was_taken_over(
    store, as_carol, as_alice, dora
):
    ask_consent(store, "The checkout fails.", actor=as_carol)
    asked = letter()
    assert "The checkout fails." in asked and reverse("store-people", args=[store.pk]) in asked
    offer = offer_handover(store, dora.email, actor=as_alice)
    accept_handover(offer, [dora.email], actor=type(as_alice)(dora, "test"))
    assert "has another owner now" in letter()


# --- People who are gone --------------------------------------------------------------------


def test_a_deactivated_person_is_out_of_what_was_shared_with_them(store, shared, at_dora, dora):
    page(at_dora, "store-detail", store.pk)
    User.objects.filter(pk=dora.pk).update(is_active=False)
    assert at_dora.get(store.get_absolute_url()).status_code == 302


def test_a_deactivated_owners_store_runs_on_and_stays_with_its_people(
    store, shared, alice, at_dora, at_carol
):
    User.objects.filter(pk=alice.pk).update(is_active=False)
    store.refresh_from_db()
    assert (store.status, store.slot) == ("ready", 0)
    page(at_dora, "store-detail", store.pk)
    # Support sees it in the admin as before.
    page(at_carol, "admin:stores_store_change", store.pk)


# --- Nothing else than what is asked for ------------------------------------------------------


def test_further_fields_are_ignored(store, at_alice, alice, bob, carol):
    extra = {
        "user": bob.pk,
        "owner": bob.pk,
        "accepted_at": "2020-01-01",
        "store": "x",
        "status": "deleted",
        "ends_at": "2099-01-01",
        "asked_by": carol.pk,
    }
    send(at_alice, "store-people", store.pk, email="dora@example.com", role="viewer", **extra)
    send(at_alice, "handover-offer", store.pk, **{**extra, "email": "dora@example.com"})
    send(at_alice, "consent-give", store.pk, hours="3", **extra)
    share, given = Share.objects.get(), Consent.objects.get()
    store.refresh_from_db()
    assert (share.user, share.accepted_at, share.store) == (None, None, store)
    assert (store.owner, store.status) == (alice, "ready")
    assert given.asked_by is None and given.ends_at.year < 2099
