"""The watcher: what happens in the cluster reaches the row at once, and workers when they are needed.

One thread takes the changes of the watch, one is the clock, and one for each kind of question
answers what pages ask the cluster: workers may be busy, and a slow log must not hold up a password.
What a database that is away keeps from being written is not forgotten: it is judged again at the next
tick, as the cluster is by then. Until that has succeeded no change is judged by itself: each could
wait in vain for the database.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models.functions import Now

from provisioning import inquiries, observing, sweep, tasks
from provisioning.cluster import seen
from provisioning.cluster.base import Change, Cluster
from provisioning.errors import ClusterUnavailable, NotYet, StepFailed
from provisioning.picture import Picture
from stores import queue
from stores.lifecycle import Health
from stores.models import Heartbeat, Inquiry, Store

log = logging.getLogger(__name__)
BEAT_SECONDS = 3.0
# Of these drift is compared.
COMPARED = frozenset(("Namespace", *seen.KINDS)) - {"Job", "Pod", "PersistentVolumeClaim"}


class Watcher:
    """``unjudged``, ``suspects``: namespaces to look at again, for health and for drift; ``failure``:
    what the last judging ended with, None if well."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.picture = Picture()
        self.lock = threading.Lock()
        self.unjudged: set[str] = set()
        self.suspects: set[str] = set()
        self.all_unjudged = False
        self.failure: BaseException | None = None

    def run(self, over: threading.Event) -> None:
        """Until ``over``; returns when all threads have ended."""
        clocks = [
            threading.Thread(target=self.tick, args=(over,), name="clock"),
            threading.Thread(target=self.beat, args=(over,), name="heartbeat"),
            *(
                threading.Thread(target=self.answer, args=(kind, over), name=kind, daemon=True)
                for kind in Inquiry.Kind.values
            ),
        ]
        for clock in clocks:
            clock.start()
        try:
            for change in self.cluster.watch(over.is_set):
                self.take(change)
        finally:
            over.set()
            for clock in clocks:
                clock.join(timeout=5)

    def take(self, change: Change) -> None:
        with self.lock:
            concerned = self.picture.take(change)
            self.note(change.kind, concerned)
        # The clock rings, too.
        if change.turned and not isinstance(self.failure, DatabaseError):
            ring(change)
        if change.kind in observing.KINDS and self.failure is None:
            with outlived(f"judge {change.kind} {change.namespace}"):
                self.judge()

    def note(self, kind: str, concerned: set[str] | None) -> None:
        if concerned is None:
            self.all_unjudged = True
            return
        if kind in observing.KINDS:
            self.unjudged |= concerned
        if kind in COMPARED:
            self.suspects |= concerned

    def judge(self) -> None:
        """Bring the rows of everything unjudged up to date; what fails stays unjudged."""
        with self.lock:
            if not self.picture.is_current:
                return
            namespaces = None if self.all_unjudged else set(self.unjudged)
            self.all_unjudged, self.unjudged = False, set()
            if namespaces == set():
                return
            try:
                observing.observe(self.picture, self.cluster, namespaces)
                self.failure = None
            except BaseException as error:
                self.failure = error
                self.all_unjudged = self.all_unjudged or namespaces is None
                self.unjudged |= namespaces or set()
                raise

    # --- The clock -----------------------------------------------------------------------

    def tick(self, over: threading.Event) -> None:
        while not over.wait(settings.TICK_SECONDS):
            for part in (tasks.reconcile, self.look_again, self.repair, observing.tell):
                with outlived(part.__name__):
                    part()
        connection.close()

    def look_again(self) -> None:
        """At those that are not well, too: time alone heals restarts that are long ago."""
        unwell = Store.objects.observed().exclude(health=Health.HEALTHY)
        names = set(unwell.values_list("namespace", flat=True))
        with self.lock:
            self.unjudged |= names
        self.judge()

    def repair(self) -> None:
        """What has drifted since the last tick: now, not at the next sweep."""
        with self.lock:
            if not self.suspects or not self.picture.is_current:
                return
            suspects, self.suspects = self.suspects, set()
            try:
                found = sweep.find_drift(self.picture, suspects)
                sweep.repair(found)
                # A pass is under way: look again when it is over.
                busy = Store.objects.filter(namespace__in=suspects, lease_until__gt=Now())
                self.suspects |= set(busy.values_list("namespace", flat=True))
            except BaseException:
                self.suspects |= suspects
                raise

    def answer(self, kind: str, over: threading.Event) -> None:
        """Questions of pages, of that kind."""
        pause = settings.INQUIRY_POLL_SECONDS
        while not over.wait(pause):
            # Nobody is served by being told four times a second that the database is away.
            pause = BEAT_SECONDS
            with outlived(f"answer {kind}"):
                inquiries.answer_waiting(kind, self.cluster, over)
                pause = settings.INQUIRY_POLL_SECONDS
        connection.close()

    def beat(self, over: threading.Event) -> None:
        while not over.wait(BEAT_SECONDS):
            with outlived("say that it looks"):
                self.say_that_it_looks()
        connection.close()

    def say_that_it_looks(self) -> None:
        """As long as that is so: what cannot be written down is seen by nobody."""
        if self.picture.is_current and self.failure is None:
            Heartbeat.beat(Heartbeat.WATCHER, stores=len(self.picture.namespaces))


@contextmanager
def outlived(what: str) -> Iterator[None]:
    """Whatever happens in it, the watcher goes on; a connection that broke stays broken until it is
    closed.
    """
    try:
        yield
    except (ClusterUnavailable, NotYet, StepFailed) as error:
        log.warning("could not %s, because of the cluster: %s", what, error)
    except DatabaseError:
        log.warning("could not %s, because of the database; tried again", what, exc_info=True)
        connection.close()
    except Exception:
        log.exception("could not %s; tried again", what)


def ring(change: Change) -> None:
    """Ring the store if somebody still has to work on it; after an interruption, all of those."""
    try:
        waiting = Store.objects.under_way()
        if change.store_id:
            waiting = waiting.filter(pk=UUID(change.store_id))
        for store_id in list(waiting.values_list("pk", flat=True)):
            queue.ring(store_id)
    except (ValueError, ValidationError):
        log.warning("ignored a change of something with the store label %r", change.store_id)
    except DatabaseError:
        # The clock rings again; the watch must not end over it.
        log.exception("could not ring for %s", change)
        connection.close()
