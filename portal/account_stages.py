"""What stands between a right password and being logged in."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.account.stages import EmailVerificationStage


class ConfirmAddress(EmailVerificationStage):
    """Who signed up by themselves must confirm their address first.

    Whoever was in before, or got their account from the support team, is known already.
    """

    def handle(self) -> Any:
        user = self.login.user
        if user and (user.last_login or not EmailAddress.objects.filter(user=user).exists()):
            return None, True
        return super().handle()
