"""Times: in words to read, exact to point at, in the zone and the language of who reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone, translation

from portal.templatetags.storeyard import ago, moment, until
from stores.words import age_in_words

NOON = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (9, "just now"),
        (10, "10 seconds ago"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (3600, "1 hour ago"),
        (86399, "23 hours ago"),
        (86400, "1 day ago"),
        (86400 * 40, "40 days ago"),
    ],
)
def test_an_age_is_said_in_its_largest_unit(seconds, words):
    assert age_in_words(timedelta(seconds=seconds)) == words


def test_the_exact_time_is_in_the_readers_own_zone():
    assert 'title="2026-03-01 12:00:05 UTC" data-ago>' in ago(NOON)
    with timezone.override("Europe/Berlin"):
        assert 'title="2026-03-01 13:00:05 CET" data-ago>' in ago(NOON)
        assert 'datetime="2026-03-01T12:00:05+00:00"' in ago(NOON)


def test_a_time_of_day_has_its_date_unless_that_is_today():
    assert ">March 1, 2026, 12:00 UTC<" in moment(NOON)
    now = timezone.now()
    assert f">{now:%H:%M} UTC<" in moment(now)


def test_what_is_over_has_no_time_left():
    assert "data-until>&lt; 1 s<" in until(NOON)


def test_words_of_another_language_need_no_other_code():
    with translation.override("de"):
        assert "1. März 2026, 12:00 UTC" in moment(NOON)
