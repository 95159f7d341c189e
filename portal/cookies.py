"""Cookies that only this host can set."""

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage


class MessageStorage(CookieStorage):
    cookie_name = f"{settings.COOKIE_PREFIX}messages"
