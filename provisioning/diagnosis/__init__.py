"""Why a store does not get up, or does not go: an ordered table of rules over what the cluster shows.

Each rule is a pure function of ``Cluster.evidence`` (with what was said to us, and what is waited
for); the first that finds its cause says it. To add one: a rule, its sentence in
``stores/messages.py``, its place in ``RULES``, and a test that makes the situation on a real cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from provisioning import redaction
from provisioning.diagnosis import (
    address,
    admission,
    control_plane,
    leaving,
    release,
    running,
    scheduling,
    storage,
)
from provisioning.diagnosis.finding import Action, Class, Diagnosis, Evidence, Move, of
from provisioning.diagnosis.keeping import facts, kept
from stores.messages import Message

__all__ = [
    "RULES",
    "Action",
    "Class",
    "Diagnosis",
    "Evidence",
    "Move",
    "diagnose",
    "kept",
    "of",
    "unknown",
]
Rule = Callable[[Evidence], Diagnosis | None]
MOST_LINES = 8
REASON = 400

RULES: tuple[Rule, ...] = (
    # Is it going at all?
    leaving.addon_down,
    leaving.namespace_stuck,
    leaving.removal_silent,
    # May its pods be made?
    admission.quota_exceeded,
    admission.limit_unnamed,
    admission.limit_exceeded,
    admission.pod_security_refuses,
    admission.account_missing,
    release.webhook_denies,
    release.webhook_fails,
    admission.pods_refused,
    # Have they a disk, and a machine?
    storage.storage_class_missing,
    storage.volume_refused,
    storage.volume_slow,
    scheduling.no_room,
    scheduling.no_matching_node,
    scheduling.node_lost,
    # Do they run? First what runs itself: the first containers of others mostly wait for it.
    running.image_unavailable,
    running.cannot_be_made,
    running.out_of_memory,
    running.crash_loop,
    running.setup_failed,
    running.init_failed,
    running.probe_fails,
    # Does anybody make what was asked for?
    control_plane.scheduler_silent,
    control_plane.controllers_silent,
    # All runs; does its address answer?
    address.address_unresolved,
    address.certificate_missing,
    # The words of Helm and of the API come last: they tell of the end, seldom of the cause.
    release.foreign_object,
    release.immutable_field,
    release.release_locked,
    release.rights_revoked,
    control_plane.api_throttled,
    control_plane.api_unreachable,
)
# What is left in a namespace on its way out is no cause of anything.
STILL_OF_INTEREST = ("namespace", "now", "said", "waiting", "leases")


def diagnose(evidence: Evidence) -> Diagnosis | None:
    """The cause that the cluster shows; None if it shows none."""
    if leaving.leaving(evidence):
        evidence = {key: evidence.get(key) for key in STILL_OF_INTEREST}
    for rule in RULES:
        if found := rule(evidence):
            return fit_to_be_kept(found)
    return None


def unknown(evidence: Evidence, cause: Message | None = None) -> Diagnosis:
    """For when no rule finds a cause and yet the time is up: says so, and shows the raw facts."""
    waiting = evidence.get("waiting") or {}
    if cause is None:
        said = Message.from_json(waiting) if waiting else Message("nothing-special")
        cause = Message("unexplained", {"waiting": said.as_json()})
    lines = tuple(facts(evidence))
    return fit_to_be_kept(Diagnosis(cause, "unknown", "support", "contact", lines))


def fit_to_be_kept(found: Diagnosis) -> Diagnosis:
    """Whatever the cluster wrote, redacted and cut."""
    cause = Message(found.cause.code, redaction.clean(found.cause.params, REASON))
    lines = tuple(line for line in map(redaction.one_line, found.lines) if line)
    return replace(found, cause=cause, lines=lines[:MOST_LINES])
