"""What the admin shows of a password, where Django's own forms make invalid HTML of it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.forms import AdminPasswordChangeForm, ReadOnlyPasswordHashWidget
from django.utils.translation import gettext_lazy


class PasswordHash(ReadOnlyPasswordHashWidget):
    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        """Without what only a field can be: this is a piece of text."""
        context: dict[str, Any] = super().get_context(name, value, attrs)
        context["widget"]["attrs"].pop("disabled", None)
        return context


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]
    # Django's own is a list, which its page puts into a paragraph.
    usable_password_help_text = gettext_lazy(  # type: ignore[assignment]
        "If it is disabled, the present password is lost, and nobody signs in with one."
    )
