"""Names: what a person may type, and what the cluster gets to see.

A store's display name is the owner's text and never becomes a name in the cluster. The address is
a DNS label the owner chooses; the namespace is made from it and from the store's id, so that it is
always valid and never used twice.
"""

import re
import unicodedata
from uuid import UUID

from django.utils.text import format_lazy, slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores.errors import Refused

NAME_MAX = 60
ADDRESS_MIN = 3
# "store-" + address + "-" + 6 hex digits: 53 characters, the length limit of a Helm release,
# below the 63 of a DNS label.
ADDRESS_MAX = 40
ADDRESS_RULE = format_lazy(
    gettext_lazy(
        "{least} to {most} characters: lower-case letters a–z, digits and single hyphens, beginning "
        "and ending with a letter or digit."
    ),
    least=ADDRESS_MIN,
    most=ADDRESS_MAX,
)
# Latin letters that do not come apart into a plain one and a mark.
PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ß": "ss"}
)
RESERVED = frozenset(
    """
    abuse account accounts admin administrator api app apps assets auth autoconfig autodiscover
    billing blog cdn cluster console contact dashboard default demo dev dns docs domain email ftp
    gateway git grafana health help hostmaster imap info ingress internal kube kubernetes
    legal localhost login logout mail mailer metrics monitor monitoring mx news node ns ns1 ns2
    oauth official ops payment payments phpmyadmin pop portal postmaster preview private prod
    production prometheus proxy public registry root secure security shop shops signin signup
    smtp ssh ssl staging static stats status store storeyard stores support sysadmin system test
    traefik vpn web webmail webmaster wiki wp www
    """.split()
)


def clean_name(text: str) -> str:
    """The display name, without the space around it. Any script, any punctuation, one line."""
    # Looked at before trimming: str.strip() would quietly take a newline off the end.
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in text):
        raise Refused(
            _("The name may not contain line breaks or control characters. Write it on one line."),
            field="name",
        )
    name = text.strip()
    if not name:
        raise Refused(
            _("The store needs a name. Type one, for example “Anna’s Ceramics”."), field="name"
        )
    if len(name) > NAME_MAX:
        said = _("The name has %(there)s characters; at most %(most)s are possible. Shorten it.")
        raise Refused(said % {"there": len(name), "most": NAME_MAX}, field="name")
    return name


def clean_address(text: str) -> str:
    """The address exactly as typed, if it follows the rule; never a corrected one."""
    if not text:
        said = _("The store needs an address: %(rule)s")
        raise Refused(said % {"rule": ADDRESS_RULE}, field="address")
    if len(text) < ADDRESS_MIN:
        said = _("“%(text)s” is too short for an address: %(rule)s")
        raise Refused(said % {"text": text, "rule": ADDRESS_RULE}, field="address")
    if len(text) > ADDRESS_MAX:
        said = _("The address has %(there)s characters; at most %(most)s are possible. Shorten it.")
        raise Refused(said % {"there": len(text), "most": ADDRESS_MAX}, field="address")
    if text.startswith("xn--") or "--" in text:
        raise Refused(
            _(
                "The address may not contain two hyphens in a row (nor begin with “xn--”): "
                "such addresses can imitate others. Use single hyphens."
            ),
            field="address",
        )
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", text):
        said = _("“%(text)s” cannot be an address: %(rule)s")
        if suggestion := suggest_address(text):
            said = _("“%(text)s” cannot be an address: %(rule)s For example: “%(example)s”.")
        told = {"text": text, "rule": ADDRESS_RULE, "example": suggestion}
        raise Refused(said % told, field="address")
    if text in RESERVED or text.startswith(("kube-", "openshift-")):
        said = _("“%(text)s” is reserved. Choose another address.")
        raise Refused(said % {"text": text}, field="address")
    return text


def suggest_address(name: str) -> str:
    """An address made from a name; empty where the name has nothing to make it from."""
    latin = name.casefold().translate(PLAIN_LETTERS)
    return re.sub(r"-+", "-", slugify(latin).replace("_", "-"))[:ADDRESS_MAX].strip("-")


def namespace_name(address: str, store_id: UUID) -> str:
    return f"store-{address}-{store_id.hex[:6]}"
