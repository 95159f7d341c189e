"""What the README promises is there, and what is there is in the README."""

import re

import pytest
from django.conf import settings
from django.core.management import get_commands

from provisioning.cluster.simulation.course import FAULTS

README = (settings.BASE_DIR / "README.md").read_text()


def test_every_setting_is_in_the_table():
    folder = settings.BASE_DIR / "portal" / "settings"
    source = "".join(file.read_text() for file in folder.glob("*.py"))
    names = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', source))
    assert len(names) > 40
    assert {name for name in names if f"`{name}`" not in README} == set()


def test_every_make_target_is_in_the_table():
    makefile = (settings.BASE_DIR / "Makefile").read_text()
    [targets] = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    told = re.findall(r"`make ([a-z-]+)", README)
    assert set(targets.split()) - {"help"} == set(told)
    # Else make finds nothing to do, and says that all is well.
    assert set(targets.split()) <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_every_command_is_in_the_table():
    ours = {name for name, app in get_commands().items() if app == "provisioning"}
    assert {name for name in ours if f"`{name}" not in README} == set()


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_in_the_table(fault):
    assert f"| `{fault}` |" in README


def test_every_page_that_is_linked_is_there():
    for page in (settings.BASE_DIR / "README.md", *(settings.BASE_DIR / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
