"""Words of ours within what is kept of a store: English there, said in the reader's language.

And how long ago something was.
"""

from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, gettext_noop, ngettext

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


def age_in_words(age: timedelta) -> str:
    """As Intl.RelativeTimeFormat says it in the browser, which goes on counting."""
    seconds = int(age.total_seconds())
    if seconds < 10:
        return _("just now")
    if seconds < 60:
        return ngettext("%d second ago", "%d seconds ago", seconds) % seconds
    if seconds < 3600:
        return ngettext("%d minute ago", "%d minutes ago", seconds // 60) % (seconds // 60)
    if seconds < 86400:
        return ngettext("%d hour ago", "%d hours ago", seconds // 3600) % (seconds // 3600)
    return ngettext("%d day ago", "%d days ago", seconds // 86400) % (seconds // 86400)
