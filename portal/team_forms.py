"""What people type to share a store, hand it over, or let support in."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from stores.errors import Refused
from stores.models import Share

HOURS = (3, 12, 24, 72)


def text_input(**attributes: str) -> forms.TextInput:
    return forms.TextInput(attrs={"class": "form-control", **attributes})


def in_hours(hours: int) -> str:
    return ngettext("%(hours)s hour", "%(hours)s hours", hours) % {"hours": hours}


class TeamForm(forms.Form):
    """A service's refusal is shown at the field it is about, or above the form."""

    def refuse(self, refused: Refused) -> None:
        self.add_error(refused.field if refused.field in self.fields else None, str(refused))


class AddressForm(TeamForm):
    # Cleaned by the service, which says the rule.
    email = forms.CharField(
        label=_("E-mail address"),
        required=False,
        widget=text_input(inputmode="email", autocomplete="off", autocapitalize="none"),
    )


class ShareForm(AddressForm):
    role = forms.ChoiceField(
        label=_("What they may do"),
        choices=Share.Role.choices,
        initial=Share.Role.VIEWER,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )


class HandoverForm(AddressForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Two forms of one page both ask for an address.
        super().__init__(*args, **{"auto_id": "handover_%s", **kwargs})


class RoleForm(TeamForm):
    role = forms.ChoiceField(choices=Share.Role.choices)


class ConsentForm(TeamForm):
    hours = forms.TypedChoiceField(
        label=_("For how long"),
        coerce=int,
        initial=24,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["hours"].choices = [(hours, in_hours(hours)) for hours in HOURS]


class AskForm(TeamForm):
    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("The owner reads it, and decides by it."),
        required=False,
        widget=text_input(maxlength="300"),
    )
