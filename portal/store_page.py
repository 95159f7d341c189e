"""The page of one store: what it shows, and what can be asked for there.

The page is live as a whole. Two parts of it have versions of their own, so that an answer holds
only what is new: what goes on now, and what went on before (``past``), which is long and changes
rarely.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from portal import history
from portal.access import actor_of, reauthenticated, signed_in, store_for
from portal.actions import actions, already, beside, danger, reveal
from portal.deletion import DeleteForm, Doomed
from portal.receipt import receipt
from portal.remedy import remedy
from portal.shared import looked_at
from portal.templatetags.storeyard import length_in_words
from portal.timeline import Timeline, timeline
from portal.troubles import troubles
from portal.versions import version
from portal.waiting import waiting
from provisioning import usage
from stores import services
from stores.actor import Actor
from stores.audit import AuditEvent
from stores.errors import NotAllowed, Refused, StaleStore, TooMany
from stores.health import told
from stores.lifecycle import GOING, Status
from stores.models import Operation, Store
from stores.permissions import Right
from stores.plans import PLANS

EARLIER_OPERATIONS = 20
# As troubles of the platform, or in a part of the page that is theirs.
SAID_ABOVE = ("paused", "cluster-unavailable", "cluster-busy", "closing")


@require_safe
@signed_in
def store_detail(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id)
    return render(request, "stores/detail.html", detail(request, store, at_a_glance(store)))


@require_safe
@signed_in
def store_status(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id)
    known = at_a_glance(store)
    shown, _, past = request.GET.get("version", "").partition("-")
    if shown == known["version"]:
        response = HttpResponse(status=204)
    else:
        response = render(request, "stores/_store.html", detail(request, store, known, past))
    # Nothing else may be new, and yet it was looked at again.
    if known["told"] and known["told"].seen_at:
        response["X-Seen-At"] = known["told"].seen_at.isoformat(timespec="seconds")
    return response


def at_a_glance(store: Store) -> dict[str, Any]:
    """What an open page asks for again and again. Read before the rest: what changes in between is
    then shown the next time, not never."""
    health, shown = told(store, looked_at()), troubles()
    place = waiting([store]).get(store.pk, "")
    return {
        "told": health,
        "troubles": shown,
        "place": place,
        # Health turns unknown by itself, and consent ends so: no revision tells of it.
        "version": version(
            store.revision,
            store.standing,
            store.consent_until,
            health and health.health,
            shown,
            place,
        ),
    }


def detail(
    request: HttpRequest, store: Store, known: dict[str, Any], past: str = ""
) -> dict[str, Any]:
    """``past``: the version of that part that the reader has; it is not sent once more."""
    # Whoever has it already needs the newest only.
    operations = list(operations_of(store)[: 1 if past else 1 + EARLIER_OPERATIONS])
    latest = timeline(operations[0]) if operations else None
    helps = remedy(store, latest)
    return {
        "store": store,
        **known,
        "latest": latest,
        "remedy": helps,
        "notice": notice(store, latest),
        "receipt": receipt(latest),
        "actions": beside(helps and helps.action, actions(store)),
        "danger": danger(store),
        "reveal": reveal(store),
        "plan": PLANS[store.plan],
        "usage": usage.rows(store.usage),
        **what_went_on(request, store, operations, past),
    }


def operations_of(store: Store) -> QuerySet[Operation]:
    """Newest first, with ``last_event``: the id of the store's newest entry in the audit trail."""
    events = AuditEvent.objects.filter(store=OuterRef("store")).order_by("-pk").values("pk")
    found = store.operations.annotate(last_event=Subquery(events[:1]))
    return found.select_related("actor").prefetch_related("steps")


def what_went_on(
    request: HttpRequest, store: Store, operations: list[Operation], known: str
) -> dict[str, Any]:
    """The history and earlier operations; nothing but their version where that is known."""
    newest = [(operation.pk, operation.last_event) for operation in operations[:1]]
    current = version(newest)
    if current == known:
        return {"past_version": current, "past_is_known": True}
    if known:
        operations = list(operations_of(store)[: 1 + EARLIER_OPERATIONS])
    return {
        "past_version": current,
        "earlier": [timeline(operation) for operation in operations[1:]],
        "history": history.newest(store, request.user),
    }


def notice(store: Store, latest: Timeline | None) -> str:
    """What the store waits for, unless that is said elsewhere on the page."""
    if store.message.get("code") in SAID_ABOVE or (latest and latest.says_it):
        return ""
    return store.sentence


@require_POST
@signed_in
def store_retry(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.RETRY)
    return done(request, store, services.retry_store, _("Trying again, from the first step."))


@require_POST
@signed_in
def store_refresh(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.REFRESH)
    return done(request, store, services.refresh_store, _("The store is being looked at again."))


def done(
    request: HttpRequest, store: Store, verb: Callable[..., None], success: str
) -> HttpResponse:
    """Do it, and say on the store's page what came of it."""
    if refusal := refusal_of(verb, store, actor_of(request)):
        messages.error(request, refusal)
    else:
        messages.success(request, success)
    return redirect("store-detail", store.pk)


def refusal_of(verb: Callable[..., None], store: Store, actor: Actor) -> str:
    try:
        verb(store, actor=actor)
    except (TooMany, NotAllowed):
        raise
    except Refused as refused:
        return str(refused)
    except StaleStore:
        return _("The store changed at the same moment. Look at it again, then decide.")
    return ""


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def store_delete(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.DELETE)
    if store.status in GOING or store.status == Status.DELETED:
        messages.info(request, already(store))
        return redirect(store)
    # Not before it is known that they may: a stranger learns nothing, not even by being asked.
    return deletion(request, store=store)


@reauthenticated
def deletion(request: HttpRequest, store: Store) -> HttpResponse:
    form = DeleteForm(store, request.POST if request.method == "POST" else None)
    if form.is_valid():
        verb = partial(services.delete_store, now=form.cleaned_data["at_once"])
        return done(request, store, verb, promise_of_deletion(at_once=form.goes_at_once))
    return render(request, "stores/delete.html", deleting(store, form))


def deleting(store: Store, form: DeleteForm) -> dict[str, Any]:
    return {
        "store": store,
        "form": form,
        "doomed": Doomed.of(store),
        "hold_days": settings.ADDRESS_HOLD_DAYS,
    }


def promise_of_deletion(*, at_once: bool) -> str:
    if at_once:
        return _("The store is being deleted.")
    grace = length_in_words(settings.GRACE_SECONDS)
    return _("The shop is being closed. For %(length)s you can have it back.") % {"length": grace}


@require_POST
@signed_in
def store_delete_now(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.SKIP_GRACE)
    return at_once(request, store_id=store_id, store=store)


@reauthenticated
def at_once(request: HttpRequest, store_id: UUID, store: Store) -> HttpResponse:
    """Nothing of it can be had back after this: an open browser is not enough."""
    return done(request, store, services.skip_grace, _("The store is being deleted."))


@require_POST
@signed_in
def store_undo(request: HttpRequest, store_id: UUID) -> HttpResponse:
    store = store_for(request, store_id, Right.UNDO)
    return done(request, store, services.undo_delete, _("You keep it: the shop is set up again."))
