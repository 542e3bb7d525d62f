"""SARIF 2.1.0: the structure that its readers rely on, and messages without links or placeholders."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from nla_ray.audit.report import Report
from nla_ray.audit.report.evidence import Suppression
from nla_ray.audit.report.sarif import sarif
from nla_ray.pages.words import QUOTE
from nla_ray.text import printable
from tests.audit.nasty import NASTY, everywhere, in_findings
from tests.audit.reports import comparison, example


def log(report: Report) -> dict[str, Any]:
    written = sarif(report)
    assert written.isascii() and "<" not in written
    run: dict[str, Any] = json.loads(written)["runs"][0]
    return run


def test_detectors_are_rules_and_findings_are_results() -> None:
    report = example(12)
    run = log(report)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == [detector.id for detector in report.detectors]
    assert len(run["results"]) == 12
    severities = {"critical": "error", "high": "error", "medium": "warning"}
    for result, one in zip(run["results"], report.findings, strict=False):
        assert result["ruleId"] == rules[result["ruleIndex"]]["id"] == one.detector
        assert result["level"] == severities[one.level]
        assert result["partialFingerprints"] == {"finding/v1": one.finding_id}
        assert "baselineState" not in result and "suppressions" not in result
    assert run["invocations"][0]["executionSuccessful"] is True


def test_findings_that_are_no_results_are_counted_in_a_notification() -> None:
    report = example(12, comparison=comparison())
    told = report.comparison.model_copy(update={"gone": 3})  # type: ignore[union-attr]
    less = report.model_copy(update={"findings": report.findings[:9], "comparison": told})
    notes = log(less)["invocations"][0]["toolExecutionNotifications"]
    texts = [one["message"]["text"] for one in notes if one["level"] == "warning"]
    assert [text.partition(",")[0] for text in texts] == [
        "Results hold 9 of 12 findings",
        "Results hold 0 of 3 findings that are gone",
    ]
    whole = report.model_copy(update={"comparison": told.model_copy(update={"gone": 0})})
    assert {one["level"] for one in log(whole)["invocations"][0]["toolExecutionNotifications"]} == {"note"}


def test_states_and_suppressions() -> None:
    report = example(3, comparison=comparison())
    answered = Suppression(owner="A. Person", reason="a known test set", expires="2027-01-31")
    found = [one.model_copy(update={"state": "new", "suppression": answered}) for one in report.findings]
    result = log(report.model_copy(update={"findings": tuple(found)}))["results"][0]
    assert result["baselineState"] == "new"
    assert result["suppressions"] == [
        {
            "kind": "external",
            "status": "accepted",
            "justification": "a known test set",
            "properties": {"owner": "A. Person", "expires": "2027-01-31"},
        }
    ]


def test_an_audit_that_is_not_reportable_has_no_results() -> None:
    run = log(example(6, verdict="not reportable", reasons=("Fidelity is 0.41.",)))
    assert run["results"] == [] and run["invocations"][0]["executionSuccessful"] is False
    notification = run["invocations"][0]["toolExecutionNotifications"][0]
    assert notification == {"level": "error", "message": {"text": "Not reportable: Fidelity is 0.41."}}


@pytest.mark.parametrize("text", NASTY)
def test_messages_hold_neither_links_nor_placeholders(text: str) -> None:
    for report in (everywhere(text), in_findings(text)):
        for result in log(report)["results"]:
            message = result["message"]["text"]
            assert message.isprintable()
            assert not re.search(r"(?<!\\)(\\\\)*\[", message)
            assert not re.search(r"\{\d+\}", message.replace("{{", "").replace("}}", ""))
            if len(text) < QUOTE:
                assert printable(text) in _read(message)
            uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
            assert re.fullmatch(r"[A-Za-z0-9_.~%-]*", uri)


def _read(message: str) -> str:
    """A message as a reader of SARIF shows it."""
    return re.sub(r"\\(.)", r"\1", message.replace("{{", "{").replace("}}", "}"))
