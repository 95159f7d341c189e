"""The verbs: what people can do to stores.

Each takes an actor and joins rule, row, audit event and doorbell in one transaction. What is done to a
store begins with its row and whether this actor may do it now (stores/rules.py). Pages, the
admin and commands all call these.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from stores import limits, names, plans, queue, rules
from stores.actor import SYSTEM, Actor
from stores.audit import AuditEvent, AuditHead
from stores.errors import IllegalTransition, QuotaExceeded, Refused, StaleStore
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Operation, Pause, Store, User
from stores.permissions import Right

MAX_STORES_LIMIT = 1000
REASON_MAX = 300
SUPERSEDED = Message("superseded")
# For a new operation: its deadline is set by its first pass, since waiting for a worker does not count.
AFRESH: dict[str, Any] = {
    "attempts": 0,
    "due_at": None,
    "deadline_at": None,
    "outage_since": None,
}


def create_store(
    *,
    actor: Actor,
    owner: User,
    name: str,
    address: str = "",
    plan: str = plans.DEFAULT_PLAN,
    engine: str = Store.Engine.WOOCOMMERCE,
    idempotency_key: str = "",
) -> Store:
    """A new store for ``owner``; with a key seen before, the store made then. Raises Refused."""
    wanted = clean(name, address, plan, engine)
    with transaction.atomic():
        # Everybody who creates for this owner waits here (PostgreSQL); on SQLite every
        # transaction that writes waits for the others anyway. Without the key: whoever holds the
        # audit head may still name this user in an event.
        owner = User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        if idempotency_key and (
            made := owner.stores.filter(idempotency_key=idempotency_key).first()
        ):
            return made
        slot = free_slot(owner)
        # The audit head is the lock for what all owners share: the platform's limit and the
        # addresses.
        AuditHead.lock()
        check_platform_limit()
        check_address_is_free(wanted["address"], owner)
        store = insert(owner=owner, slot=slot, idempotency_key=idempotency_key, **wanted)
        said = {key: wanted[key] for key in ("address", "plan", "engine")}
        begin(store, Operation.Kind.CREATE, actor, {**said, "owner": owner.pseudonym})
    return store


def clean(name: str, address: str, plan: str, engine: str) -> dict[str, str]:
    """What is wanted of a new store, by the rules that hold for any. Raises Refused."""
    name = names.clean_name(name)
    return {
        "name": name,
        "address": names.clean_address(address or suggested_address(name)),
        "plan": plans.clean_plan(plan),
        "engine": clean_engine(engine),
    }


def insert(**fields: Any) -> Store:
    store = Store(**fields)
    store.namespace = names.namespace_name(store.address, store.pk)
    store.save(force_insert=True)
    return store


def retry_store(store: Store, *, actor: Actor) -> None:
    """Try a failed store again, from the first step, with a fresh deadline."""
    store.refresh_from_db()
    require(store, Status.FAILED, _("Only a failed store can be retried; this one is %s."))
    with transaction.atomic():
        rules.hold(store, Right.RETRY, actor)
        store.move_to(
            Status.REQUESTED,
            actor=actor,
            generation=F("generation") + 1,
            **AFRESH,
            # A namespace that somebody took away may be made anew as long as it held no shop.
            namespace_uid=store.namespace_uid if store.ready_at else "",
            volumes=store.volumes if store.ready_at else {},
        )
        begin(store, Operation.Kind.RETRY, actor)


def refresh_store(store: Store, *, actor: Actor) -> None:
    """Look at a ready store again, put right what differs, and bring it to the current chart."""
    store.refresh_from_db()
    require(store, Status.READY, _("Only a ready store can be refreshed; this one is %s."))
    with transaction.atomic():
        rules.hold(store, Right.REFRESH, actor)
        store.move_to(Status.UPDATING, actor=actor, chart_version="", **AFRESH)
        supersede(store)  # a repair, which this does too
        begin(store, Operation.Kind.REFRESH, actor)


def repair_store(store: Store, findings: list[Message], *, actor: Actor = SYSTEM) -> bool:
    """Put right what was found different from what is wanted. False: somebody is at it already.

    The store stays ready: customers buy in it meanwhile.
    """
    with transaction.atomic():
        ready = Store.objects.filter(pk=store.pk, status=Status.READY).select_for_update().first()
        if ready is None or ready.operations.open().exists():
            return False
        found = [finding.as_json() for finding in findings]
        Store.objects.filter(pk=store.pk).update(**AFRESH, revision=F("revision") + 1)
        begin(ready, Operation.Kind.REPAIR, actor, {"findings": found}, findings=found)
    return True


def ask_repair(store: Store, *, actor: Actor) -> None:
    """Have a whole pass over a ready store that stays ready, although nothing was found different."""
    store.refresh_from_db()
    require(store, Status.READY, _("Only a ready store can be repaired; this one is %s."))
    with transaction.atomic():
        rules.hold(store, Right.REFRESH, actor)
        begun = repair_store(store, [Message("repair-asked")], actor=actor)
    if not begun:
        raise IllegalTransition(_("Somebody is working on this store already. Look again soon."))


def delete_store(store: Store, *, actor: Actor, now: bool = False) -> None:
    """Close the store, and remove it with everything in it when the grace period is over.

    ``now``: at once, without the grace period. Asking again changes nothing but that.
    """
    store.refresh_from_db()
    if store.status in (Status.DELETING, Status.DELETED):
        return
    if store.status == Status.CLOSING:
        if now:
            skip_grace(store, actor=actor)
        return
    at_once = now or settings.GRACE_SECONDS <= 0
    closes_at = None if at_once else Now() + timedelta(seconds=settings.GRACE_SECONDS)
    with transaction.atomic():
        rules.hold(store, Right.SKIP_GRACE if now else Right.DELETE, actor)
        store.move_to(
            Status.DELETING if at_once else Status.CLOSING,
            actor=actor,
            closes_at=closes_at,
            **AFRESH,
        )
        supersede(store)
        begin(store, Operation.Kind.DELETE, actor, {"grace": not at_once})


def skip_grace(store: Store, *, actor: Actor) -> None:
    """Do not wait for the end of the grace period. The deletion's operation goes on."""
    store.refresh_from_db()
    rule = _("Only a store that is being closed already can be deleted at once; this one is %s.")
    require(store, Status.CLOSING, rule)
    with transaction.atomic():
        rules.hold(store, Right.SKIP_GRACE, actor)
        store.move_to(Status.DELETING, actor=actor, closes_at=None, **AFRESH)
        AuditEvent.record("store.skip_grace", actor=actor, store=store, details=actor.why)
        queue.ring(store.pk)
        store.refresh_from_db()


def undo_delete(store: Store, *, actor: Actor) -> None:
    """Have a store back that is being closed: it is set up again around its data."""
    store.refresh_from_db()
    rule = _("Only a store that is being closed can be had back; this one is %s.")
    require(store, Status.CLOSING, rule)
    with transaction.atomic():
        rules.hold(store, Right.UNDO, actor)
        # Not a new generation: what runs goes on running.
        store.move_to(Status.REQUESTED, actor=actor, closes_at=None, **AFRESH)
        supersede(store, Message("undone"))
        begin(store, Operation.Kind.UNDO, actor)


def release_slot(store: Store, reason: str, *, actor: Actor) -> None:
    """Give the owner's place back while the removal of the store hangs. The rest goes on."""
    reason = clean_reason(reason)
    store.refresh_from_db()
    if store.status != Status.DELETING or store.slot is None:
        raise IllegalTransition(
            _("Only the place of a store that is being deleted can be released, and only once.")
        )
    with transaction.atomic():
        released = Store.objects.filter(
            pk=store.pk, status=Status.DELETING, slot__isnull=False
        ).update(slot=None, revision=F("revision") + 1)
        if not released:
            raise StaleStore(f"{store.pk} has changed")
        AuditEvent.record(
            "store.release_slot", actor=actor, store=store, details={"reason": reason}
        )
    store.refresh_from_db()


def pause_provisioning(reason: str, *, actor: Actor) -> Pause:
    """Set up and change no store until it is resumed. Nothing fails meanwhile; deletions go on."""
    reason = clean_reason(reason)
    with transaction.atomic():
        pause, _created = Pause.objects.update_or_create(
            pk=1, defaults={"since": Now(), "reason": reason, "actor_name": actor.name}
        )
        AuditEvent.record("platform.pause", actor=actor, details={"reason": reason})
    pause.refresh_from_db()
    return pause


def resume_provisioning(*, actor: Actor) -> None:
    """Go on, and wake every store that waited."""
    with transaction.atomic():
        if not Pause.objects.filter(pk=1).delete()[0]:
            raise IllegalTransition(_("Provisioning is not paused."))
        # Rows before the audit head, as in every other transaction: in another order, this one and
        # somebody who moves one of the stores would wait for each other.
        for store_id in Store.objects.under_way().order_by("pk").values_list("pk", flat=True):
            queue.ring(store_id)
        AuditEvent.record("platform.resume", actor=actor)


def clean_reason(text: str) -> str:
    reason = " ".join(text.split())
    if "@" in reason:
        # Others read it, and the audit trail keeps it for ever.
        raise Refused(_("Name nobody in the reason, and no e-mail address."), field="reason")
    if not reason:
        raise Refused(_("Give a reason: others read it."), field="reason")
    if len(reason) > REASON_MAX:
        said = _("The reason has %(there)s characters; at most %(most)s are possible.")
        raise Refused(said % {"there": len(reason), "most": REASON_MAX}, field="reason")
    return reason


def set_quota(user: User, max_stores: int, *, actor: Actor) -> None:
    """How many stores the user may have. Lowering it below what exists takes nothing away."""
    if not 0 <= max_stores <= MAX_STORES_LIMIT:
        said = _("The quota must be between 0 and %(most)s, not %(asked)s.")
        raise Refused(said % {"most": MAX_STORES_LIMIT, "asked": max_stores}, field="max_stores")
    with transaction.atomic():
        user = User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if user.max_stores == max_stores:
            return
        AuditEvent.record(
            "user.set_quota",
            actor=actor,
            details={
                "user": user.pseudonym,
                "from": user.max_stores,
                "to": max_stores,
                **actor.why,
            },
        )
        User.objects.filter(pk=user.pk).update(max_stores=max_stores)


def supersede(store: Store, message: Message = SUPERSEDED) -> None:
    """End what was asked for before."""
    store.operations.open().update(
        finished_at=Now(), outcome=Operation.Outcome.SUPERSEDED, message=message.as_json()
    )


def begin(
    store: Store,
    kind: Operation.Kind,
    actor: Actor,
    details: dict[str, Any] | None = None,
    **fields: Any,
) -> None:
    Operation.objects.create(store=store, kind=kind, actor=actor.user, **fields)
    said = {**(details or {}), **actor.why}
    AuditEvent.record(f"store.ask_{kind}", actor=actor, store=store, details=said)
    limits.keep(f"store.ask_{kind}", actor)
    queue.ring(store.pk)
    store.refresh_from_db()


def require(store: Store, status: Status, rule: str) -> None:
    """The one status from which something is possible. Raises IllegalTransition."""
    if store.status != status:
        raise IllegalTransition(rule % store.get_status_display().lower())


def clean_engine(code: str) -> str:
    if code not in Store.Engine.values:
        known = ", ".join(Store.Engine.values)
        said = _("There is no engine “%(code)s”. Choose one of: %(known)s.")
        raise Refused(said % {"code": code, "known": known}, field="engine")
    return code


def suggested_address(name: str) -> str:
    if address := names.suggest_address(name):
        return address
    said = _("No address can be made from this name. Choose one: %(rule)s")
    raise Refused(said % {"rule": names.ADDRESS_RULE}, field="address")


def free_slot(owner: User) -> int:
    """The lowest free place in the owner's quota. Raises QuotaExceeded."""
    if owner.max_stores == 0:
        raise QuotaExceeded(_("Your account may not create stores. Ask support for a quota."))
    taken = set(owner.stores.counted().values_list("slot", flat=True))
    if len(taken) >= owner.max_stores:
        said = _(
            "You have %(used)s of %(most)s stores. Delete one you no longer need, or ask support "
            "for a larger quota."
        )
        raise QuotaExceeded(said % {"used": len(taken), "most": owner.max_stores})
    return next(slot for slot in range(len(taken) + 1) if slot not in taken)


def check_platform_limit() -> None:
    if Store.objects.existing().count() >= settings.MAX_STORES_TOTAL:
        raise QuotaExceeded(
            _("The platform is full at the moment. Try again later, or ask support to make room.")
        )


def check_address_is_free(address: str, owner: User) -> None:
    """Nobody has the address, and nobody else had it recently. Raises Refused."""
    holders = Store.objects.filter(address=address)
    held_since = timezone.now() - timedelta(days=settings.ADDRESS_HOLD_DAYS)
    taken = holders.existing().exists()
    held = holders.filter(status=Status.DELETED, deleted_at__gt=held_since).exclude(owner=owner)
    # One sentence for both: whose it is, or was, is nobody's business.
    if taken or held.exists():
        said = _("The address “%s” is taken. Choose another one.")
        raise Refused(said % address, field="address")
