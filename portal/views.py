"""The pages of the portal. A view asks, a form cleans, a service does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe
from django_htmx.http import retarget

from portal import news
from portal.access import actor_of, signed_in
from portal.forms import StoreForm
from portal.listing import Overview, listing, overview
from portal.wanted import Wanted
from provisioning import preflight
from stores import names, services
from stores.errors import QuotaExceeded, Refused, TooMany
from stores.models import Store, User
from stores.plans import PLANS


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Asks nobody else: a slow database is no reason to restart it."""
    return HttpResponse("ok\n", content_type="text/plain")


# --- My stores ---------------------------------------------------------------------------


@require_safe
@signed_in
def store_list(request: HttpRequest) -> HttpResponse:
    wanted = Wanted.from_url(request.GET)
    stores = overview(request.user, wanted)
    return render(request, "stores/list.html", to_show(request.user, wanted, stores))


@require_safe
@signed_in
def store_rows(request: HttpRequest) -> HttpResponse:
    """For an open list: nothing, or the rows that changed, or all of it."""
    wanted = Wanted.from_url(request.GET)
    stores = overview(request.user, wanted)
    if request.GET.get("version") == stores.version:
        return seen(HttpResponse(status=204), stores.looked_at)
    known = to_show(request.user, wanted, stores)
    changed = news.changed(known, request.GET.get("rows", ""))
    if changed is not None:
        response = render(request, "stores/_changes.html", {**known, "changed": changed})
    else:
        response = retarget(render(request, "stores/_rows.html", known), "#stores")
    return seen(response, stores.looked_at)


def to_show(user: User, wanted: Wanted, stores: Overview) -> dict[str, Any]:
    known = listing(user, wanted, stores)
    return {**known, "poll": wanted.link(version=stores.version, rows=news.shown(known))}


def seen(response: HttpResponse, looked_at: datetime | None) -> HttpResponse:
    """Nothing else may be new, and yet somebody looked again."""
    if looked_at:
        response["X-Seen-At"] = looked_at.isoformat(timespec="seconds")
    return response


# --- A new store -------------------------------------------------------------------------

WHAT_IT_IS = {
    Store.Engine.WOOCOMMERCE: gettext_lazy(
        "WordPress with its shop: products, cart, orders and payment, thousands of themes and plugins."
    ),
}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def store_create(request: HttpRequest) -> HttpResponse:
    if request.method != "POST":
        refusal = why_no_store(request.user)
        return render(
            request, "stores/create.html", creating(request.user, StoreForm.fresh(), refusal)
        )
    form = StoreForm(request.POST)
    if store := created(request, form):
        messages.success(request, _("“%s” is on its way. You can watch it here.") % store.name)
        return redirect(store)
    form.start_at_first_error()
    return render(request, "stores/create.html", creating(request.user, form))


def created(request: HttpRequest, form: StoreForm) -> Store | None:
    """The store the form asks for; None if it was refused, which the form then says."""
    if not form.is_valid():
        return None
    try:
        return services.create_store(
            actor=actor_of(request), owner=request.user, **form.cleaned_data
        )
    except TooMany:
        raise
    except Refused as refused:
        form.refuse(refused)
        return None


def creating(user: User, form: StoreForm, refusal: str = "") -> dict[str, Any]:
    return {
        "answers": preflight.platform(user),
        "form": form,
        "refusal": refusal,
        "plans": [(PLANS[code], room) for code, room in preflight.by_plan().items()],
        "chosen_plan": form["plan"].value(),
        "engines": [(code, label, WHAT_IT_IS[code]) for code, label in Store.Engine.choices],
        "chosen_engine": form["engine"].value() or Store.Engine.WOOCOMMERCE,
        **address_preview("", ""),
    }


def why_no_store(user: User) -> str:
    """Why this person cannot create a store now; empty if they can."""
    try:
        services.free_slot(user)
        services.check_platform_limit()
    except QuotaExceeded as refused:
        return str(refused)
    return ""


@require_safe
@signed_in
def address_check(request: HttpRequest) -> HttpResponse:
    """Whether an address, or the one made from a name, could be had at this moment."""
    typed = request.GET.get("address", "")
    address = typed or names.suggest_address(request.GET.get("name", ""))
    return render(
        request,
        "stores/_address.html",
        address_preview(address, why_not_address(address, request.user) if address else ""),
    )


def address_preview(address: str, why_not: str) -> dict[str, str]:
    return {"preview": address, "why_not": why_not}


def why_not_address(address: str, user: User) -> str:
    try:
        services.check_address_is_free(names.clean_address(address), user)
    except Refused as refused:
        return str(refused)
    return ""
