"""The cluster as the steps see it: few verbs, plain dicts, every verb safe to repeat.

Two implementations say the same sentences (tests/test_cluster_contract.py): a real one and a
simulated one. Errors: a verb raises ``NotYet`` where asking again later will help,
``StepFailed`` where the cluster refuses, ``ClusterUnavailable`` where it does not answer.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from stores.messages import Message

Manifest = dict[str, Any]
# {kind, name, namespace, uid}; of a volume also {reclaim, claim}.
Item = dict[str, Any]
Beat = Callable[[], None]

STORE_LABEL = "storeyard.dev/store"
MANAGED_BY = "app.kubernetes.io/managed-by"
# On pods: which part of the shop they are.
COMPONENT_LABEL = "app.kubernetes.io/component"
RELEASE_ANNOTATION = "storeyard.dev/release"
# What the release consists of, as it was when Helm had put it in: "Kind/name" to generation.
PARTS_ANNOTATION = "storeyard.dev/release-parts"
# The version that Helm put in last: for whoever has no row of the store (adoption.py).
CHART_ANNOTATION = "storeyard.dev/chart-version"


def no_beat() -> None:
    """For callers that hold no lease."""


@dataclass(frozen=True)
class Release:
    """A Helm release as it should be. ``may_start_over``: nothing in it is worth keeping yet."""

    name: str
    namespace: str
    chart: Path
    chart_version: str
    values: dict[str, Any] = field(repr=False)
    may_start_over: bool = True

    @property
    def hash(self) -> str:
        """What the namespace's annotation remembers of the last release that Helm put in."""
        content = json.dumps([self.chart.name, self.chart_version, self.values], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class SeenNamespace:
    """A store's namespace, reduced to what is judged."""

    name: str
    uid: str
    store_id: str
    terminating: bool
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    kind: ClassVar[str] = "Namespace"


@dataclass(frozen=True, slots=True)
class SeenObject:
    """Something in a store's namespace, reduced to what is judged (seen.py).

    ``waiting``: what it lacks; None when it is up, and for what changes nobody's health.
    ``content``: compact JSON. Of a guardrail what drift compares, of a pod where it belongs to and
    how it restarted, of a claim its phase and volume; empty for the rest. ``usage``: of a quota, as
    compact JSON, {resource: {"used", "hard"}}.
    """

    kind: str
    namespace: str
    name: str
    store_id: str
    uid: str
    generation: int = 0
    waiting: Message | None = None
    content: str = ""
    usage: str = ""

    @property
    def is_over(self) -> bool:
        """Nothing more will happen to it by itself: up, or a Job that failed."""
        return self.waiting is None or self.waiting.code == "setup-failed"


Seen = SeenNamespace | SeenObject


@dataclass(frozen=True, slots=True)
class SeenVolume:
    """A disk, and the claim it was made for."""

    name: str
    namespace: str
    claim: str
    phase: str
    reclaim: str


@dataclass(frozen=True)
class Survey:
    """All stores at one look; ``objects`` by namespace. ``facts``: the cluster as a whole (facts.py)."""

    namespaces: list[SeenNamespace]
    objects: dict[str, list[SeenObject]]
    volumes: list[SeenVolume]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Change:
    """Something of a store is different in the cluster now.

    ``seen``: how it is now; None if it is gone. ``turned``: it got where it was going, or fell back,
    or is gone: what a pass waits for. An empty ``store_id`` says that the watch of that kind begins,
    or was cut off and is back: ``picture`` is everything of the kind there is; without a picture it
    has just been cut off (that of every kind, if none is named).
    """

    store_id: str
    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    seen: Seen | None = None
    turned: bool = False
    picture: list[Seen] | None = None


class Cluster(ABC):
    """One Kubernetes cluster."""

    name: str
    # False where nothing listens on a pod's address: a storefront cannot be asked then.
    routes_traffic: bool
    # True where nothing is real: every page carries a banner.
    simulated: bool = False

    @abstractmethod
    def apply(self, manifest: Manifest) -> Manifest:
        """Make the object as the manifest says (server-side apply, ours wins); returns it.

        With ``metadata.uid`` only that very object is changed: if it is gone, StepFailed with the
        code ``object-gone``, and nothing is created in its place.
        """

    @abstractmethod
    def create(self, manifest: Manifest) -> Manifest:
        """Create the object, or return the one that is already there, untouched."""

    @abstractmethod
    def get(self, kind: str, name: str, namespace: str = "") -> Manifest | None:
        """The object; None only if the cluster says that it does not exist."""

    @abstractmethod
    def delete(self, kind: str, name: str, namespace: str = "", *, uid: str = "") -> None:
        """Ask for deletion (of that very ``uid``, if given). Absent already: success."""

    @abstractmethod
    def ensure_release(self, release: Release, beat: Beat = no_beat) -> bool:
        """Install or upgrade if different, mend a stuck one, wait for nothing. True: Helm ran.

        ``beat`` is called every few seconds while Helm runs; if it raises, Helm is stopped.
        """

    @abstractmethod
    def uninstall_release(self, name: str, namespace: str, beat: Beat = no_beat) -> None:
        """Absent already: success."""

    @abstractmethod
    def not_ready(self, namespace: str) -> list[Message]:
        """What the store still waits for; empty when all is up. Jobs of CronJobs do not count."""

    @abstractmethod
    def evidence(self, namespace: str) -> dict[str, Any]:
        """What diagnosis reads, as raw objects: ``namespace`` (None for none), ``workloads``, ``pods``,
        ``jobs``, ``claims``, ``events``, and ``now`` by the cluster's clock.

        Also, where the cluster can say: ``quotas``, ``limits``, ``replicasets``, ``services``,
        ``nodes``, ``storageclasses``, ``leases`` of its components, ``releases`` (labels of Helm's
        revisions) and ``logs`` ("pod/container" to the redacted end of what it wrote, of containers
        that are not well).
        """

    @abstractmethod
    def logs(self, namespace: str, component: str, lines: int) -> dict[str, str]:
        """ "pod/container" to the redacted end of what it wrote, at most so many lines; of the pods of
        that component (of all, if empty) that have ever run, the youngest pods first.

        Empty where there is nothing to be had. Of a container that is about to be started again: what
        the one before it wrote.
        """

    @abstractmethod
    def events(self, namespace: str) -> list[Item]:
        """What the cluster says about what is in it, newest first: {first, last (ISO times), count,
        type, reason, message (redacted), of ("Pod/name")}.
        """

    @abstractmethod
    def routes(self, namespace: str) -> list[str]:
        """Names of what leads traffic from outside to the store. Raises NotYet where we may not see
        that: no answer is not the answer that there is none.
        """

    @abstractmethod
    def inventory(self, namespace: str, uid: str) -> list[Item]:
        """Everything of a store, its volumes included, in a steady order; of that very namespace.

        Secrets by name only. Kinds that we may not see are left out, and the log names them.
        """

    @abstractmethod
    def contents(self, namespace: str, kinds: tuple[str, ...]) -> list[Manifest]:
        """``kind`` and ``metadata`` of the objects of these kinds: never what a Secret holds."""

    @abstractmethod
    def now(self) -> datetime:
        """The clock that creationTimestamps are of."""

    @abstractmethod
    def leftovers(self, namespace: str, uid: str) -> list[Message]:
        """What is left of a deleted namespace (itself, its disks); empty when nothing is.

        A disk that its storage class retains is not left over: nobody is going to take it away.
        """

    @abstractmethod
    def survey(self) -> Survey:
        """Everything of every store but Secrets, in a constant number of requests (paging apart)."""

    @abstractmethod
    def watch(self, stopped: Callable[[], bool]) -> Iterator[Change]:
        """Changes as they happen, until ``stopped()``; of each kind, the first one is the picture.

        Blocks at most about a second between looks at ``stopped``. Never raises for a cluster
        that is away: it waits and comes back with a new picture.
        """
