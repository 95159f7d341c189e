"""The colours of the style sheet: every pair that meets can be told apart (WCAG 2.2 AA)."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

TEXT, SHAPE = 4.5, 3.0
TONES = ("ok", "busy", "bad", "going", "gone")
SURFACES = ("ground", "panel", "sunk")
PAIRS = [
    *((text, surface, TEXT) for text in ("ink", "soft") for surface in SURFACES),
    *((text, surface, TEXT) for text in ("accent", "accent-strong") for surface in SURFACES),
    *(("accent-ink", button, TEXT) for button in ("accent", "accent-strong")),
    *((text, "accent-wash", TEXT) for text in ("accent", "ink", "soft")),
    *((tone, surface, TEXT) for tone in TONES for surface in (f"{tone}-wash", "ground", "panel")),
    *((text, f"{tone}-wash", TEXT) for tone in TONES for text in ("ink", "soft")),
    # Text on a button that destroys, and on the note about a lost connection.
    ("panel", "bad", TEXT),
    ("ground", "ink", TEXT),
    # What shows where a field is, what is filled, and what is focused.
    *(("edge", surface, SHAPE) for surface in ("ground", "panel")),
    *((shape, "sunk", SHAPE) for shape in ("accent", "going", "bad")),
]


def tokens(theme: str) -> dict[str, str]:
    """Name to colour. Dark says only what differs."""
    css = (settings.BASE_DIR / "static" / "storeyard.css").read_text()
    found = {}
    for selector in (":root", '[data-bs-theme="dark"]')[: 2 if theme == "dark" else 1]:
        block = re.search(rf"^{re.escape(selector)} {{(.*?)^}}", css, re.M | re.S)
        assert block, selector
        found |= dict(re.findall(r"--sy-([\w-]+): (#[0-9a-f]{3,6});", block[1]))
    return found


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_computed_as_the_standard_says():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("one", "other", "least"), PAIRS)
def test_what_meets_can_be_told_apart(one, other, least, theme):
    known = tokens(theme)
    assert contrast(known[one], known[other]) >= least


def test_dark_has_an_own_answer_for_every_colour():
    light, dark = tokens("light"), tokens("dark")
    assert [name for name in light if light[name] == dark[name]] == []
