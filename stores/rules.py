"""The one rule of who may do what with a store, asked inside the transaction that does it.

A page asks before it shows a button; by the time the button's request is done, the store may be
somebody else's. So each verb takes the store's row first and judges by what it then finds.
"""

from __future__ import annotations

from django.utils.translation import gettext as _

from stores.actor import Actor
from stores.errors import NotAllowed
from stores.models import Store, User
from stores.permissions import Right, may, refusal


def locked(store: Store) -> Store:
    """The row as it is now; whoever else changes who has to do with the store waits."""
    return Store.objects.select_for_update().get(pk=store.pk)


def held(store: Store, right: Right, actor: Actor) -> Store:
    """The row, locked, for somebody who may do that with it. Raises NotAllowed."""
    locked(store)
    return allowed(store, right, actor)


def hold(store: Store, right: Right, actor: Actor) -> None:
    """As ``held``, but the platform itself, commands and the team in the admin need no standing:
    whoever acts there answers for the platform, and what they do is audited with a reason.
    """
    locked(store)
    if not for_the_platform(actor):
        allowed(store, right, actor)


def for_the_platform(actor: Actor) -> bool:
    if actor.user is None:
        return not actor.stranger
    return actor.via == "admin" and actor.user.is_staff


def allowed(store: Store, right: Right, actor: Actor) -> Store:
    """The store as it is now, with ``standing``. Raises NotAllowed."""
    found = Store.objects.find(store.pk, person_of(actor))
    if found is None:
        raise NotAllowed(_("There is no such store."))
    if not may(found.standing, right):
        raise NotAllowed(str(refusal(found.standing, right)))
    return found


def person_of(actor: Actor) -> User:
    if actor.user is None or not actor.user.is_active:
        raise NotAllowed(_("Only a person with an account can do that."))
    return actor.user


def present(actor: Actor) -> User:
    """The person as they are now, their row locked: who was deactivated, or has closed the account,
    since their request began, gets nothing any more.
    """
    person = User.objects.select_for_update(no_key=True).get(pk=person_of(actor).pk)
    if not person.is_active:
        raise NotAllowed(_("Only a person with an account can do that."))
    return person
