"""The initial password of a shop: asked for with one's own password, shown once, kept nowhere.

What is shown is in one answer to a POST: not in an address, not in the session, not in a cookie. The
key that opens it is in this request's memory only. Whoever wants to see it again asks again: the
form's token is good for one answer.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from allauth.account.adapter import get_adapter
from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods

from portal.access import (
    actor_of,
    proof_of_identity,
    proved_lately,
    signed_in,
    store_for,
)
from portal.inquiries import answered
from portal.templatetags.storeyard import length_in_words
from stores import inquiries, limits, sealing
from stores.errors import NotAllowed, Refused, TooMany
from stores.inquiry import Inquiry
from stores.messages import Message
from stores.models import Store, User
from stores.permissions import Right, may

TOKENS = "reveal_tokens"
# Forms that are open at once, in as many tabs.
MOST_TOKENS = 5


@dataclass(frozen=True, repr=False)
class Credentials:
    user: str
    password: str


class RevealForm(forms.Form):
    token = forms.CharField(max_length=64, widget=forms.HiddenInput)
    password = forms.CharField(
        label=gettext_lazy("Your own password"),
        help_text=gettext_lazy("The one you sign in to Storeyard with."),
        required=False,
        strip=False,
    )

    def __init__(self, user: User, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        if not user.has_usable_password():
            del self.fields["password"]

    @sensitive_variables()
    def is_confirmed(self) -> bool:
        """Whoever is at the keyboard is whose session it is. (Without a password: see below.)"""
        if "password" not in self.fields:
            return True
        if self.user.check_password(self.cleaned_data["password"]):
            return True
        self.add_error("password", _("That is not your password. Nothing was shown."))
        return False


@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("password")
@signed_in
@sensitive_variables()
def store_reveal(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.REVEAL)
    if not request.user.has_usable_password() and not proved_lately(request):
        return ask_who_it_is(request, store)
    if request.method != "POST":
        return page(request, store)
    form = RevealForm(request.user, request.POST)
    if not form.is_valid() or not spend(request, form.cleaned_data["token"]):
        said = _("That was shown once already. To see it again, ask for it again.")
        return page(request, store, refusal=said, status=410)
    limits.check("store.reveal_refused", actor_of(request))
    if not form.is_confirmed():
        inquiries.refuse_credentials(store, actor=actor_of(request))
        return page(request, store, errors=form)
    shown = reveal(request, store)
    return shown_once(request, store, shown) if isinstance(shown, Credentials) else shown


# --- Who it is ---------------------------------------------------------------------------


def ask_who_it_is(request: HttpRequest, store: Store) -> HttpResponse:
    """Of somebody who has no password here: signs in with a passkey, or elsewhere."""
    if get_adapter(request).get_reauthentication_methods(request.user):
        here = reverse("store-reveal", args=[store.pk])
        return redirect(proof_of_identity(request, here))
    said = _(
        "You have no password here, and your login is long ago. Log out, log in again, and come "
        "back within %(length)s."
    ) % {"length": length_in_words(settings.ACCOUNT_REAUTHENTICATION_TIMEOUT)}
    context = {"store": store, "why_not": said}
    return render(request, "stores/reveal.html", context, status=403)


def new_token(request: HttpRequest) -> str:
    token = secrets.token_urlsafe(24)
    request.session[TOKENS] = [*request.session.get(TOKENS, ()), token][-MOST_TOKENS:]
    return token


def spend(request: HttpRequest, token: str) -> bool:
    """Whether the form is ours and was not sent before."""
    tokens = request.session.get(TOKENS, [])
    if token not in tokens:
        return False
    request.session[TOKENS] = [one for one in tokens if one != token]
    return True


# --- The answer --------------------------------------------------------------------------


@sensitive_variables()
def reveal(request: HttpRequest, store: Store) -> Credentials | HttpResponse:
    """What the store's Secret holds, or the page that says why not."""
    key, actor = sealing.Key(), actor_of(request)
    try:
        inquiry = inquiries.ask_credentials(store, key.public, actor=actor)
    except (TooMany, NotAllowed):
        raise
    except Refused as refused:
        return page(request, store, refusal=str(refused))
    answer = answered(inquiry.pk, settings.REVEAL_WAIT_SECONDS)
    if failure := why_not(request, store, answer):
        inquiries.note_unanswered(store, failure, actor=actor)
        return page(request, store, refusal=str(failure), status=503)
    assert answer is not None
    return Credentials(**json.loads(key.open(bytes(answer.sealed), inquiry.pk)))


def why_not(request: HttpRequest, store: Store, answer: Inquiry | None) -> Message | None:
    """Also what changed while this person waited: their right, or the store."""
    if answer is None:
        return Message("inquiry-unanswered")
    if answer.failure:
        return Message.from_json(answer.failure)
    now = Store.objects.find(store.pk, request.user)
    allowed = now is not None and may(now.standing, Right.REVEAL)
    if now is None or not allowed or inquiries.why_no_credentials(now):
        return Message("inquiry-changed")
    return None


# --- Pages -------------------------------------------------------------------------------


def page(
    request: HttpRequest,
    store: Store,
    *,
    refusal: str = "",
    errors: RevealForm | None = None,
    status: int = 200,
) -> HttpResponse:
    """The form, always with a new token and never with what was typed."""
    form = RevealForm(request.user, initial={"token": new_token(request)})
    context = {
        "store": store,
        "form": form,
        "errors": errors["password"].errors if errors else (),
        "refusal": refusal,
        "why_not": inquiries.why_no_credentials(store),
    }
    return render(request, "stores/reveal.html", context, status=status)


@sensitive_variables()
def shown_once(request: HttpRequest, store: Store, shown: Credentials) -> HttpResponse:
    seconds = settings.REVEAL_SHOWN_SECONDS
    context = {
        "store": store,
        "shown": shown,
        "until": timezone.now() + timedelta(seconds=seconds),
        "seconds": seconds,
    }
    response = render(request, "stores/revealed.html", context)
    # Off the screen after a minute, without any script too.
    response["Refresh"] = f"{seconds}; url={reverse('store-reveal', args=[store.pk])}"
    return response
