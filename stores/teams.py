"""Who else works with a store: its owner shares it, hands it over, and lets nobody else do so.

An invitation or an offer goes to an e-mail address, whether anybody has an account with it or not, and
the answer is the same: so nobody finds out who has one. It can be accepted by a person whose verified
address that is; which addresses those are, the caller says (``addresses``).

Locks: the new owner's row, then the store's, then the audit head, as everywhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import CharField, F, Q, QuerySet, Value
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from stores import letters, limits, queue, services
from stores.actor import Actor
from stores.audit import AuditEvent
from stores.errors import Refused
from stores.lifecycle import Status
from stores.models import Handover, Share, Store, User
from stores.permissions import Right
from stores.rules import held, locked, present
from stores.sharing import INVITATION_LASTS

MAX_SHARES = 20
EMAIL_MAX = 254


# --- Sharing -----------------------------------------------------------------------------


def share_store(store: Store, email: str, role: str, *, actor: Actor) -> Share:
    """Invite whoever has this address. Asked again: a new letter, or another role."""
    email, role = clean_email(email, actor), clean_role(role)
    with transaction.atomic():
        store = held(store, Right.SHARE, actor)
        require_life(store)
        share = store.shares.filter(email=email).first()
        if share is None:
            check_room(store)
            share = Share(store=store, email=email)
        elif share.user_id:
            change(share, role, actor)
            return share
        share.role = role
        share.save()
        Share.objects.filter(pk=share.pk).update(invited_at=Now())
        tell("store.share", store, actor, share=str(share.pk), role=role)
        letters.write("share-invitation", email, store=store, role=role)
    return share


def change_role(share: Share, role: str, *, actor: Actor) -> None:
    role = clean_role(role)
    with transaction.atomic():
        held(share.store, Right.SHARE, actor)
        change(current(share), role, actor)


def change(share: Share, role: str, actor: Actor) -> None:
    if share.role == role:
        return
    before, share.role = share.role, role
    share.save(update_fields=["role"])
    details = {"share": str(share.pk), "from": before, "to": role}
    tell("store.change_role", share.store, actor, **details)


def withdraw_share(share: Share, *, actor: Actor) -> None:
    """By the owner; whoever it is shared with may leave by themself."""
    with transaction.atomic():
        leaves = actor.user is not None and share.user_id == actor.user.pk
        store = held(share.store, Right.SEE if leaves else Right.SHARE, actor)
        share = current(share)
        end(share)
        action = "store.leave" if leaves else "store.withdraw_share"
        tell(action, store, actor, **whose(share))


def accept_share(share: Share, addresses: Collection[str], *, actor: Actor) -> Store:
    """Raises Refused. An earlier share of the same person, by another address, is replaced."""
    with transaction.atomic():
        person = present(actor)
        store = locked(share.store)
        share = open_invitation(Share.objects.filter(pk=share.pk), addresses)
        if store.owner_id == person.pk:
            raise Refused(_("This store is yours already."))
        store.shares.filter(user=person).delete()
        Share.objects.filter(pk=share.pk).update(user=person, accepted_at=Now())
        tell("store.accept_share", store, actor, share=str(share.pk), role=share.role)
    return store


def decline_share(share: Share, addresses: Collection[str], *, actor: Actor) -> None:
    with transaction.atomic():
        store = locked(share.store)
        share = open_invitation(Share.objects.filter(pk=share.pk), addresses)
        end(share)
        tell("store.decline_share", store, actor, share=str(share.pk), role=share.role)


def end(share: Share) -> None:
    Share.objects.filter(pk=share.pk).delete()


def current(share: Share) -> Share:
    """As it is now, while its store is held."""
    found = Share.objects.select_related("user", "store").filter(pk=share.pk).first()
    if found is None:
        raise Refused(_("This store is not shared with them any more."))
    return found


def whose(share: Share) -> dict[str, str]:
    """For the audit trail, which names nobody."""
    person = {"user": share.user.pseudonym} if share.user else {}
    return {"share": str(share.pk), "role": share.role, **person}


def check_room(store: Store) -> None:
    if store.shares.count() >= MAX_SHARES:
        raise Refused(
            _(
                "A store can be shared with %(count)s people at most. Remove somebody who no longer "
                "needs it."
            )
            % {"count": MAX_SHARES},
            field="email",
        )


# --- Handing over ------------------------------------------------------------------------


def offer_handover(store: Store, email: str, *, actor: Actor) -> Handover:
    """Offer the store to whoever has this address; an earlier offer to somebody else ends."""
    email = clean_email(email, actor)
    with transaction.atomic():
        store = held(store, Right.HAND_OVER, actor)
        require_life(store)
        Handover.objects.filter(store=store).delete()
        handover = Handover.objects.create(store=store, email=email)
        tell("store.offer_handover", store, actor, handover=str(handover.pk))
        letters.write("handover-offer", email, store=store)
    return handover


def withdraw_handover(store: Store, *, actor: Actor) -> None:
    with transaction.atomic():
        store = held(store, Right.HAND_OVER, actor)
        if not Handover.objects.filter(store=store).delete()[0]:
            raise Refused(_("There is no offer any more: it was accepted, declined or withdrawn."))
        tell("store.withdraw_handover", store, actor)


def accept_handover(handover: Handover, addresses: Collection[str], *, actor: Actor) -> Store:
    """The store is the person's now, and takes a place in their quota. Raises Refused."""
    with transaction.atomic():
        # As in create_store: whoever takes another place for this person waits here.
        person = present(actor)
        store = locked(handover.store)
        handover = open_invitation(Handover.objects.filter(pk=handover.pk), addresses)
        require_life(store)
        if store.owner_id == person.pk:
            raise Refused(_("This store is yours already."))
        before = store.owner
        pass_on(store, person, services.free_slot(person), addresses)
        handover.delete()
        details = {"from": before.pseudonym, "to": person.pseudonym}
        tell("store.accept_handover", store, actor, **details)
        letters.write("handover-accepted", before, store=store)
        # What the cluster keeps of the owner is put right by a pass.
        queue.ring(store.pk)
    store.refresh_from_db()
    return store


def pass_on(store: Store, person: User, slot: int, addresses: Collection[str]) -> None:
    """Everybody it is shared with keeps it. What the owner before allowed support ends with them."""
    store.shares.filter(Q(user=person) | Q(email__in=addresses, user=None)).delete()
    store.consents.filter(revoked_at=None).update(revoked_at=Now())
    # The key was one of the other person's forms.
    Store.objects.filter(pk=store.pk).update(owner=person, slot=slot, idempotency_key="")


def decline_handover(handover: Handover, addresses: Collection[str], *, actor: Actor) -> None:
    with transaction.atomic():
        store = locked(handover.store)
        open_invitation(Handover.objects.filter(pk=handover.pk), addresses).delete()
        tell("store.decline_handover", store, actor)


# --- What waits for a person -------------------------------------------------------------


@dataclass(frozen=True)
class Invitation:
    """``kind``: share or handover. ``sender``: what the owner is known by."""

    kind: str
    pk: UUID
    role: str
    store_name: str
    sender: str
    at: datetime

    @property
    def role_name(self) -> str:
        return str(Share.Role(self.role).label) if self.role else ""


def invitations(addresses: Any) -> list[Invitation]:
    """What whoever has these addresses may accept, newest first. One query.

    ``addresses``: in small letters; a collection, or a query for one column.
    """
    shares = open_to(Share.objects.filter(user=None), addresses)
    offers = open_to(Handover.objects.all(), addresses)
    rows = told(shares, "share", F("role"), "invited_at").union(
        told(offers, "handover", Value("", CharField()), "offered_at"), all=True
    )
    found = [
        Invitation(kind, pk, role, name, email or username, at)
        for kind, pk, role, name, email, username, at in rows
    ]
    return sorted(found, key=lambda invitation: invitation.at, reverse=True)


def told(found: QuerySet[Any], kind: str, role: Any, at: str) -> QuerySet[Any]:
    columns = ("pk", "shown_role", "store__name", "store__owner__email", "store__owner__username")
    named = found.order_by().annotate(kind=Value(kind, CharField()), shown_role=role)
    rows: QuerySet[Any] = named.values_list("kind", *columns, at)
    return rows


def open_to(found: QuerySet[Any], addresses: Any) -> QuerySet[Any]:
    """Those that whoever has these addresses may still accept.

    Not those of an account that was deactivated: who knows who sent them.
    """
    since = Q(**{f"{'invited' if found.model is Share else 'offered'}_at__gt": oldest()})
    gone = Q(store__status__in=(Status.DELETING, Status.DELETED))
    waiting: QuerySet[Any] = found.filter(
        since, ~gone, email__in=addresses, store__owner__is_active=True
    )
    return waiting


def oldest() -> Any:
    return Now() - INVITATION_LASTS


def open_invitation(found: QuerySet[Any], addresses: Collection[str]) -> Any:
    """The one invitation or offer, for somebody who has its address. Raises Refused."""
    if found.model is Share:
        found = found.filter(user=None)
    if invitation := open_to(found, [address.lower() for address in addresses]).first():
        return invitation
    raise Refused(
        _("This invitation is no longer there. Ask whoever sent it to send it once more.")
    )


# --- Rules -------------------------------------------------------------------------------


def require_life(store: Store) -> None:
    if store.status == Status.CLOSING:
        raise Refused(_("This store is being closed. Once it is kept after all, this is possible."))
    if store.status in (Status.DELETING, Status.DELETED):
        raise Refused(_("This store is deleted: nobody can get it any more."))


def tell(action: str, store: Store, actor: Actor, **details: Any) -> None:
    """Audit it, count it, and have open pages show it."""
    AuditEvent.record(action, actor=actor, store=store, details=details)
    limits.keep(action, actor)
    Store.objects.filter(pk=store.pk).update(revision=F("revision") + 1)


def clean_email(text: str, actor: Actor) -> str:
    """In small letters. Raises Refused."""
    email = text.strip().lower()
    try:
        validate_email(email)
    except ValidationError as error:
        raise Refused(
            _("That is no e-mail address. It looks like this: name@example.com"), field="email"
        ) from error
    if len(email) > EMAIL_MAX:
        raise Refused(_("This e-mail address is too long."), field="email")
    if actor.user and email == actor.user.email.lower():
        raise Refused(_("That is your own address. Name the other person's."), field="email")
    return email


def clean_role(role: str) -> str:
    if role not in Share.Role.values:
        raise Refused(_("Choose one of the two roles."), field="role")
    return role
