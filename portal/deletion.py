"""What a deletion destroys, and the confirmation it asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal.forms import typed_exactly
from provisioning.engines import ENGINES
from stores.models import Share, Store
from stores.permissions import Right, may, refusal

UNITS = {"Ki": "KiB", "Mi": "MiB", "Gi": "GiB", "Ti": "TiB"}


@dataclass(frozen=True)
class Disk:
    name: str
    size: str


@dataclass(frozen=True)
class Doomed:
    """What goes with the store; ``shares``: who can no longer see it. Who that is, only the owner
    may know, as on the page of its people.
    """

    disks: list[Disk]
    shares: list[Share]
    names_people: bool

    @classmethod
    def of(cls, store: Store) -> Doomed:
        shares = list(store.shares.select_related("user"))
        return cls(disks(store), shares, may(store.standing, Right.SHARE))


def disks(store: Store) -> list[Disk]:
    """None before the first is made. Sizes as the plan has them: the page cannot ask the cluster."""
    if not store.namespace_uid:
        return []
    wanted = ENGINES[store.engine].disks(store)
    names = sorted(store.volumes or wanted)
    return [Disk(name, in_words(wanted.get(name, ""))) for name in names]


def in_words(quantity: str) -> str:
    """``10Gi`` as ``10 GiB``."""
    number, unit = quantity[:-2], quantity[-2:]
    return f"{number} {UNITS[unit]}" if unit in UNITS else quantity


class DeleteForm(forms.Form):
    """The name confirms; the address too, since not every name can be typed on every keyboard."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        widget=typed_exactly(),
    )
    at_once = forms.BooleanField(
        label=gettext_lazy("Delete at once, without the grace period"),
        required=False,
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )

    def __init__(self, store: Store, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.store = store

    @property
    def grace_seconds(self) -> int:
        """How long the store can be had back; 0 for not at all."""
        return max(settings.GRACE_SECONDS, 0)

    @property
    def offers_at_once(self) -> bool:
        """Also where it was asked for in vain: the refusal stands beside it."""
        return self.grace_seconds > 0 and (
            may(self.store.standing, Right.SKIP_GRACE) or "at_once" in self.errors
        )

    @property
    def goes_at_once(self) -> bool:
        return self.grace_seconds == 0 or self.cleaned_data["at_once"]

    def clean_name(self) -> str:
        typed: str = self.cleaned_data["name"]
        if typed not in (self.store.name, self.store.address):
            raise forms.ValidationError(
                _(
                    "That is not this store's name. Type “%(name)s” to delete it, or its address, "
                    "“%(address)s”."
                )
                % {"name": self.store.name, "address": self.store.address}
            )
        return typed

    def clean_at_once(self) -> bool:
        at_once: bool = self.cleaned_data["at_once"]
        if at_once and (why_not := refusal(self.store.standing, Right.SKIP_GRACE)):
            raise forms.ValidationError(str(why_not))
        return at_once
