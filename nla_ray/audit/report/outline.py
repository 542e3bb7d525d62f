"""What the page leads with and which findings it shows: counts, groups, and the cut where they are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from nla_ray.audit.report.evidence import Evidence, Finding
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.rates import Detector
from nla_ray.config.detectors.levels import GRAVEST_FIRST, Level
from nla_ray.pages.words import clipped

MOST_FINDINGS = 200
"""Findings shown on the page, over all detectors."""
MOST_OF_DETECTOR = 25
LEAST_OF_DETECTOR = 3
EXAMPLES = 3
"""Documents shown for each reason why hits are no finding."""
AROUND = 600
"""Characters of an explanation shown on each side of what was matched."""


@dataclass(frozen=True)
class Headline:
    """The numbers that stand at the top."""

    findings: dict[Level, int]
    """Documents with findings, by level; a document counts once for each detector."""
    suppressed: int
    """How many of those that the report holds somebody has answered for."""
    verdicts: dict[str, int]
    """Detectors by verdict, over the audited runs."""
    documents: int
    rows: int

    @property
    def total(self) -> int:
        """All findings."""
        return sum(self.findings.values())


@dataclass(frozen=True)
class Found:
    """Findings of one detector, or documents that were set aside for one reason."""

    title: str
    detector: Detector | None
    total: int
    shown: tuple[Finding, ...]


@dataclass(frozen=True)
class Outline:
    """Findings by level, and what was ruled out."""

    levels: tuple[tuple[Level, int, tuple[Found, ...]], ...]
    gone: Found | None
    aside: tuple[Found, ...]
    shown: int
    listed: int
    """Of the findings, how many the report holds."""
    total: int


def headline(report: Report) -> Headline:
    """Counts over the audited runs."""
    audited = [run for run in report.runs if run.role == "audited"]
    real = [population for run in audited for population in run.populations if population.name == "real"]
    verdicts: Counter[str] = Counter(
        result.verdict for detector in report.detectors for result in detector.results
    )
    return Headline(
        findings={one.level: one.findings for one in report.found},
        suppressed=sum(one.suppression is not None for one in report.findings if counts(one)),
        verdicts=dict(verdicts),
        documents=sum(population.documents for population in real),
        rows=sum(population.rows for population in real),
    )


def counts(one: Finding) -> bool:
    """Whether it is a finding, and still there."""
    return one.status == "finding" and one.state != "absent"


def outline(report: Report) -> Outline:
    """The findings that the page shows: the same few of each detector, however many there are."""
    counted = [one for one in report.findings if counts(one)]
    detectors = {detector.id: detector for detector in report.detectors}
    groups, totals = _grouped(counted), _totals(report)
    most = max(LEAST_OF_DETECTOR, min(MOST_OF_DETECTOR, MOST_FINDINGS // max(1, len(groups))))
    found = [
        (level, Found(_title(detectors, name), detectors.get(name), totals[level, name], tuple(ones[:most])))
        for (level, name), ones in groups.items()
    ]
    levels = ((level, tuple(one for other, one in found if other == level)) for level in GRAVEST_FIRST)
    return Outline(
        levels=tuple((level, sum(one.total for one in ones), ones) for level, ones in levels if ones),
        gone=_gone(report),
        aside=tuple(_aside(report, detectors)),
        shown=sum(len(one.shown) for _, one in found),
        listed=len(counted),
        total=sum(totals.values()),
    )


def _totals(report: Report) -> Counter[tuple[Level, str]]:
    """Findings of each detector: those that it counted, or those that are there where it is not known."""
    totals = Counter((one.level, one.detector) for one in report.findings if counts(one))
    for detector in report.detectors:
        totals[detector.level, detector.id] = sum(result.findings for result in detector.results)
    return totals


def _grouped(findings: Iterable[Finding]) -> dict[tuple[Level, str], list[Finding]]:
    groups: dict[tuple[Level, str], list[Finding]] = {}
    for one in findings:
        groups.setdefault((one.level, one.detector), []).append(one)
    return groups


def _gone(report: Report) -> Found | None:
    gone = [one for one in report.findings if one.state == "absent"]
    return Found("Gone", None, len(gone), tuple(gone[:MOST_OF_DETECTOR])) if gone else None


def _aside(report: Report, detectors: dict[str, Detector]) -> Iterable[Found]:
    """Documents with hits that are no finding, by detector and reason."""
    groups: dict[tuple[str, str], list[Finding]] = {}
    for one in report.findings:
        if one.status != "finding" and one.state != "absent":
            groups.setdefault((one.detector, one.status), []).append(one)
    for (name, status), ones in sorted(groups.items()):
        title, detector = f"{_title(detectors, name)}: {status}", detectors.get(name)
        results = detector.results if detector else ()
        total = sum(result.set_aside.get(status, 0) for result in results)
        yield Found(title, detector, max(total, len(ones)), tuple(ones[:EXAMPLES]))


def _title(detectors: dict[str, Detector], name: str) -> str:
    return detectors[name].title if name in detectors else name


def run_labels(report: Report) -> dict[str, str]:
    """What the page calls each run."""
    return {run.run_id: run.label for run in report.runs}


def marked(evidence: Evidence) -> tuple[str, str, str]:
    """An explanation as what stands before the matched words, they, and what follows; cut where it is long.

    Where the words are not in it, all of it stands before.
    """
    text, span = evidence.explanation, evidence.span
    start = text.find(span, evidence.span_start or 0)
    if start < 0 or not span:
        return clipped(text, 2 * AROUND), "", ""
    before, after = text[:start], text[start + len(span) :]
    if len(before) > AROUND:
        before = f"[{len(before) - AROUND} more characters \u2026] {before[-AROUND:]}"
    return before, span, clipped(after, AROUND)
