"""Sends the letters that are due, each by one process at a time.

A letter is claimed before it is sent, by putting off its next try: whoever is killed in between
leaves it to the next. So it can go out twice, with the same Message-ID, by which mailboxes know it
again; it cannot get lost. While the mail server is away one try in a while is all that is spent.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta
from email.utils import formatdate
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPSenderRefused
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.template import Context, Engine
from django.utils import timezone, translation

from stores import queue
from stores.messages import sentence
from stores.models import Heartbeat, Letter

log = logging.getLogger(__name__)
BATCH = 50
# How long a mail server that was away is left alone, whoever has written meanwhile.
AWAY_SECONDS = 20
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 60, 3600
# News that is so old is none. Long enough for a mail server that is down over a weekend.
GIVE_UP = timedelta(days=4)
KEPT = timedelta(days=7)
HEARTBEAT, RING = "letters", "letters-ring"
RING_SECONDS = 10
# These speak of one letter; any other OSError (all of smtplib's are) of the server.
OF_THE_LETTER = (SMTPRecipientsRefused, SMTPSenderRefused, SMTPDataError)


def due() -> QuerySet[Letter]:
    """Not sent, and not with somebody who is about to."""
    waiting = Letter.objects.filter(sent_at=None, due_at__lte=Now())
    return waiting.filter(written_at__gt=Now() - GIVE_UP)


def is_waiting() -> bool:
    return due().exists() and not is_away()


def is_away() -> bool:
    """Whether the mail server did not answer just now."""
    just_now = Now() - timedelta(seconds=AWAY_SECONDS)
    last = Heartbeat.objects.filter(pk=HEARTBEAT, at__gt=just_now).first()
    return last is not None and "away" in last.details


def ring_when_due() -> None:
    """Have the queue send them, and not the clock: a mail server that hangs must not stop that.

    Rarely: where no worker runs, each ring would stay in the queue.
    """
    if is_waiting() and Heartbeat.claim(RING, RING_SECONDS):
        queue.ring_for_letters()


def send_due() -> int:
    """Send up to a batch; how many went out. Raises nothing that a mail server can cause."""
    prune()
    if not is_waiting():
        return 0
    try:
        with get_connection() as server:
            sent = sum(send(letter, server) for letter in due().select_related("user")[:BATCH])
    except OSError as error:
        log.warning("no letter is sent: the mail server is away (%s)", type(error).__name__)
        Heartbeat.beat(HEARTBEAT, away=type(error).__name__)
        return 0
    Heartbeat.beat(HEARTBEAT, sent=sent)
    return sent


def send(letter: Letter, server: Any) -> bool:
    """Raises OSError if the server is away; the letter then waits for its next try."""
    if not claim(letter):
        return False
    try:
        if message := as_message(letter):
            message.connection = server
            message.send()
    except OF_THE_LETTER as error:
        # Neither the error's text nor the letter: they name the person.
        log.warning("letter %s was refused: %s", letter.pk, type(error).__name__)
        return False
    except OSError:
        raise
    except Exception:
        log.exception("letter %s (%s) cannot be written", letter.pk, letter.code)
        return False
    Letter.objects.filter(pk=letter.pk).update(sent_at=Now())
    return message is not None


def claim(letter: Letter) -> bool:
    """Only one of those who found it due goes on."""
    wait = min(FIRST_RETRY_SECONDS * 2**letter.tries, LONGEST_RETRY_SECONDS)
    here = Letter.objects.filter(pk=letter.pk, sent_at=None, tries=letter.tries)
    return bool(here.update(tries=F("tries") + 1, due_at=Now() + timedelta(seconds=wait)))


def prune() -> None:
    """Forget what was sent long ago, and what could not be sent for so long that it is no news."""
    Letter.objects.filter(sent_at__lt=Now() - KEPT).delete()
    given_up, _ = Letter.objects.filter(sent_at=None, written_at__lt=Now() - GIVE_UP).delete()
    if given_up:
        log.warning("%s letters could not be sent for %s days", given_up, GIVE_UP.days)


# --- Their words -----------------------------------------------------------------------------


def as_message(letter: Letter) -> EmailMessage | None:
    """None where nobody is left to read it."""
    reader = letter.user
    address = reader.email if reader else letter.email
    if not address or (reader and not reader.is_active):
        return None
    subject, text = words(letter)
    host = urlsplit(settings.PORTAL_URL).hostname or "localhost"
    # Neither out-of-office replies, nor another one for each try.
    headers = {
        "Message-ID": f"<letter-{letter.pk}-{letter.written_at:%Y%m%d%H%M%S}@{host}>",
        "Date": formatdate(letter.written_at.timestamp()),
        "Auto-Submitted": "auto-generated",
    }
    return EmailMessage(subject, text, to=[address], headers=headers)


def words(letter: Letter) -> tuple[str, str]:
    """Subject and text, in the reader's language and with times as their clock shows them."""
    reader = letter.user
    language = (reader.language if reader else letter.params.get("language")) or ""
    zone = (reader.time_zone if reader else "") or settings.TIME_ZONE
    template = Engine.get_default().get_template(f"letters/{letter.code}.txt")
    with translation.override(language or settings.LANGUAGE_CODE), timezone.override(zone):
        text = template.render(Context(values(letter), autoescape=False))
    subject, _, body = text.strip().partition("\n\n")
    return " ".join(subject.split()), re.sub(r"\n{3,}", "\n\n", body.strip()) + "\n"


def values(letter: Letter) -> dict[str, Any]:
    """What a template may name: ``address`` is the store's page, of times ``…_at`` and ``since``."""
    given = {key: value_of(key, value) for key, value in letter.params.items()}
    page = letter.store.get_absolute_url() if letter.store else "/"
    return {
        "store": letter.store,
        "person": letter.user,
        "email": letter.email,
        "portal": settings.PORTAL_URL,
        "address": settings.PORTAL_URL + page,
        **given,
    }


def value_of(key: str, value: Any) -> Any:
    if key == "message":
        return sentence(value)
    if (key.endswith("_at") or key == "since") and isinstance(value, str) and value:
        return datetime.fromisoformat(value)
    return value
