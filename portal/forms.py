"""What people type. A form cleans it and remembers it; whether it may happen, services decide."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from stores import names, plans, services
from stores.errors import Refused
from stores.models import Store


def checked(clean: Callable[[str], str], text: str) -> str:
    """``clean``'s answer; its refusal becomes the error of a form field."""
    try:
        return clean(text)
    except Refused as refused:
        raise forms.ValidationError(str(refused)) from refused


def typed_exactly() -> forms.TextInput:
    """For what a browser must neither complete nor better."""
    return forms.TextInput(
        attrs={
            "class": "form-control form-control-lg",
            "autocapitalize": "none",
            "autocomplete": "off",
            "spellcheck": "false",
        }
    )


class StoreForm(forms.Form):
    first_error = ""

    # Nothing is stripped: the rules of names look at what was really typed.
    name = forms.CharField(
        label=_("Name"),
        required=False,
        strip=False,
        help_text=format_lazy(
            _("What customers call your store. Up to {most} characters, any language."),
            most=names.NAME_MAX,
        ),
        widget=forms.TextInput(
            attrs={"class": "form-control form-control-lg", "autocomplete": "off"}
        ),
    )
    address = forms.CharField(
        label=_("Address"),
        required=False,
        strip=False,
        help_text=format_lazy(
            "{rule} {otherwise}",
            rule=names.ADDRESS_RULE,
            otherwise=_("Leave it empty to make it from the name. It cannot be changed later."),
        ),
        widget=typed_exactly(),
    )
    plan = forms.CharField(required=False, initial=plans.DEFAULT_PLAN)
    engine = forms.CharField(required=False, initial=Store.Engine.WOOCOMMERCE)
    # Made with the form and sent with it: the same form sent twice makes one store.
    idempotency_key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    @classmethod
    def fresh(cls) -> StoreForm:
        form = cls(initial={"idempotency_key": uuid.uuid4().hex})
        form.start_at("name")
        return form

    def clean_name(self) -> str:
        return checked(names.clean_name, self.cleaned_data["name"])

    def clean_address(self) -> str:
        address = self.cleaned_data["address"]
        return checked(names.clean_address, address) if address else ""

    def clean_plan(self) -> str:
        return checked(plans.clean_plan, self.cleaned_data["plan"])

    def clean_engine(self) -> str:
        # While there is one, nobody has to name it.
        asked = self.cleaned_data["engine"] or str(Store.Engine.WOOCOMMERCE)
        return checked(services.clean_engine, asked)

    def start_at(self, field: str) -> None:
        """Where the cursor is when the page opens."""
        self.fields[field].widget.attrs["autofocus"] = True

    def start_at_first_error(self) -> None:
        """The choices are no widgets of the form's: their template asks ``first_error``."""
        wrong = [field for field in self.fields if field in self.errors]
        self.first_error = wrong[0] if wrong else ""
        if wrong:
            self.start_at(wrong[0])

    def refuse(self, refused: Refused) -> None:
        """Show a service's refusal at the field it is about, or above the form."""
        self.add_error(refused.field if refused.field in self.fields else None, str(refused))
