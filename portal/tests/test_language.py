"""Everything that people read can be read in German too."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.html import strip_tags

from devcluster.testing import needs
from portal.timeline import STEP_TITLES
from provisioning.steps import CLOSE, PROVISION, TEAR_DOWN
from stores.messages import SENTENCES, Message
from stores.models import OperationStep
from stores.words import WORDS

SOURCES = ("portal", "stores", "provisioning", "templates", "locale")
CATALOGUE = Path("locale/de/LC_MESSAGES")
# English is that of the sources; of what comes with libraries some words are ours.
CATALOGUES = [CATALOGUE, Path("locale/en/LC_MESSAGES")]


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=True)
    return done.stdout + done.stderr


@pytest.fixture
def gettext_tools() -> None:
    if shutil.which("xgettext") is None:
        needs("gettext", "Debian's gettext")


@pytest.mark.debian
@pytest.mark.usefixtures("gettext_tools")
def test_every_text_in_the_sources_is_translated(tmp_path):
    for folder in SOURCES:
        shutil.copytree(settings.BASE_DIR / folder, tmp_path / folder)
    extract = ("makemessages", "-l", "de", "--no-location", "--no-obsolete", "--no-wrap")
    run(sys.executable, "-m", "django", *extract, cwd=tmp_path)
    told = run("msgfmt", "--check", "--statistics", "-o", "/dev/null", "django.po",
               cwd=tmp_path / CATALOGUE)  # fmt: skip
    # `make messages` puts new texts into the catalogue, marked as fuzzy or empty.
    assert "untranslated" not in told and "fuzzy" not in told, told


@pytest.mark.debian
@pytest.mark.usefixtures("gettext_tools")
@pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda path: path.parts[1])
def test_the_compiled_catalogue_says_what_the_written_one_does(catalogue, tmp_path):
    folder = settings.BASE_DIR / catalogue
    run("msgfmt", "-o", str(tmp_path / "fresh.mo"), "django.po", cwd=folder)
    fresh = run("msgunfmt", str(tmp_path / "fresh.mo"), cwd=folder)
    assert fresh == run("msgunfmt", "django.mo", cwd=folder)


@pytest.mark.parametrize("code", SENTENCES)
def test_a_stored_message_is_said_in_the_readers_language(code):
    with translation.override("de"):
        german = str(SENTENCES[code])
    assert german != str(SENTENCES[code])


@pytest.mark.parametrize("step", (*CLOSE, *PROVISION, *TEAR_DOWN), ids=lambda step: step.__name__)
def test_a_step_is_called_by_a_name_in_the_readers_language(step):
    row = OperationStep(name=step.__name__)
    assert row.title in STEP_TITLES
    with translation.override("de"):
        assert row.title not in STEP_TITLES


def test_the_words_inside_a_message_are_translated_too():
    message = Message("part-missing", {"name": "The database"})
    with translation.override("de"):
        assert str(message).startswith("Die Datenbank ist aus dem Cluster entfernt")
    assert set(WORDS) >= {"The shop", "memory"}


def test_a_name_of_the_owners_is_never_translated():
    with translation.override("de"):
        assert "Delete" in str(Message("part-missing", {"name": "Delete"}))


@pytest.mark.parametrize("route", ["store-list", "store-create", "account"])
def test_a_browser_that_asks_for_german_gets_it(route, at_alice):
    page = at_alice.get(reverse(route), headers={"accept-language": "de-AT,de;q=0.9,en;q=0.5"})
    assert '<html lang="de"' in page.content.decode()
    assert "Zum Inhalt springen" in page.content.decode()


@pytest.mark.parametrize("route", ["account_signup", "account_reset_password", "account_email"])
def test_pages_of_libraries_have_our_word_for_an_e_mail(route, at_alice, client):
    browser = at_alice if route == "account_email" else client
    shown = strip_tags(browser.get(reverse(route)).content.decode())
    assert "E-mail" in shown and not re.search(r"\bemail", shown, re.IGNORECASE)


def test_a_refused_address_is_called_by_it_too(client, db):
    page = client.post(reverse("account_reset_password"), {"email": "nobody"})
    assert "Enter a valid e-mail address." in page.content.decode()


def test_a_language_that_is_not_there_is_english():
    page = Client().get("/nowhere/", headers={"accept-language": "fr"})
    assert '<html lang="en"' in page.content.decode()
