"""Words of ours within what is kept of a store: English there, said in the reader's language."""

from typing import Any

from django.utils.translation import gettext_lazy, gettext_noop

# Not names from the cluster: those are said as they are.
WORDS: dict[str, Any] = {
    text: gettext_lazy(text)
    for text in (
        gettext_noop("processor time"),
        gettext_noop("memory"),
        gettext_noop("disk space"),
        gettext_noop("temporary disk space"),
        gettext_noop("running parts"),
        gettext_noop("disks"),
        gettext_noop("stored records"),
        gettext_noop("room"),
        gettext_noop("The shop"),
        gettext_noop("The database"),
        gettext_noop("a part of the shop"),
        gettext_noop("a part of the store"),
        gettext_noop("of the shop"),
        gettext_noop("of the cluster"),
        gettext_noop("of unknown name"),
        gettext_noop("something"),
        gettext_noop("it says nothing"),
        gettext_noop("it is being emptied"),
        gettext_noop("its contents are being deleted"),
    )
}


def in_words(value: Any) -> Any:
    return WORDS.get(value, value) if isinstance(value, str) else value
