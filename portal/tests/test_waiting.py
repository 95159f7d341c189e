"""What those who wait in line are told."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from portal.tests.test_fragments import asks
from portal.waiting import about, in_words
from provisioning.line import Place
from stores.lifecycle import Status
from stores.messages import Message
from stores.models import Operation, OperationStep, Store
from stores.services import pause_provisioning

LIST = "/stores/"


def read(client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


@pytest.fixture
def line(make_store, settings, bob):
    """One store that starts, and three that wait for its place: the last two are alice's."""
    settings.MAX_STORES_STARTING = 1
    make_store("provisioning", owner=bob)
    waiting = [make_store("requested", name=f"Number {number}") for number in range(3)]
    told = Message("in-line", {"starting": 1}).as_json()
    Store.objects.filter(status=Status.REQUESTED).update(message=told)
    for number, store in enumerate(waiting):
        since = timezone.now() - timedelta(minutes=10 - number)
        Store.objects.filter(pk=store.pk).update(status_since=since)
    return waiting


def measured(store: Store, seconds: int) -> None:
    """A provision that took so long has ended well."""
    done = Operation.objects.create(
        store=store, kind="create", outcome="succeeded", finished_at=timezone.now()
    )
    began = timezone.now() - timedelta(hours=1)
    OperationStep.objects.create(
        operation=done, name="wait_until_running", position=0, outcome="done",
        started_at=began, ended_at=began + timedelta(seconds=seconds),
    )  # fmt: skip


def test_a_store_in_line_is_told_its_place_and_no_time_that_was_not_measured(at_alice, line):
    assert "<strong>Next in line.</strong>" in read(at_alice, line[0].get_absolute_url())
    assert "<strong>3rd in line.</strong>" in read(at_alice, line[2].get_absolute_url())
    page = read(at_alice, LIST)
    for words in ("Next in line", "2nd in line", "3rd in line"):
        assert f'<span class="cell-note">{words}</span>' in page


def test_where_it_was_measured_the_time_is_told_too(at_alice, line, make_store):
    measured(line[0], seconds=120)
    page = read(at_alice, line[2].get_absolute_url())
    assert "<strong>3rd in line, about 6 minutes.</strong>" in page


def test_coming_nearer_is_news_for_an_open_page(at_alice, line):
    urls = (line[2].get_absolute_url(), LIST)
    asked = [asks(read(at_alice, url)) for url in urls]
    assert [at_alice.get(ask).status_code for ask in asked] == [204, 204]
    Store.objects.filter(pk=line[0].pk).update(status_since=F("status_since") + timedelta(hours=1))
    for ask in asked:
        assert "2nd in line" in read(at_alice, ask)


def test_who_has_just_asked_is_not_told_of_a_line_yet(at_alice, line):
    Store.objects.filter(pk=line[2].pk).update(message={})
    assert "in line" not in read(at_alice, line[2].get_absolute_url())


def test_while_everything_is_paused_no_time_is_told(at_alice, line, as_carol):
    measured(line[0], seconds=120)
    pause_provisioning("New disks.", actor=as_carol)
    assert "<strong>3rd in line.</strong>" in read(at_alice, line[2].get_absolute_url())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "less than a minute"), (61, "about 1 minute"), (150, "about 2 minutes")],
)
def test_a_wait_is_told_in_whole_minutes(seconds, words):
    assert about(timedelta(seconds=seconds)) == words
    assert in_words(Place(4, 9, timedelta(seconds=seconds))) == f"4th in line, {words}"
