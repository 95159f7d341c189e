"""What the portal says about a store: kept as a code with parameters, made a sentence when shown.

Keeping the code means that the words can be bettered, or translated, for events that are long past.
"""

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _

from stores.words import in_words

SENTENCES: dict[str, Any] = {
    # Waiting
    "in-line": _(
        "Waiting in line: no more stores may start at once. "
        "This one begins by itself as soon as it is its turn."
    ),
    "paused": _(
        "Nothing is set up or changed at the moment: %(reason)s "
        "This store goes on by itself afterwards."
    ),
    "closing": _(
        "The shop is closed and cannot be reached; nothing is destroyed yet. Until the time is up "
        "it can be had back."
    ),
    "workload-starting": _("%(name)s is starting: %(ready)s of %(wanted)s ready."),
    "job-running": _("%(name)s is running."),
    "volume-pending": _("The volume %(name)s is not there yet."),
    "quota-pending": _("The cluster has not yet confirmed the store's limits."),
    "access-pending": _("The cluster has not yet granted access to the store's namespace."),
    "namespace-terminating": _("The namespace is being removed; %(remaining)s."),
    "volume-remaining": _("The disk %(name)s is not released yet."),
    "storefront-silent": _("The shop does not answer yet at %(url)s (%(reason)s)."),
    "cluster-unavailable": _(
        "The cluster cannot be reached at the moment. Nothing is lost; "
        "this store goes on by itself as soon as it answers."
    ),
    "busy": _("The cluster is still busy with this store; it is asked again by itself."),
    "route-remaining": _("The shop's address is not closed yet."),
    "item-remaining": _("%(kind)s %(name)s is not gone yet."),
    # Skipped
    "nothing-to-close": _("There is no shop yet that could be closed."),
    "storefront-not-routed": _(
        "Not asked: the platform's cluster does not route traffic to stores."
    ),
    "release-absent": _("Nothing to uninstall: the namespace is already going or gone."),
    "release-left": _("Left to the removal of the namespace, which takes everything with it."),
    # Failed
    "image-missing": _(
        "A part of the shop, the image %(image)s, cannot be fetched because it is not there "
        "(%(reason)s). Ask support to put it right, then retry."
    ),
    "image-unavailable": _(
        "A part of the shop, the image %(image)s, cannot be fetched (%(reason)s). Retry in some "
        "minutes; if it happens again, ask support."
    ),
    "pods-refused": _(
        "A rule or limit of the platform keeps %(name)s from starting. Ask support, who can change "
        "it, then retry. The cluster says: %(reason)s"
    ),
    "crash-loop": _(
        "%(name)s starts and stops again (%(reason)s, exit code %(exit_code)s). "
        "Retry; if it happens again, ask support."
    ),
    "unschedulable": _(
        "The cluster has no room for %(name)s at the moment. It goes on by itself as soon as there is "
        "room; support can make some."
    ),
    "volume-refused": _(
        "The disk %(name)s cannot be made: %(reason)s. Ask support to check the storage class, "
        "then retry."
    ),
    "setup-failed": _(
        "Setting up the shop did not work (%(name)s: %(reason)s). Retry; if it happens again, "
        "ask support."
    ),
    "too-slow": _(
        "The store was not ready after %(minutes)s minutes. The last thing it waited for: "
        "%(waiting)s Retry; if it happens again, ask support."
    ),
    "chart-refused": _(
        "The parts of the shop could not be put into the cluster. Ask support, naming this store. "
        "The cluster says: %(reason)s"
    ),
    "rejected": _(
        "The cluster refused something that this store needs. Ask support, naming this store. "
        "The cluster says: %(reason)s"
    ),
    "namespace-lost": _(
        "The store's namespace %(namespace)s has been removed from the cluster by somebody else. "
        "It is not rebuilt by itself, because its data may be gone: ask support, or delete the store."
    ),
    "namespace-taken": _(
        "A namespace named %(namespace)s exists and belongs to somebody else. Ask support."
    ),
    "secret-lost": _(
        "The password store %(name)s is gone while the shop's data still needs it. It is not made "
        "anew, because a new password would not open the old data: ask support to restore it."
    ),
    "worker-died": _(
        "The work on this store was cut off %(times)s times. Retry; if it happens again, ask support."
    ),
    "gave-up": _(
        "Something unexpected went wrong on our side (%(error)s) again and again. Retry; if it "
        "happens again, ask support, naming the reference %(reference)s."
    ),
    "internal-error": _(
        "Something unexpected went wrong on our side (%(error)s). It is tried again by itself; "
        "support can find it under the reference %(reference)s."
    ),
    "repair-undone": _(
        "Something in this store is changed again every time it has been put right: %(what)s "
        "Ask support, who can find out by whom."
    ),
    "object-gone": _(
        "A part of this store (%(kind)s %(name)s) has been removed from the cluster by somebody "
        "else. Ask support, naming this store."
    ),
    # Diagnoses: why a store does not get up (provisioning/diagnosis)
    "quota-exceeded": _(
        "The store's plan does not have enough %(words)s for %(name)s (quota %(resource)s: %(used)s of "
        "%(hard)s used, %(requested)s more needed). Ask support for a larger plan, then retry."
    ),
    "limit-exceeded": _(
        "%(name)s asks for another amount of %(words)s than the store's plan allows for one part "
        "(%(reason)s). Ask support to adjust the plan, then retry."
    ),
    "limit-unnamed": _(
        "The store's limits do not fit together: %(name)s may not start without a limit for "
        "%(resource)s. Nothing is wrong with the shop; support can have the limits put back."
    ),
    "pod-security-refuses": _(
        "%(name)s does not keep the platform's safety rules and may not start (%(reason)s). Ask "
        "support, naming this store: retrying cannot help before the shop's parts are changed."
    ),
    "account-missing": _(
        "%(name)s may not start, because its account %(account)s in the cluster is missing. Have the "
        "store repaired; if that does not help, ask support."
    ),
    "namespace-not-prepared": _(
        "The cluster is still preparing the store's namespace for %(name)s. There is nothing to "
        "do: it goes on by itself."
    ),
    "webhook-silent": _(
        "A check that was added to the cluster (%(name)s) does not answer, and nothing can start "
        "without it. It is not your store; the platform's people have to mend it, and the store "
        "goes on by itself then."
    ),
    "webhook-denies": _(
        "A check that was added to the cluster (%(check)s) does not let %(name)s start: %(reason)s. "
        "Ask support, who can have it changed, then retry."
    ),
    "storage-class-missing": _(
        "The cluster has no storage from which the disk %(name)s could be made. It is not your store; "
        "the platform's people have to add one, and the store goes on by itself then."
    ),
    "volume-slow": _(
        "The disk %(name)s was asked for a while ago and the cluster has not made it. "
        "It is not your store; it goes on by itself as soon as the disk is there."
    ),
    "no-matching-node": _(
        "None of the cluster's machines may or can run %(name)s at the moment. It is not your store; "
        "it goes on by itself as soon as there is one. If it takes long, ask support."
    ),
    "node-lost": _(
        "The machine %(node)s that runs %(name)s does not answer. There is nothing to do: the "
        "cluster starts the shop on another one by itself."
    ),
    "container-refused": _(
        "%(name)s cannot be started, because something that it is made from is missing (%(reason)s). "
        "Have the store repaired; if that does not help, ask support."
    ),
    "out-of-memory": _(
        "%(name)s needs more memory than it may use (%(limit)s) and was stopped for it. Ask support "
        "for a larger plan, then retry."
    ),
    "init-failed": _(
        "The preparation %(container)s of %(name)s fails again and again (%(reason)s, exit code "
        "%(exit_code)s). Retry; if it happens again, ask support."
    ),
    "setup-late": _(
        "Setting up the shop took longer than it may (%(name)s: %(reason)s). Retry; if it happens "
        "again, ask support."
    ),
    "probe-fails": _(
        "%(name)s runs but does not answer when it is asked whether it is well (%(reason)s). It is "
        "asked again by itself; if it stays so, retry or ask support."
    ),
    "controllers-silent": _(
        "The part of the cluster that carries out what was asked for does not react. It is not your "
        "store; the platform's people have to mend it, and the store goes on by itself then."
    ),
    "scheduler-silent": _(
        "The part of the cluster that chooses a machine for each shop does not react. It is not "
        "your store; the platform's people have to mend it, and the store goes on by itself then."
    ),
    "address-unresolved": _(
        "The shop runs, but its address %(url)s is not known to the internet's directory yet. It is "
        "asked again by itself; if it takes longer than an hour, ask support to check the DNS entry."
    ),
    "certificate-missing": _(
        "The shop runs, but its address %(url)s has no valid certificate yet. It is asked again by "
        "itself; if it takes longer than an hour, ask support to check the certificate."
    ),
    "needs-migration": _(
        "%(name)s of this store cannot be changed in place to what is wanted now. The shop's data is "
        "untouched. Ask support, naming this store, to move it: retrying cannot help."
    ),
    "foreign-object": _(
        "%(name)s is in the store's namespace already and belongs to somebody else. It was left "
        "alone. Ask support to clear it away, then retry."
    ),
    "release-locked": _(
        "An earlier attempt on this store was cut off and has left its lock behind. There is nothing "
        "to do: it is released by itself."
    ),
    "rights-revoked": _(
        "The platform has lost its rights in the store's namespace. The shop itself is untouched; "
        "the platform's people have to give the rights back, and the store goes on by itself then."
    ),
    "cluster-busy": _(
        "The cluster has too much to do at the moment. There is nothing to do: the store waits and "
        "goes on by itself."
    ),
    "addon-down": _(
        "An add-on of the cluster (%(name)s) is down, not your store. The removal goes on by itself "
        "as soon as the platform's people have mended it."
    ),
    "namespace-held": _(
        "The removal waits for %(left)s held by %(finalizer)s. It is not forced; support can have "
        "it let go, and the removal goes on by itself then."
    ),
    "namespace-stuck": _(
        "The removal waits for what is still there: %(left)s. Support can have it cleared away, and "
        "the removal goes on by itself then."
    ),
    "unexplained": _(
        "The store does not get up, and the cluster does not say why. The last thing it waited for: "
        "%(waiting)s Ask support, who see the raw facts, or retry."
    ),
    "nothing-special": _("nothing in particular."),
    # Health: what the cluster says about a store that has been ready
    "part-unready": _(
        "%(name)s does not serve%(since)s (%(ready)s of %(wanted)s ready): %(reason)s. The cluster "
        "keeps trying by itself; if it lasts longer than some minutes, ask support."
    ),
    "part-restarts": _(
        "%(name)s has restarted %(times)s times in %(span)s, last reason %(reason)s (exit code "
        "%(exit_code)s). If it goes on, ask support."
    ),
    "part-missing": _("%(name)s has been removed from the cluster. It is put back by itself."),
    "volume-lost": _(
        "The disk %(name)s with the shop's data has been removed from the cluster by somebody else. "
        "The shop is not started with an empty one: ask support to bring the data back, or delete "
        "the store."
    ),
    "volume-going": _(
        "Somebody has asked the cluster to remove the disk %(name)s with the shop's data; it goes "
        "as soon as the shop stops. Ask support at once."
    ),
    # Drift: what is different from what is wanted, and put right by a repair
    "repair-asked": _("Nothing in particular: a member of the team wanted everything looked at."),
    "drift-missing": _("%(kind)s %(name)s was missing."),
    "drift-changed": _("%(kind)s %(name)s had been changed by somebody else."),
    "disks-left": _("Still there of its data: %(names)s."),
    "no-disks-left": _("No disk of it is left in the cluster."),
    # Why a pod does not serve: the end of the first sentence above
    "pod-absent": _("none has been started"),
    "pod-starting": _("it is starting"),
    "pod-probe": _("it runs, but does not answer the question whether it is ready"),
    "pod-image": _("the image %(image)s cannot be fetched (%(reason)s)"),
    "pod-crash": _("it stops again and again, last reason %(reason)s, exit code %(exit_code)s"),
    "pod-unscheduled": _("no node has room for it (%(reason)s)"),
    "pod-refused": _("it cannot be started (%(reason)s)"),
    "pod-ended": _("it was ended (%(reason)s)"),
    "pod-node": _("the machine it runs on does not answer"),
    # Parts of the sentences above
    "since-time": _(" since %(time)s UTC"),
    "span-minute": _("a minute"),
    "span-minutes": _("%(count)s minutes"),
    "span-hours": _("%(count)s hours"),
    # Why a question that a page asked the cluster has no answer
    "inquiry-unanswered": _(
        "Nobody has answered in time: the platform may be busy. Nothing is lost; try again in a "
        "minute, and ask support if it happens again."
    ),
    "inquiry-unavailable": _(
        "The cluster cannot be reached at the moment. Nothing is lost; try again in a minute."
    ),
    "inquiry-refused": _(
        "The platform may not look into this store at the moment. Try again in a minute; if it "
        "happens again, ask support, naming this store."
    ),
    "inquiry-failed": _(
        "Something unexpected went wrong on our side. Try again; if it happens again, ask support, "
        "naming this store."
    ),
    "inquiry-changed": _(
        "The store, or what you may do with it, changed while you waited. Look at it again."
    ),
    "credentials-absent": _(
        "The initial password is no longer in the cluster. The shop does not need it: reset the "
        "password in the shop as described below, or ask support."
    ),
    # Outcomes of operations
    "superseded": _("Ended, because the store was asked to do something else."),
    "undone": _("Ended, because the store was wanted back."),
}


# Causes that stop all stores alike: letting others start meanwhile would help nobody.
STOP_EVERYBODY = (
    "cluster-unavailable", "cluster-busy", "controllers-silent", "scheduler-silent", "paused",
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """A code of ``SENTENCES`` with its parameters (JSON values); ``str()`` gives the sentence."""

    code: str
    params: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.code == "several":
            return " ".join(str(Message.from_json(part)) for part in self.params["parts"])
        return self.filled(str(SENTENCES[self.code]))

    def filled(self, text: str) -> str:
        return text % {
            name: str(Message.from_json(value)) if is_message(value) else in_words(value)
            for name, value in self.params.items()
        }

    @property
    def headline(self) -> str:
        """The first of its sentences: what is the matter."""
        if self.code == "several":
            return Message.from_json(self.params["parts"][0]).headline
        first, dot, _rest = str(SENTENCES[self.code]).partition(". ")
        return self.filled(first + dot).rstrip()

    @property
    def advice(self) -> str:
        """The rest of its sentences: mostly what to do next."""
        return str(self).removeprefix(self.headline).lstrip()

    @property
    def codes(self) -> set[str]:
        """Its own code, or those of the messages it is made of."""
        if self.code == "several":
            return {part["code"] for part in self.params["parts"]}
        return {self.code}

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "params": self.params}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Message":
        return cls(value["code"], value.get("params", {}))


def is_message(value: Any) -> bool:
    return isinstance(value, dict) and "code" in value


def several(messages: list[Message]) -> Message:
    """One message that says all of these, in order."""
    if len(messages) == 1:
        return messages[0]
    return Message("several", {"parts": [message.as_json() for message in messages]})


def sentence(value: dict[str, Any]) -> str:
    """The sentence of a stored message; empty for none."""
    return str(Message.from_json(value)) if value else ""
