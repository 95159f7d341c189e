"""What columns and filters are called, and how their values read: in words, never empty."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from django.contrib import admin
from django.utils import timezone
from django.utils.formats import localize
from django.utils.translation import gettext_lazy

from stores.words import age_in_words


class Speaks(Protocol):
    @property
    def sentence(self) -> str: ...


class Said:
    """For rows that keep a message: what is said of them, or a dash."""

    @admin.display(description=gettext_lazy("what is said of it"))
    def said(self, row: Speaks) -> str:
        return row.sentence or "-"


def moment(at: datetime) -> str:
    return str(localize(timezone.localtime(at)))


def moment_and_age(at: datetime) -> str:
    return f"{moment(at)} ({age_in_words(timezone.now() - at)})"


def called(title: Any) -> type[admin.FieldListFilter]:
    """The filter that a field gets by itself, under a name of ours."""

    class Called(admin.FieldListFilter):
        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            found = admin.FieldListFilter.create(*args, **kwargs)
            found.title = title
            return found

    return Called
