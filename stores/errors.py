"""What a service answers instead of doing what was asked. Each is a sentence for the person who asked."""


class Refused(Exception):
    """The request was understood and is refused; nothing was written.

    ``field`` names the form field to show it at, or is empty; the text says the rule and the way out.
    """

    def __init__(self, text: str, *, field: str = "") -> None:
        super().__init__(text)
        self.field = field


class QuotaExceeded(Refused):
    """The owner, or the platform, has no place for another store."""


class NotAllowed(Refused):
    """This person may not do that with this store."""


class TooMany(Refused):
    """This person does it too often; after ``retry_after`` seconds it is possible again."""

    def __init__(self, text: str, *, retry_after: int) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class IllegalTransition(Refused):
    """The lifecycle has no such arrow from where the store is."""


class StaleStore(Exception):
    """Somebody else moved the store between our read and our write: read again."""
