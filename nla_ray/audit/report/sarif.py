"""The report as SARIF 2.1.0: detectors are rules, findings are results, with the run before as baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from nla_ray.audit.report.evidence import Finding, Suppression
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.rates import Detector
from nla_ray.config.detectors.levels import Level
from nla_ray.pages.data import canonical
from nla_ray.pages.words import QUOTE, clipped
from nla_ray.text import printable

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SEVERITY: dict[Level, str] = {
    "critical": "error",
    "high": "error",
    "medium": "warning",
    "low": "note",
    "informational": "note",
}


def sarif(report: Report) -> str:
    """The log as canonical JSON. An audit that is not reportable has no results, only the reasons why."""
    rules = {detector.id: at for at, detector in enumerate(report.detectors)}
    reportable = report.verdict != "not reportable"
    shown = [one for one in report.findings if one.status == "finding" and reportable]
    run = {
        "tool": {
            "driver": {
                "name": "nla_ray",
                "semanticVersion": report.version,
                "rules": [_rule(detector) for detector in report.detectors],
            }
        },
        "automationDetails": {"id": f"nla_ray/{report.audit_id}"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {
            "DOCUMENTS": {"description": {"text": "The documents of the audited corpus."}}
        },
        "invocations": [
            {
                "executionSuccessful": reportable,
                "toolExecutionNotifications": _notifications(report) + _left_out(report, shown),
            }
        ],
        "results": [_result(one, rules) for one in shown],
        "properties": {"verdict": report.verdict, "config_sha256": report.config_sha256},
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return canonical(log)


def literal(text: str) -> str:
    """Text inside a SARIF message: neither a placeholder nor a link."""
    line = clipped(printable(text), QUOTE).replace("\\", "\\\\")
    return line.replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")


def _rule(detector: Detector) -> dict[str, Any]:
    return {
        "id": detector.id,
        "name": detector.title,
        "shortDescription": {"text": literal(detector.title)},
        "fullDescription": {"text": literal(detector.description)},
        "help": {"text": literal(f"Rule: {detector.rule}.")},
        "defaultConfiguration": {"level": SEVERITY[detector.level]},
        "properties": {
            "level": detector.level,
            "tier": detector.tier,
            "validated": detector.validated,
            "verdicts": {result.run_id: result.verdict for result in detector.results},
        },
    }


def _result(one: Finding, rules: dict[str, int]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": one.detector,
        "level": SEVERITY[one.level],
        "message": {"text": _message(one)},
        "locations": [_location(one)],
        "partialFingerprints": {"finding/v1": one.finding_id},
        "properties": {
            "level": one.level,
            "positions": f"{one.positions_hit}/{one.positions_read}",
            "run_id": one.run_id,
            "score": one.score,
            "tier": one.tier,
        },
    }
    if one.detector in rules:
        result["ruleIndex"] = rules[one.detector]
    if one.state is not None:
        result["baselineState"] = one.state
    if one.suppression is not None:
        result["suppressions"] = [_suppression(one.suppression)]
    return result


def _message(one: Finding) -> str:
    where = f"at {one.positions_hit} of {one.positions_read} positions of {literal(one.doc_id)}"
    if not one.evidence:
        return f"Explanations {where} mention it."
    return f'The explanation mentions "{literal(one.evidence[0].span)}", {where}.'


def _location(one: Finding) -> dict[str, Any]:
    """The document; tools that show files need a URI, so its id is one, percent-encoded."""
    uri = quote(one.doc_id, safe="")
    return {
        "physicalLocation": {"artifactLocation": {"uri": uri, "uriBaseId": "DOCUMENTS"}},
        "logicalLocations": [{"fullyQualifiedName": printable(one.doc_id), "kind": "resource"}],
    }


def _suppression(suppression: Suppression) -> dict[str, Any]:
    return {
        "kind": "external",
        "status": "accepted",
        "justification": suppression.reason,
        "properties": {"owner": suppression.owner, "expires": suppression.expires},
    }


def _notifications(report: Report) -> list[dict[str, Any]]:
    levels = {"reportable": "note", "insufficient evidence": "warning", "not reportable": "error"}
    return [
        {
            "level": levels[report.verdict],
            "message": {"text": f"{report.verdict.capitalize()}: {literal(reason)}"},
        }
        for reason in report.reasons
    ]


def _left_out(report: Report, shown: Sequence[Finding]) -> list[dict[str, Any]]:
    """That a report holds the strongest findings of each detector alone, where it does; else nothing."""
    gone = sum(one.state == "absent" for one in shown)
    found = sum(result.findings for detector in report.detectors for result in detector.results)
    counts = [
        (len(shown) - gone, found, "findings", "the table findings has all of them"),
        (gone, report.comparison.gone if report.comparison else 0, "findings that are gone",
         "the table findings of the audit of the run before has them"),
    ]  # fmt: skip
    return [
        {
            "level": "warning",
            "message": {
                "text": f"Results hold {kept} of {n} {what}, the strongest of each detector: {where}."
            },
        }
        for kept, n, what, where in counts
        if kept < n and report.verdict != "not reportable"
    ]
