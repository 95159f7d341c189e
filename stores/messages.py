"""What the portal says about a store: kept as a code with parameters, made a sentence when shown.

Keeping the code means that the words can be bettered, or translated, for events that are long past.
"""

from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext_lazy as _

SENTENCES: dict[str, Any] = {
    # Waiting
    "in-line": _(
        "Waiting in line: %(starting)s stores are starting right now. "
        "This one begins by itself as soon as there is room."
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
        "The cluster has no room for %(name)s: %(reason)s. Retry later, or ask support for room."
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
    "object-gone": _(
        "A part of this store (%(kind)s %(name)s) has been removed from the cluster by somebody "
        "else. Ask support, naming this store."
    ),
    # Outcomes of operations
    "superseded": _("Ended, because the store was asked to do something else."),
    "undone": _("Ended, because the store was wanted back."),
}


@dataclass(frozen=True)
class Message:
    """A code of ``SENTENCES`` with its parameters (JSON values); ``str()`` gives the sentence."""

    code: str
    params: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.code == "several":
            return " ".join(str(Message.from_json(part)) for part in self.params["parts"])
        return str(SENTENCES[self.code]) % {
            name: str(Message.from_json(value)) if is_message(value) else value
            for name, value in self.params.items()
        }

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
