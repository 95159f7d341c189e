"""All runs, and yet the shop's address does not answer."""

from __future__ import annotations

import re

from provisioning.diagnosis.finding import Diagnosis, Evidence
from stores.messages import Message

UNRESOLVED = re.compile(
    r"name or service not known|no address associated|nodename nor servname|name resolution"
    r"|name does not resolve|Errno -[235]\b",
    re.IGNORECASE,
)
CERTIFICATE = re.compile(
    r"certificate|CERTIFICATE_VERIFY_FAILED|TLSV1_UNRECOGNIZED_NAME", re.IGNORECASE
)


def silence(evidence: Evidence) -> tuple[str, str]:
    """(address, why it does not answer); empty where it was not asked, or answered."""
    if reason := evidence.get("storefront"):
        return str((evidence.get("waiting") or {}).get("params", {}).get("url", "")), str(reason)
    waiting = evidence.get("waiting") or {}
    if waiting.get("code") == "storefront-silent":
        return str(waiting["params"].get("url", "")), str(waiting["params"].get("reason", ""))
    return "", ""


def address_unresolved(evidence: Evidence) -> Diagnosis | None:
    return about_address(evidence, UNRESOLVED, "address-unresolved")


def certificate_missing(evidence: Evidence) -> Diagnosis | None:
    return about_address(evidence, CERTIFICATE, "certificate-missing")


def about_address(evidence: Evidence, words: re.Pattern[str], code: str) -> Diagnosis | None:
    url, reason = silence(evidence)
    if not words.search(reason):
        return None
    line = f"{url or 'The address'} was asked: {reason}"
    cause = Message(code, {"url": url or "of the shop"})
    return Diagnosis(cause, "cluster", "platform", "", (line,))
