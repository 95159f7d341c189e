"""What owners type is data to Helm, in every chart: it is never rendered as a template (S27)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

CHARTS = sorted(Path(__file__).parents[1].glob("*/Chart.yaml"))
TEMPLATES = [
    template
    for chart in CHARTS
    for template in sorted((chart.parent / "templates").rglob("*"))
    if template.is_file()
]


def test_there_are_charts_and_templates_to_look_at() -> None:
    assert len(CHARTS) >= 2 and len(TEMPLATES) >= 10


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: "/".join(path.parts[-3:]))
def test_only_files_of_the_chart_itself_are_rendered_as_templates(template: Path) -> None:
    for call in re.findall(r"\btpl\b[^}]*", template.read_text()):
        assert re.match(r'tpl \(\.Files\.Get "[^"]+"\) ', call), call


@pytest.mark.parametrize("chart", CHARTS, ids=lambda path: path.parent.name)
def test_no_file_that_is_rendered_holds_what_owners_type(chart: Path) -> None:
    """They may use the sizes that the platform chooses, nothing of ``store`` or of labels."""
    for template in sorted((chart.parent / "templates").rglob("*")):
        text = template.read_text() if template.is_file() else ""
        for name in re.findall(r'tpl \(\.Files\.Get "([^"]+)"\)', text):
            rendered = (chart.parent / name).read_text()
            assert not re.search(r"\.Values\.(store|commonLabels)", rendered), name


@pytest.mark.parametrize("chart", CHARTS, ids=lambda path: path.parent.name)
def test_the_top_of_every_schema_is_closed(chart: Path) -> None:
    schema = json.loads((chart.parent / "values.schema.json").read_text())
    assert schema["additionalProperties"] is False
