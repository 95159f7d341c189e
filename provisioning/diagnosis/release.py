"""What Helm and the API server say to us when they refuse; what Helm's record says of a dead one."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from provisioning.diagnosis.admission import WEBHOOK, all_refusals
from provisioning.diagnosis.facts import age, clock, items, seconds_since
from provisioning.diagnosis.finding import Diagnosis, Evidence, Object
from stores.messages import Message

UNFINISHED = ("pending-install", "pending-upgrade", "pending-rollback", "uninstalling")
# Nobody's Helm is given so long.
ABANDONED_SECONDS = 600.0
# A right that was just given is not yet known everywhere.
RIGHTS_SECONDS = 30.0
IMMUTABLE = re.compile(
    r"field is immutable|updates to statefulset spec for fields other than"
    r"|spec is immutable after creation|may not change once set|field can not be less than previous",
    re.IGNORECASE,
)
FOREIGN = re.compile(
    r"(?:(\w+) \"([^\"]+)\" in namespace \"[^\"]*\" exists and )?cannot be imported into the current"
    r" release|invalid ownership metadata"
)
DENIED_BY_WEBHOOK = re.compile(r'admission webhook "([^"]+)" denied the request')
WEBHOOK_NAME = re.compile(r'webhook "([^"]+)"')
FORBIDDEN = re.compile(
    r"User \"[^\"]*\" cannot |attempting to grant RBAC permissions|HTTP 401|Unauthorized",
)


def said(evidence: Evidence) -> str:
    return str(evidence.get("said") or "")


def quoted(evidence: Evidence) -> tuple[str, ...]:
    return (f"The cluster said: {said(evidence)}",)


def webhook_fails(evidence: Evidence) -> Diagnosis | None:
    """A check that somebody has added to the cluster does not answer in time, or breaks."""
    for _, text, line in all_refusals(evidence):
        if WEBHOOK.search(text):
            cause = Message("webhook-silent", {"name": webhook_in(text)})
            return Diagnosis(cause, "cluster", "platform", "", (line,))
    return None


def webhook_denies(evidence: Evidence) -> Diagnosis | None:
    for name, text, line in all_refusals(evidence):
        if found := DENIED_BY_WEBHOOK.search(text):
            reason = text[found.end() :].strip(" :") or text
            cause = Message("webhook-denies", {"name": name, "check": found[1], "reason": reason})
            return Diagnosis(cause, "chart", "platform", "contact", (line,))
    return None


def webhook_in(text: str) -> str:
    found = WEBHOOK_NAME.search(text)
    return found[1] if found else "of the cluster"


def immutable_field(evidence: Evidence) -> Diagnosis | None:
    if IMMUTABLE.search(said(evidence)):
        named = re.search(r'(\w+)(?:\.\w+)* "([^"]+)"', said(evidence))
        part = f"{named[1]} {named[2]}" if named else "a part of the shop"
        cause = Message("needs-migration", {"name": part})
        return Diagnosis(cause, "chart", "support", "contact", quoted(evidence), at_once=True)
    return None


def foreign_object(evidence: Evidence) -> Diagnosis | None:
    if found := FOREIGN.search(said(evidence)):
        part = f"{found[1]} {found[2]}" if found[1] else "a part of the shop"
        cause = Message("foreign-object", {"name": part})
        return Diagnosis(cause, "chart", "support", "contact", quoted(evidence), at_once=True)
    return None


def release_locked(evidence: Evidence) -> Diagnosis | None:
    """Found again under the lease, and mended then: nobody has to do anything."""
    text = said(evidence)
    if "another operation" in text and "in progress" in text:
        return Diagnosis(Message("release-locked"), "portal", "nobody", "", quoted(evidence))
    for release in items(evidence, "releases")[-1:]:
        changed = changed_at(release)
        left_alone = seconds_since(evidence, changed) > ABANDONED_SECONDS
        if release.get("status") in UNFINISHED and left_alone:
            line = (
                f"Release {release.get('name')}, revision {release.get('version')}: "
                f"{release['status']} since {clock(changed)}"
            )
            return Diagnosis(Message("release-locked"), "portal", "nobody", "", (line,))
    return None


def changed_at(release: Object) -> str:
    """Helm writes the time of its last change as a label, in seconds since 1970; empty for none."""
    seconds = str(release.get("modifiedAt") or release.get("createdAt") or "")
    return datetime.fromtimestamp(int(seconds), UTC).isoformat() if seconds.isdigit() else ""


def rights_revoked(evidence: Evidence) -> Diagnosis | None:
    namespace = evidence.get("namespace")
    young = bool(namespace and evidence.get("now") and age(evidence, namespace) < RIGHTS_SECONDS)
    if FORBIDDEN.search(said(evidence)) and not young:
        return Diagnosis(Message("rights-revoked"), "portal", "platform", "", quoted(evidence))
    return None
