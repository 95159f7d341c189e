"""What tests know of the named people beside their fixtures (conftest.py).

A module of its own: there are several files called conftest, and only one can be imported as that.
"""

from __future__ import annotations

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from stores.models import User

PASSWORD = "correct horse battery staple"


def enrol(user: User) -> str:
    """Give this person a second factor, as the support team needs. Returns its key."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret
