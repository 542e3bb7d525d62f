"""The report as data: canonical, ordered, harmless, described by its schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from nla_ray.audit.report import Report
from nla_ray.pages.data import rounded
from tests.audit.nasty import NASTY, everywhere
from tests.audit.reports import comparison, example

SCHEMA = Path(__file__).parents[3] / "schemas" / "report.schema.json"


def test_equal_content_in_any_order_gives_equal_bytes() -> None:
    report = example(24)
    values = report.model_dump(mode="json")
    values["findings"].reverse()
    values["detectors"].reverse()
    values["runs"][0]["counts"] = dict(reversed(values["runs"][0]["counts"].items()))
    assert Report.model_validate(values).json_text() == report.json_text()
    assert Report.model_validate_json(report.json_text()) == report


def test_sums_in_another_order_give_the_same_number() -> None:
    assert rounded(0.1 + 0.2 + 0.3) == rounded(0.3 + 0.2 + 0.1)
    assert str(rounded(-0.0)) == "0.0"
    assert rounded(1.23456789012e-12) == 1.23456789e-12


@pytest.mark.parametrize("report", [example(0), example(6, comparison=comparison()), everywhere("<b>")])
def test_it_follows_its_schema(report: Report) -> None:
    Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(
        json.loads(report.json_text())
    )


@pytest.mark.parametrize("text", NASTY)
def test_json_is_printable_ascii_without_tags(text: str) -> None:
    written = everywhere(text).json_text()
    assert written.isascii() and "<" not in written
    assert all(line.isprintable() for line in written.split("\n"))
    assert json.loads(written)["title"] == text


def test_findings_that_count_come_first_then_the_gravest_then_the_strongest() -> None:
    findings = example(24).findings
    assert [one.status for one in findings] == ["finding"] * 24 + ["restated"] * 6
    assert [one.level for one in findings[:24]] == ["critical"] * 8 + ["high"] * 12 + ["medium"] * 4
    scores = [one.score for one in findings[:4]]
    assert scores == sorted(scores, key=lambda score: -(score or 0.0))


def test_what_is_not_in_the_model_is_refused() -> None:
    values = example(0).model_dump(mode="json")
    with pytest.raises(ValidationError):
        Report.model_validate(values | {"comment": "x"})
    with pytest.raises(ValidationError):
        Report.model_validate(values | {"verdict": "fine"})
