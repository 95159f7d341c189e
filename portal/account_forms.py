"""What people type about their account, where allauth's own forms are not enough."""

from __future__ import annotations

import zoneinfo
from functools import cache
from typing import Any

from allauth.account import forms as allauth
from allauth.core import context
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from portal import invitations
from stores.models import User


class LoginForm(allauth.LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        login = self.fields["login"]
        login.label = gettext_lazy("E-mail or user name")
        login.widget.attrs |= {
            "autocomplete": "username",
            "autocapitalize": "none",
            "spellcheck": "false",
            "autofocus": True,
        }


class SignupForm(allauth.SignupForm):
    """Whoever was invited signs up with the address that the invitation went to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.invited = invitations.invited(context.request)
        if self.invited:
            self.fields["email"].initial = self.invited

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"]
        if settings.SIGNUP == "invitation" and email != self.invited:
            raise forms.ValidationError(
                _("Your invitation is for %(email)s: use that address, you can change it later.")
                % {"email": self.invited}
            )
        return str(super().clean_email())

    def try_save(self, request: HttpRequest) -> tuple[User | None, HttpResponse | None]:
        if self.account_already_exists:
            # As for a new one: or else the time would tell.
            make_password(self.cleaned_data["password1"])
        return super().try_save(request)


class AddKeyForm(AddWebAuthnForm):
    """A key in this device that does without a password, unless somebody wants less."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].help_text = _("For you, to tell your keys apart.")
        passwordless = self.fields["passwordless"]
        passwordless.label = _("Passwordless: let me in with this key alone")
        passwordless.help_text = _("The device asks for your finger, your face or its PIN instead.")
        passwordless.initial = True


@cache
def time_zones() -> list[tuple[str, str]]:
    """Those with a place in their name; the others are for machines."""
    places = sorted(name for name in zoneinfo.available_timezones() if "/" in name)
    return [("UTC", "UTC"), *((name, name.replace("_", " ")) for name in places)]


class ProfileForm(forms.ModelForm):
    time_zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        required=False,
        choices=lambda: [("", gettext_lazy("As the platform (UTC)")), *time_zones()],
    )
    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        required=False,
        choices=lambda: [("", gettext_lazy("As the browser asks for")), *settings.LANGUAGES],
    )

    class Meta:
        model = User
        fields = ("first_name", "last_name", "language", "time_zone")
        labels = {
            "first_name": gettext_lazy("First name"),
            "last_name": gettext_lazy("Last name"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field, filled_in_by in (("first_name", "given-name"), ("last_name", "family-name")):
            self.fields[field].widget.attrs["autocomplete"] = filled_in_by


class NotificationsForm(forms.ModelForm):
    class Meta:
        model = User
        fields = ("mail_ready", "mail_failed", "mail_degraded")
        labels = {
            "mail_ready": gettext_lazy("When a store is ready"),
            "mail_failed": gettext_lazy("When a store could not be finished"),
            "mail_degraded": gettext_lazy("When a shop is unwell for long"),
        }


class CloseForm(forms.Form):
    sure = forms.BooleanField(
        label=gettext_lazy("Close my account and erase what names me"),
        error_messages={"required": gettext_lazy("Tick this to close the account.")},
    )
