"""What the first page of the support team's admin shows."""

from __future__ import annotations

from typing import Any

from django import template

from stores.admin import dashboard as board

register = template.Library()


@register.simple_tag(takes_context=True)
def dashboard(context: Any) -> board.Board | None:
    """None for staff who may not see stores."""
    return board.board() if context["request"].user.has_perm("stores.view_store") else None
