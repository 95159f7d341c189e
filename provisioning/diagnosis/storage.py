"""Disks that do not come to be."""

from __future__ import annotations

from provisioning.diagnosis.facts import age, clock, events_about, items, name_of
from provisioning.diagnosis.finding import Diagnosis, Evidence, Object
from stores.messages import Message

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
SLOW_SECONDS = 60.0
NO_CLASS = ("no storage class is set", "storageclass.storage.k8s.io")
WAITS_FOR_POD = "WaitForFirstConsumer"


def pending(evidence: Evidence) -> list[Object]:
    return [
        claim
        for claim in items(evidence, "claims")
        if claim.get("status", {}).get("phase") != "Bound"
        and "deletionTimestamp" not in claim["metadata"]
    ]


def class_of(evidence: Evidence, claim: Object) -> Object | None:
    wanted = claim.get("spec", {}).get("storageClassName")
    for each in items(evidence, "storageclasses"):
        if name_of(each) == wanted or (wanted is None and is_default(each)):
            return each
    return None


def is_default(storage_class: Object) -> bool:
    annotations = storage_class["metadata"].get("annotations") or {}
    return bool(annotations.get(DEFAULT_CLASS) == "true")


def has_no_class(evidence: Evidence, claim: Object, said: str) -> bool:
    spec = claim.get("spec", {})
    if spec.get("volumeName") or spec.get("storageClassName") == "":
        return False  # it asks for a disk that is there already
    if evidence.get("storageclasses") is not None:
        return class_of(evidence, claim) is None
    return NO_CLASS[0] in said or (NO_CLASS[1] in said and "not found" in said)


def storage_class_missing(evidence: Evidence) -> Diagnosis | None:
    for claim in pending(evidence):
        name = name_of(claim)
        events = events_of(evidence, claim)
        if has_no_class(evidence, claim, " ".join(events)):
            wanted = claim.get("spec", {}).get("storageClassName")
            known = ", ".join(map(name_of, items(evidence, "storageclasses"))) or "none"
            line = f"Disk {name}: class {wanted or '(the default one)'} is asked for; there are: {known}"
            cause = Message("storage-class-missing", {"name": name})
            return Diagnosis(cause, "cluster", "platform", "", (line, *events))
    return None


def volume_refused(evidence: Evidence) -> Diagnosis | None:
    for claim in pending(evidence):
        for event in items(evidence, "events"):
            about = event.get("involvedObject") or {}
            if (
                event.get("reason") in ("FailedBinding", "ProvisioningFailed")
                and about.get("kind") == "PersistentVolumeClaim"
                and about.get("name") == name_of(claim)
            ):
                reason = (event.get("message") or "").strip()
                cause = Message("volume-refused", {"name": name_of(claim), "reason": reason})
                lines = events_of(evidence, claim)
                return Diagnosis(cause, "workload", "platform", "retry", lines)
    return None


def volume_slow(evidence: Evidence) -> Diagnosis | None:
    """Asked for long ago, and whoever makes disks says nothing."""
    for claim in pending(evidence):
        if age(evidence, claim) > SLOW_SECONDS and not waits_for_a_pod(evidence, claim):
            name = name_of(claim)
            made_by = (class_of(evidence, claim) or {}).get("provisioner", "unknown")
            asked = clock(claim["metadata"]["creationTimestamp"])
            line = f"Disk {name}: asked for at {asked}, to be made by {made_by}"
            cause = Message("volume-slow", {"name": name})
            lines = (line, *events_of(evidence, claim))
            return Diagnosis(cause, "cluster", "platform", "", lines)
    return None


def waits_for_a_pod(evidence: Evidence, claim: Object) -> bool:
    """Such a disk is made where its first pod is going to run: until then waiting is right."""
    storage_class = class_of(evidence, claim)
    if storage_class is None or storage_class.get("volumeBindingMode") != WAITS_FOR_POD:
        return False
    return SELECTED_NODE not in (claim["metadata"].get("annotations") or {})


def events_of(evidence: Evidence, claim: Object) -> tuple[str, ...]:
    return events_about(evidence, "PersistentVolumeClaim", name_of(claim))
