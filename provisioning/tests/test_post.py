"""Letters go out once, later if the mail server is away, and hold up nobody."""

from __future__ import annotations

import logging
import re
from datetime import timedelta
from smtplib import SMTPRecipientsRefused

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django_q.models import OrmQ

from provisioning import post, tasks
from stores.letters import write
from stores.models import Heartbeat, Letter, Store, User
from stores.services import create_store


class Away(EmailBackend):
    def open(self) -> bool:
        raise ConnectionRefusedError("nobody is there")


class Refusing(EmailBackend):
    """Knows bob no more."""

    def send_messages(self, messages):
        if "bob@example.com" in messages[0].to:
            raise SMTPRecipientsRefused({"bob@example.com": (550, b"no such user")})
        return super().send_messages(messages)


class Killed(EmailBackend):
    """The process ends when the message is out, before that can be written down."""

    def send_messages(self, messages):
        super().send_messages(messages)
        raise SystemExit


def use(settings, backend: type) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.{backend.__name__}"


WORDS = sorted(
    path
    for path in (settings.BASE_DIR / "templates/letters").glob("*.txt")
    if path.name != "base.txt"
)


@pytest.fixture
def store(alice: User, as_alice) -> Store:
    return create_store(actor=as_alice, owner=alice, name="Anna’s & Co", address="annas-shop")


def later(seconds: float) -> None:
    """As if so much time had gone by."""
    span = timedelta(seconds=seconds)
    Letter.objects.update(due_at=F("due_at") - span, written_at=F("written_at") - span)
    Heartbeat.objects.update(at=F("at") - span)


def test_a_letter_goes_out_once(alice, store):
    write("store-ready", alice, store=store, kind="create")
    assert post.send_due() == 1
    assert post.send_due() == 0
    (message,) = mail.outbox
    assert message.to == ["alice@example.com"]
    assert message.subject == "“Anna’s & Co” is ready"
    assert "https://annas-shop.stores.localhost" in message.body
    assert f"http://localhost:8000/stores/{store.pk}/" in message.body


def test_a_queued_task_sends(alice, store):
    write("store-ready", alice, store=store)
    tasks.send_letters()
    assert len(mail.outbox) == 1


@pytest.mark.django_db(transaction=True)
def test_what_is_undone_is_told_nobody(alice, store):
    def undone() -> None:
        with transaction.atomic():
            write("store-ready", alice, store=store)
            raise KeyError

    with pytest.raises(KeyError):
        undone()
    assert post.send_due() == 0 and not mail.outbox


def test_a_mail_server_that_is_away_loses_nothing(alice, store, settings, caplog):
    write("store-ready", alice, store=store)
    use(settings, Away)
    assert post.send_due() == 0
    assert "the mail server is away (ConnectionRefusedError)" in caplog.text
    assert "alice" not in caplog.text
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    later(post.AWAY_SECONDS + 1)
    assert post.send_due() == 1


def test_a_mail_server_that_is_away_is_left_alone_for_a_while(alice, store, settings):
    write("store-ready", alice, store=store)
    use(settings, Away)
    post.send_due()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    write("store-ready", alice, store=store)
    assert post.send_due() == 0, "nobody waits for it once more so soon"
    assert not post.is_waiting()


def test_the_clock_goes_on_while_the_mail_server_is_away(alice, store, settings):
    use(settings, Away)
    write("store-ready", alice, store=store)
    tasks.reconcile()
    assert Heartbeat.seen(Heartbeat.SWEEP)


def test_the_clock_has_letters_sent_that_were_left_and_rings_rarely(alice, store):
    write("store-ready", alice, store=store)
    OrmQ.objects.all().delete()
    Store.objects.update(lease_until=Now() + timedelta(hours=1))
    tasks.reconcile()
    tasks.reconcile()
    assert OrmQ.objects.count() == 1


def test_one_address_that_is_refused_holds_up_no_other_letter(alice, bob, store, settings, caplog):
    use(settings, Refusing)
    write("store-ready", bob, store=store)
    write("store-ready", alice, store=store)
    assert post.send_due() == 1
    assert [message.to for message in mail.outbox] == [["alice@example.com"]]
    assert "SMTPRecipientsRefused" in caplog.text and "bob" not in caplog.text


def test_it_is_tried_ever_more_rarely_and_given_up_in_the_end(bob, store, settings, caplog):
    use(settings, Refusing)
    letter = write("store-ready", bob, store=store)
    waits = []
    for _ in range(9):
        post.send_due()
        letter.refresh_from_db()
        there = Letter.objects.annotate(wait=F("due_at") - Now()).get()
        waits.append(round(there.wait.total_seconds(), -1))
        later(there.wait.total_seconds() + 1)
    assert waits[:4] == [60, 120, 240, 480] and waits[-1] == 3600
    later(post.GIVE_UP.total_seconds())
    with caplog.at_level(logging.WARNING):
        post.send_due()
    assert not Letter.objects.exists() and "1 letters could not be sent" in caplog.text


def test_who_is_killed_after_sending_sends_the_same_letter_again(alice, store, settings):
    letter = write("store-ready", alice, store=store)
    use(settings, Killed)
    with pytest.raises(SystemExit):
        post.send_due()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert post.send_due() == 0, "it is claimed for a while"
    later(61)
    # The time of writing moved with the others: put it back.
    Letter.objects.filter(pk=letter.pk).update(written_at=letter.written_at)
    assert post.send_due() == 1
    first, again = (message.message() for message in mail.outbox)
    assert first["Message-ID"] == again["Message-ID"], "mailboxes know it again"


def test_of_two_that_send_at_once_one_has_the_letter(alice, store):
    letter = write("store-ready", alice, store=store)
    seen_by_the_other = Letter.objects.get(pk=letter.pk)
    assert post.claim(letter)
    assert not post.claim(seen_by_the_other)


def test_who_is_gone_is_written_to_no_more(alice, store):
    write("store-ready", alice, store=store)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert post.send_due() == 0 and not mail.outbox
    assert Letter.objects.get().sent_at, "and nobody tries again"


def test_letters_that_were_sent_are_forgotten_after_a_week(alice, store):
    write("store-ready", alice, store=store)
    post.send_due()
    Letter.objects.update(sent_at=F("sent_at") - post.KEPT - timedelta(hours=1))
    post.send_due()
    assert not Letter.objects.exists()


def test_a_letter_without_words_holds_up_no_other(alice, store, caplog):
    write("no-such-letter", alice, store=store)
    write("store-ready", alice, store=store)
    assert post.send_due() == 1
    assert "(no-such-letter) cannot be written" in caplog.text


def test_times_are_told_as_the_readers_clock_shows_them(alice, store):
    User.objects.filter(pk=alice.pk).update(time_zone="Asia/Tokyo")
    write("store-degraded", alice, store=store, since="2026-03-01T20:15:00+00:00")
    post.send_due()
    assert "March 2, 2026, 5:15 a.m. (JST)" in mail.outbox[0].body


def test_a_name_is_no_header_and_no_markup(alice, store):
    Store.objects.filter(pk=store.pk).update(name="Ann\r\nBcc: eve@example.com <b>")
    write("store-ready", alice, store=store)
    assert post.send_due() == 1
    assert mail.outbox[0].subject == "“Ann Bcc: eve@example.com <b>” is ready"
    assert mail.outbox[0].recipients() == ["alice@example.com"]


def test_who_has_no_account_reads_the_language_of_who_writes(store):
    letter = write("store-ready", "dora@example.com", store=store)
    assert letter.params["language"] == "en"
    post.send_due()
    assert mail.outbox[0].to == ["dora@example.com"]


@pytest.mark.parametrize("path", WORDS)
def test_every_letter_has_a_subject_and_a_link_and_leaves_nothing_unfilled(path, alice, store):
    given = {"role": "manager", "reason": "Your logs.", "since": "2026-03-01T20:15:00+00:00"}
    cause = {"code": "volume-lost", "params": {"name": "data"}}
    letter = write(path.stem, alice, store=store, message=cause, **given)
    letter.refresh_from_db()
    subject, text = post.words(letter)
    assert 10 < len(subject) < 100
    assert "Anna’s & Co" in subject + text or path.stem == "invitation"
    assert "http://localhost:8000" in text
    assert "{" not in text and "\n\n\n" not in text
    other = post.words(write(path.stem, alice, store=store, **{**given, "role": "viewer"}))[1]
    assert other


def test_every_code_that_is_written_has_its_words():
    written: set[str] = set()
    for path in (settings.BASE_DIR / "stores").glob("*.py"):
        written |= set(re.findall(r'code="([a-z-]+)"', path.read_text()))
        written |= set(re.findall(r'\bwrite\(\s*"([a-z-]+)"', path.read_text()))
    there = {path.stem for path in WORDS}
    built = {"store-degraded", "store-lost", "store-recovered"}  # in notices.tell_health_of
    assert written | built == there
