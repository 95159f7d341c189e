"""What people type. A form cleans it and remembers it; whether it may happen, services decide."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from django import forms

from stores import names, plans
from stores.errors import Refused


def checked(clean: Callable[[str], str], text: str) -> str:
    """``clean``'s answer; its refusal becomes the error of a form field."""
    try:
        return clean(text)
    except Refused as refused:
        raise forms.ValidationError(str(refused)) from refused


class StoreForm(forms.Form):
    # Nothing is stripped: the rules of names look at what was really typed.
    name = forms.CharField(
        required=False,
        strip=False,
        help_text=f"What customers call your store. Up to {names.NAME_MAX} characters, any language.",
        widget=forms.TextInput(attrs={"class": "form-control form-control-lg"}),
    )
    address = forms.CharField(
        required=False,
        strip=False,
        help_text=f"{names.ADDRESS_RULE} Leave it empty to make it from the name.",
        widget=forms.TextInput(
            attrs={
                "class": "form-control form-control-lg",
                "autocapitalize": "none",
                "autocomplete": "off",
                "spellcheck": "false",
            }
        ),
    )
    plan = forms.CharField(required=False, initial=plans.DEFAULT_PLAN)
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

    def start_at(self, field: str) -> None:
        """Where the cursor is when the page opens."""
        self.fields[field].widget.attrs["autofocus"] = True

    def start_at_first_error(self) -> None:
        if wrong := [field for field in ("name", "address") if field in self.errors]:
            self.start_at(wrong[0])

    def refuse(self, refused: Refused) -> None:
        """Show a service's refusal at the field it is about, or above the form."""
        self.add_error(refused.field if refused.field in self.fields else None, str(refused))
