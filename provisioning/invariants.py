"""What holds at any moment, whoever was killed: I1 to I12, checked on rows and cluster alike.

``check`` may run on a live system: work under way is no violation, and neither is what changed
while it looked. After a fault test, when nobody works any more, ``settled`` asks for the end state.

I1  Live namespaces are those of stores that are not deleted, both ways, by uid.
I2  A store has one holder of its lease at most, and one open operation while it is worked on.
I3  Nobody has more stores than the quota allowed.
I4  No release is left in the middle of something for more than five minutes.
I5  A release has one deployed revision at most.
I6  A Secret that protects a volume is as old as the volume, and unchanged.
I7  An acknowledged request ends, with a reason where it failed, or is being worked on.
I8  Of a deleted store nothing is left.
I9  The guardrails were there before the first pod.
I10 The audit trail is whole, and every request is in it once.
I11 What a store's Secrets hold is nowhere in the database (provisioning/canary.py).
I12 A store that has been ready was never uninstalled.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, F, Q
from django.db.models.functions import Now

from provisioning import canary, manifests
from provisioning.cluster.base import Cluster, Manifest, SeenNamespace
from provisioning.engines import ENGINES, RELEASE_NAME
from provisioning.errors import NotYet
from stores import audit
from stores.lifecycle import Health, Status
from stores.models import AuditEvent, Operation, Pause, Store, User

UNFINISHED = {"pending-install", "pending-upgrade", "pending-rollback", "uninstalling"}
PATIENCE = timedelta(minutes=5)
# What the clocks of the database and of the cluster may differ by.
SKEW = timedelta(seconds=5)
PLAIN_KINDS = ("RoleBinding", "ResourceQuota", "LimitRange", "NetworkPolicy", "Pod")
DATA_KINDS = ("PersistentVolumeClaim",)


def check(cluster: Cluster, *, settled: bool = False) -> list[str]:
    """A sentence for each violation, beginning with its number; empty when all is well.

    With thousands of stores a look takes its time, and the end of it sees another moment than the
    beginning: on a live system only what a second look finds as well is a violation.
    """
    said = look_at_all(cluster, settled=settled)
    if not said or settled:
        return said
    again = {without_numbers(sentence) for sentence in look_at_all(cluster, settled=settled)}
    return [sentence for sentence in said if without_numbers(sentence) in again]


def without_numbers(sentence: str) -> str:
    """An age or a count may have moved between two looks."""
    return re.sub(r"\d+", "", sentence)


def look_at_all(cluster: Cluster, *, settled: bool) -> list[str]:
    said = list(whole_platform())
    seen = namespaces_by_store(cluster)
    marks: canary.Marks = {}
    for store in Store.objects.select_related("owner").iterator(chunk_size=500):
        look = Look(cluster, store, seen.pop(str(store.pk), []), settled)
        said += still_true(look, look.violations())
        marks |= look.marks()
    said += [
        f"I11: What the Secret {secret} holds is also in the table {table} of the database."
        for table, secret in canary.found(marks)
    ]
    said += [
        f"I1: The namespace {found.name} says that it belongs to the store {store_id}, of which "
        "there is no row. See adopt_stores and find_orphans."
        for store_id, namespaces in seen.items()
        for found in namespaces
        if not found.terminating and not row_exists(store_id)
    ]
    return said


def namespaces_by_store(cluster: Cluster) -> dict[str, list[SeenNamespace]]:
    found: dict[str, list[SeenNamespace]] = defaultdict(list)
    for seen in cluster.survey().namespaces:
        found[seen.store_id].append(seen)
    return found


def row_exists(store_id: str) -> bool:
    """One that was made after we began to look, too."""
    try:
        return Store.objects.filter(pk=UUID(store_id)).exists()
    except ValueError:
        return False


def still_true(look: Look, said: list[str]) -> list[str]:
    """What was found wrong, unless somebody changed the store while we looked."""
    if not said or look.settled:
        return said
    now = Store.objects.filter(pk=look.store.pk, fence=look.store.fence, status=look.store.status)
    return said if now.exists() else []


# --- What concerns all stores ------------------------------------------------------------


def whole_platform() -> Iterator[str]:
    yield from quotas()
    if broken := audit.verify():
        yield f"I10: {broken}"
    yield from requests_without_event()


def quotas() -> Iterator[str]:
    """I3. A quota that was lowered takes nothing away, so the highest there ever was counts."""
    held = Count("stores", filter=~Q(stores__slot=None))
    for user in User.objects.annotate(held=held).filter(held__gt=F("max_stores")):
        details = AuditEvent.objects.filter(
            action="user.set_quota", details__user=user.pseudonym
        ).values_list("details", flat=True)
        highest = max((max(d["from"], d["to"]) for d in details), default=user.max_stores)
        if user.held > highest:
            yield f"I3: {user} has {user.held} stores and was never allowed more than {highest}."


def requests_without_event() -> Iterator[str]:
    """I10. Operations and the events that ask for them, counted by store and kind."""
    operations = Counter(
        (str(store), kind)
        for store, kind in Operation.objects.values_list("store_id", "kind").iterator()
    )
    # Afterwards: an operation and its event are written in one transaction.
    events = Counter(
        (str(store), action.removeprefix("store.ask_"))
        for store, action in AuditEvent.objects.filter(action__startswith="store.ask_")
        .values_list("store_id", "action")
        .iterator()
    )
    for (store_id, kind), count in operations.items():
        if events[store_id, kind] < count:
            yield (
                f"I10: The store {store_id} has {count} operations “{kind}”, and the audit trail "
                f"knows of {events[store_id, kind]}."
            )


# --- What concerns one store -------------------------------------------------------------


@dataclass
class Look:
    """One store and what is in the cluster of it."""

    cluster: Cluster
    store: Store
    namespaces: list[SeenNamespace]
    settled: bool

    def violations(self) -> list[str]:
        rules = ROW_RULES if self.unknown_inside else (*ROW_RULES, *CLUSTER_RULES)
        return [
            f"{number}: {self.store.namespace}: {sentence}"
            for number, rule in rules
            for sentence in rule(self)
        ]

    @property
    def busy(self) -> bool:
        """Somebody works on it, or is about to: then what is not yet so is no violation."""
        waits = self.store.rings > 0 or self.store.lease_until is not None
        return not self.settled and (waits or not self.store.is_settled or self.has_open_operation)

    @property
    def has_open_operation(self) -> bool:
        return self.store.operations.open().exists()

    @property
    def ours(self) -> SeenNamespace | None:
        """The namespace of the row's uid, unless it is on its way out."""
        uid = self.store.namespace_uid
        return next((n for n in self.namespaces if n.uid == uid and not n.terminating), None)

    @property
    def unknown_inside(self) -> bool:
        """Nothing of ours is there to be looked at, or we may not: then there is nothing to say."""
        if self.ours is None:
            return True
        try:
            self.objects = self.cluster.contents(
                self.store.namespace, (*PLAIN_KINDS, *DATA_KINDS, "Secret")
            )
        except NotYet:  # no rights in there (yet)
            return True
        return False

    def marks(self) -> canary.Marks:
        """What only its Secrets may hold; nothing where we may not read them."""
        if self.ours is None:
            return {}
        try:
            return canary.marks_of(self.cluster, self.store)
        except NotYet:
            return {}

    def of_kind(self, *kinds: str) -> list[Manifest]:
        return [item for item in self.objects if item["kind"] in kinds]

    @property
    def revisions(self) -> list[tuple[int, str, datetime]]:
        """Number, status and age of each of the release's revisions, the oldest first."""
        labels = ((item["metadata"].get("labels", {}), item) for item in self.of_kind("Secret"))
        return sorted(
            (int(found["version"]), found["status"], created(item))
            for found, item in labels
            if found.get("owner") == "helm" and found.get("name") == RELEASE_NAME
        )


def created(item: Manifest) -> datetime:
    return datetime.fromisoformat(item["metadata"]["creationTimestamp"])


def namespace_is_as_the_row_says(look: Look) -> Iterator[str]:
    store, found = look.store, look.namespaces
    if len(found) > 1:
        yield f"the store has {len(found)} namespaces: {', '.join(n.name for n in found)}."
    for seen in found:
        # Before the uid is written down it is not yet anybody's.
        if store.namespace_uid and seen.uid != store.namespace_uid and not seen.terminating:
            yield f"the namespace {seen.name} has the uid {seen.uid}, not {store.namespace_uid}."
    if look.busy or store.status in (Status.DELETED, Status.DELETING) or knows_of_loss(store):
        return
    if store.status == Status.READY and not store.namespace_uid:
        yield "the store is ready, and its row knows of no namespace."
    if store.namespace_uid and look.ours is None:
        yield f"the store is {store.status}, its namespace is gone, and nobody has said so."


def knows_of_loss(store: Store) -> bool:
    return store.health == Health.LOST or store.status == Status.FAILED


def lease_is_whole(look: Look) -> Iterator[str]:
    store = look.store
    if (store.lease_owner == "") != (store.lease_until is None):
        yield "half a lease: a holder without a time, or a time without a holder."
    if not store.is_settled and not look.has_open_operation:
        yield f"the store is {store.status}, and no operation is open."
    if store.is_settled and store.status != Status.READY and look.has_open_operation:
        yield f"the store is {store.status}, and an operation is still open."


def row_is_whole(look: Look) -> Iterator[str]:
    store = look.store
    if (store.deleted_at is not None) != (store.status == Status.DELETED):
        yield f"the store is {store.status}, and its time of deletion is {store.deleted_at}."
    if store.slot is None and store.status not in (Status.DELETED, Status.DELETING):
        yield f"the store is {store.status} and has no place in its owner's quota."


def request_ends(look: Look) -> Iterator[str]:
    store = look.store
    if store.status == Status.FAILED and not store.message:
        yield "the store has failed, and nobody says why."
    if look.settled and (not store.is_settled or look.has_open_operation):
        yield f"the store is still {store.status}: {store.sentence or 'nobody says why'}"
    elif not store.is_settled and Pause.current() is None and forgotten(store):
        yield f"the store is {store.status}, and for five minutes nobody has looked at it."


def forgotten(store: Store) -> bool:
    long_ago = Now() - PATIENCE
    quiet = Q(lease_until=None) | Q(lease_until__lt=long_ago)
    due = Q(due_at__lt=long_ago) | Q(due_at=None, status_since__lt=long_ago)
    return Store.objects.filter(quiet, due, pk=store.pk).exists()


def deleted_is_gone(look: Look) -> Iterator[str]:
    store = look.store
    if store.status != Status.DELETED:
        return
    for seen in look.namespaces:
        if look.settled or not seen.terminating:
            yield f"the store is deleted, and its namespace {seen.name} is there."
    for volume in look.cluster.leftovers(store.namespace, "-"):
        yield f"the store is deleted, and something of it is left: {volume}"
    for operation in store.operations.filter(kind=Operation.Kind.DELETE, outcome="succeeded"):
        if len(operation.receipt.get("items", ())) < len(operation.inventory):
            yield "the store is deleted, and its receipt does not name all that there was."


def release_is_not_stuck(look: Look) -> Iterator[str]:
    for number, status, since in look.revisions[-1:]:
        age = look.cluster.now() - since
        if status in UNFINISHED and (age > PATIENCE or not look.busy):
            yield (
                f"revision {number} of the release is {status} "
                f"for {int(age.total_seconds())} seconds, and nobody mends it."
            )


def one_revision_is_deployed(look: Look) -> Iterator[str]:
    deployed = [number for number, status, _ in look.revisions if status == "deployed"]
    if len(deployed) > 1:
        yield f"the revisions {deployed} of the release all say that they are deployed."


def secrets_are_as_old_as_the_data(look: Look) -> Iterator[str]:
    """And as they were made: whoever writes into a Secret leaves a time in its managed fields."""
    claims = look.of_kind("PersistentVolumeClaim")
    oldest = min((created(claim) for claim in claims), default=None)
    wanted = ENGINES[look.store.engine].volume_secrets
    found = {item["metadata"]["name"]: item for item in look.of_kind("Secret")}
    for name in wanted if oldest else ():
        if name not in found:
            if not look.busy and not says_so(look.store, "secret-lost"):
                yield f"the Secret {name} is gone while a volume needs it, and nobody has said so."
        elif manifests.RESTORED in found[name]["metadata"].get("annotations", {}):
            continue  # by somebody who had a backup
        elif oldest and created(found[name]) > oldest:
            yield f"the Secret {name} is younger than the volume that it protects."
        elif written_later(found[name]):
            yield f"the Secret {name} was changed after it was made."


def says_so(store: Store, code: str) -> bool:
    return code in str((store.message, store.health_message))


def written_later(secret: Manifest) -> bool:
    return any(
        "f:data" in entry.get("fieldsV1", {})
        and datetime.fromisoformat(entry["time"]) > created(secret) + SKEW
        for entry in secret["metadata"].get("managedFields", ())
    )


def guardrails_came_first(look: Look) -> Iterator[str]:
    """One that is put back later is a repair, which is told in the history, and no matter of this."""
    if look.busy:
        return
    first = min((created(pod) for pod in look.of_kind("Pod")), default=None)
    if first is None:
        return
    there = {(item["kind"], item["metadata"]["name"]): item for item in look.of_kind(*PLAIN_KINDS)}
    for kind, name in manifests.GUARDRAILS:
        if (kind, name) not in there:
            yield f"there are pods, and no {kind} {name}."
        elif first < created(there[kind, name]) < first_ready(look.store):
            yield f"the {kind} {name} came after the first pod."


def first_ready(store: Store) -> datetime:
    return store.ready_at or datetime.max.replace(tzinfo=store.created_at.tzinfo)


def never_uninstalled(look: Look) -> Iterator[str]:
    ready_at = look.store.ready_at
    if ready_at is None:
        return
    first = look.revisions[:1]
    if not first and look.store.status == Status.READY and not look.busy:
        yield "the store is ready, and its release is gone."
    if first and first[0][0] == 1 and first[0][2] > ready_at + SKEW:
        yield "the release was installed anew after the store had been ready."


Rule = tuple[str, Callable[[Look], Iterable[str]]]
ROW_RULES: tuple[Rule, ...] = (
    ("I1", namespace_is_as_the_row_says),
    ("I2", lease_is_whole),
    ("I3", row_is_whole),
    ("I7", request_ends),
    ("I8", deleted_is_gone),
)
CLUSTER_RULES: tuple[Rule, ...] = (
    ("I4", release_is_not_stuck),
    ("I5", one_revision_is_deployed),
    ("I6", secrets_are_as_old_as_the_data),
    ("I9", guardrails_came_first),
    ("I12", never_uninstalled),
)
