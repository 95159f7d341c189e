"""How the pages about accounts look: allauth's forms in our dress, and the way between the pages."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.conf import settings
from django.forms import BoundField
from django.forms.widgets import CheckboxInput, RadioSelect, Select
from django.template import Context
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import invitations

register = template.Library()

# Route -> its name in the list, and which other routes belong to it.
PAGES = (
    ("account", _("Profile"), ()),
    ("account_email", _("E-mail"), ()),
    ("account_change_password", _("Password"), ("account_set_password",)),
    ("mfa_index", _("Second factor"), ("mfa_",)),
    ("usersessions_list", _("Where you are logged in"), ()),
    ("account-notifications", _("Letters to you"), ()),
    ("account-close", _("Close the account"), ()),
)


@dataclass(frozen=True)
class Page:
    name: str
    url: str
    current: bool


@register.simple_tag(takes_context=True)
def account_pages(context: Context) -> list[Page]:
    here = context["request"].resolver_match.view_name
    return [
        Page(str(name), reverse(route), here == route or here.startswith(also or ("-",)))
        for route, name, also in PAGES
    ]


@register.simple_tag
def invitation_path(email: str) -> str:
    """Made when the letter is sent, and kept nowhere."""
    return invitations.path_of(email)


@register.simple_tag
def sign_up_path(email: str) -> str:
    """As ``invitation_path``; empty where nobody makes an account by themself."""
    return "" if settings.SIGNUP == "closed" else invitations.path_of(email)


@register.filter
def look(field: BoundField) -> SafeString:
    """The widget with our classes, and without the placeholder: the label says it already."""
    widget = field.field.widget
    widget.attrs.pop("placeholder", None)
    if isinstance(widget, CheckboxInput | RadioSelect):
        look = "form-check-input"
    elif isinstance(widget, Select):
        look = "form-select"
    else:
        look = "form-control form-control-lg"
    return field.as_widget(attrs={"class": look})


@register.filter
def browser(user_agent: str) -> str:
    """In words people know: which browser, on what. What it says of itself may be anything."""
    names = (("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrom", "Chrome"))
    names += (("Safari/", "Safari"),)
    systems = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"))
    systems += (("Windows", "Windows"), ("Mac OS", "macOS"), ("Linux", "Linux"))
    which = next((name for sign, name in names if sign in user_agent), "")
    system = next((name for sign, name in systems if sign in user_agent), "")
    if which and system:
        return gettext("%(browser)s on %(system)s") % {"browser": which, "system": system}
    return which or user_agent[:40] or gettext("A program that does not say what it is")
