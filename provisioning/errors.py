"""How a step says that it did not get there. The runner gives each a different ending."""

from stores.messages import Message


class NotYet(Exception):
    """Wait: return, and look again when something rings. ``said``: the cluster's words, if any."""

    def __init__(self, message: Message, said: str = "") -> None:
        super().__init__(str(message))
        self.message, self.said = message, said


class StepFailed(Exception):
    """This store will not get further by itself; the message is for its owner."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class ClusterUnavailable(Exception):
    """The cluster did not answer, or not now (infrastructure): no store's fault, tried again.

    ``retry_after``: seconds before which it does not want to be asked again.
    """

    def __init__(self, text: str, retry_after: float = 0.0) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class LeaseLost(Exception):
    """Somebody else works on the store by now, or nobody should: change nothing more."""


class ClusterMisconfigured(Exception):
    """The platform's own settings do not let it reach a cluster; the text says which, and what to do."""
