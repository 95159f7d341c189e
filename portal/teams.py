"""Who else has to do with a store: its people, the offer to hand it over, and support's access."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.contrib import messages
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal.access import (
    View,
    actor_of,
    proof_of_identity,
    proved_lately,
    signed_in,
    store_for,
)
from portal.team_forms import AskForm, ConsentForm, HandoverForm, RoleForm, ShareForm, TeamForm
from stores import consent, teams
from stores.errors import NotAllowed, Refused, TooMany
from stores.models import Handover, Share, Store
from stores.permissions import Right, may


def proved(view: View) -> View:
    """Below ``signed_in``: for what lets somebody else in, who is asked who they are if they have not
    proved it lately. Else whoever finds an open browser could make themself a manager, or the owner.

    The page of people does the same before it shows the forms, so that mostly nothing is typed twice.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, store_id: UUID, **kwargs: Any) -> HttpResponse:
        if request.method != "POST" or proved_lately(request):
            return view(request, store_id, **kwargs)
        return redirect(proof(request, store_id))

    return wrapper


def proof(request: HttpRequest, store_id: UUID) -> str:
    return proof_of_identity(request, reverse("store-people", args=[store_id]))


# --- People of a store -------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@proved
def store_people(request: HttpRequest, store_id: UUID) -> HttpResponse:
    """Who they are; a POST invites somebody."""
    if request.method != "POST":
        return people(request, store_for(request, store_id))
    store = store_for(request, store_id, Right.SHARE)
    form = ShareForm(request.POST)
    verb = partial(teams.share_store, store, actor=actor_of(request))
    if done(form, verb):
        # The same, whether anybody has an account with this address or not.
        said = _("An invitation is on its way to %(email)s.")
        messages.success(request, said % {"email": form.cleaned_data["email"].strip()})
        return redirect("store-people", store.pk)
    return people(request, store, share_form=form)


def people(request: HttpRequest, store: Store, **forms: TeamForm) -> HttpResponse:
    """``forms``: those that were refused, as they were sent."""
    return render(request, "teams/people.html", {**circle(request, store), **forms})


def circle(request: HttpRequest, store: Store) -> dict[str, Any]:
    """The owner sees everybody; others themselves and whose store it is."""
    shares = list(store.shares.select_related("user"))
    owns = may(store.standing, Right.SHARE)
    return {
        "store": store,
        "owns": owns,
        "shares": shares if owns else [],
        "own_share": next((share for share in shares if share.user_id == request.user.pk), None),
        "proof": "" if proved_lately(request) else proof(request, store.pk),
        "handover": Handover.objects.filter(store=store).first() if owns else None,
        "question": store.consents.open_questions().select_related("asked_by").first(),
        "share_form": ShareForm(),
        "handover_form": HandoverForm(),
        "consent_form": ConsentForm(),
    }


@require_POST
@signed_in
@proved
def share_role(request: HttpRequest, store_id: UUID, share_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.SHARE)
    share, form = share_of(store, share_id), RoleForm(request.POST)
    change = partial(teams.change_role, share, actor=actor_of(request))
    if done(form, change):
        messages.success(request, _("Changed."))
    else:
        messages.error(request, " ".join(form.errors.get("role") or form.non_field_errors()))
    return redirect("store-people", store.pk)


@require_POST
@signed_in
def share_remove(request: HttpRequest, store_id: UUID, share_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.SHARE)
    share = share_of(store, share_id)
    said = _("%(email)s no longer has to do with this store.") % {"email": share.email}
    tried(request, partial(teams.withdraw_share, share), said)
    return redirect("store-people", store.pk)


@require_POST
@signed_in
def share_leave(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id)
    share = store.shares.filter(user=request.user).first()
    if share is None:
        messages.error(request, _("This store is not shared with you."))
        return redirect("store-people", store.pk)
    said = _("You have left “%(name)s”.") % {"name": store.name}
    tried(request, partial(teams.withdraw_share, share), said)
    return redirect("store-list")


def share_of(store: Store, share_id: UUID) -> Share:
    if share := store.shares.filter(pk=share_id).first():
        return share
    raise Http404("There is no such person of this store.")


# --- Handing over ------------------------------------------------------------------------


@require_POST
@signed_in
@proved
def handover_offer(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.HAND_OVER)
    form = HandoverForm(request.POST)
    if done(form, partial(teams.offer_handover, store, actor=actor_of(request))):
        said = _("The offer is on its way to %(email)s. Until it is accepted, nothing changes.")
        messages.success(request, said % {"email": form.cleaned_data["email"].strip()})
        return redirect("store-people", store.pk)
    return people(request, store, handover_form=form)


@require_POST
@signed_in
def handover_withdraw(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.HAND_OVER)
    tried(request, partial(teams.withdraw_handover, store), _("You keep the store."))
    return redirect("store-people", store.pk)


# --- What waits for oneself --------------------------------------------------------------


def addresses_of(user: Any) -> Any:
    """The verified ones, in small letters, as a query."""
    if not user.is_authenticated:
        return []
    verified = EmailAddress.objects.filter(user_id=user.pk, verified=True)
    return verified.values_list(Lower("email"), flat=True)


def waiting_for(user: Any) -> list[teams.Invitation]:
    """Invitations and offers to this person, with one query."""
    return teams.invitations(addresses_of(user))


@require_safe
@signed_in
def invitations(request: HttpRequest) -> HttpResponse:
    verified = list(addresses_of(request.user))
    found = teams.invitations(verified)
    return render(request, "teams/invitations.html", {"waiting": found, "verified": verified})


@require_POST
@signed_in
def invitation_accept(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    share = invitation(request, Share.objects.filter(user=None, pk=invitation_id))
    said = _("“%(name)s” is shared with you now.") % {"name": share.store.name}
    return taken(request, share.store, partial(accept, teams.accept_share, share), said)


@require_POST
@signed_in
def invitation_decline(request: HttpRequest, invitation_id: UUID) -> HttpResponse:
    share = invitation(request, Share.objects.filter(user=None, pk=invitation_id))
    tried(request, partial(accept, teams.decline_share, share), _("Declined."))
    return redirect("store-list")


@require_POST
@signed_in
def handover_accept(request: HttpRequest, handover_id: UUID) -> HttpResponse:
    offer = invitation(request, Handover.objects.filter(pk=handover_id))
    said = _("“%(name)s” is yours now.") % {"name": offer.store.name}
    return taken(request, offer.store, partial(accept, teams.accept_handover, offer), said)


@require_POST
@signed_in
def handover_decline(request: HttpRequest, handover_id: UUID) -> HttpResponse:
    offer = invitation(request, Handover.objects.filter(pk=handover_id))
    tried(request, partial(accept, teams.decline_handover, offer), _("Declined."))
    return redirect("store-list")


def invitation(request: HttpRequest, found: Any) -> Any:
    """To somebody else it is as unknown as none at all."""
    waiting = found.filter(email__in=addresses_of(request.user)).select_related("store")
    if invitation := waiting.first():
        return invitation
    raise Http404("There is no such invitation.")


def accept(verb: Callable[..., Any], waiting: Any, *, actor: Any) -> None:
    verb(waiting, list(addresses_of(actor.user)), actor=actor)


def taken(
    request: HttpRequest, store: Store, verb: Callable[..., Any], success: str
) -> HttpResponse:
    """To the store, if it went well; it cannot be seen otherwise."""
    return redirect(store) if tried(request, verb, success) else redirect("invitations")


# --- Support's access --------------------------------------------------------------------


@require_POST
@signed_in
@proved
def consent_give(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.CONSENT)
    form = ConsentForm(request.POST)
    if done(form, partial(consent.give_consent, store, actor=actor_of(request))):
        messages.success(request, _("Support may look into this store now. You can end it here."))
        return redirect("store-people", store.pk)
    return people(request, store, consent_form=form)


@require_POST
@signed_in
def consent_end(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.CONSENT)
    tried(request, partial(consent.revoke_consent, store), _("Support's access has ended."))
    return redirect("store-people", store.pk)


@require_POST
@signed_in
def consent_decline(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.CONSENT)
    tried(request, partial(consent.decline_consent, store), _("Declined. Nobody gets in."))
    return redirect("store-people", store.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def consent_ask(request: HttpRequest, store_id: UUID) -> HttpResponse:
    """For the team, from the admin: a page that tells nothing about the store but its reference."""
    store = Store.objects.filter(pk=store_id).first() if request.user.is_staff else None
    if store is None:
        raise Http404("There is no such store.")
    if Store.objects.find(store_id, request.user):
        return redirect(store)
    form = AskForm(request.POST if request.method == "POST" else None)
    if form.is_bound and done(form, partial(consent.ask_consent, store, actor=actor_of(request))):
        messages.success(request, _("The owner is asked. They get a letter with your reason."))
        return redirect("consent-ask", store_id)
    asked = store.consents.open_questions().select_related("asked_by").first()
    context = {"reference": store.pk, "form": form, "question": asked}
    return render(request, "teams/ask.html", context)


# --- How it went -------------------------------------------------------------------------


def done(form: TeamForm, verb: Callable[..., Any]) -> bool:
    """Do it with what was typed; what was refused, the form says."""
    if not form.is_valid():
        return False
    try:
        verb(**form.cleaned_data)
    except (TooMany, NotAllowed):
        raise
    except Refused as refused:
        form.refuse(refused)
        return False
    return True


def tried(request: HttpRequest, verb: Callable[..., Any], success: str) -> bool:
    """Do it, and tell what came of it on the page that follows."""
    try:
        verb(actor=actor_of(request))
    except (TooMany, NotAllowed):
        raise
    except Refused as refused:
        messages.error(request, str(refused))
        return False
    messages.success(request, success)
    return True
