"""The first page, for who signs: what was tested, on what, by what and when, and what came out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nla_ray.audit.report.figures import HEADINGS
from nla_ray.audit.report.model import Report, Run
from nla_ray.audit.report.outline import run_labels
from nla_ray.audit.report.rates import Detector, RateVerdict, Result
from nla_ray.pages.words import QUOTE, clipped

MOST_LINES = 8
"""Detectors with a line of their own; with more than that the page would not fit on paper."""
MOST_RUNS = 2
MOST_NAMES, IN_A_LINE = 600, 120
"""Characters of a list of detectors without lines of their own, and how many more for each line not used."""
SHOWN: tuple[RateVerdict, ...] = ("above controls", "everywhere")
"""What has a line for each detector."""


@dataclass(frozen=True)
class Tested:
    """A detector's result on one run."""

    detector: Detector
    result: Result
    run: str
    """The run's label; empty where there is one run."""


@dataclass(frozen=True)
class Rest:
    """Detectors with one result, together."""

    heading: str
    names: str
    detectors: int
    most: float | None
    """Upper end of the interval of the largest rate."""
    seen: float | None
    """The least rate that each of them would have flagged."""


@dataclass(frozen=True)
class Cover:
    """What stands on the first page beside the first sentence."""

    runs: tuple[Run, ...]
    """Audited ones."""
    more_runs: int
    lines: tuple[Tested, ...]
    more_lines: int
    rest: tuple[Rest, ...]


def cover(report: Report) -> Cover:
    """The first page, cut so that it fits on one of paper."""
    audited = tuple(run for run in report.runs if run.role == "audited")
    labels = run_labels(report) if len(audited) > 1 else {}
    lines = [
        Tested(detector, result, labels.get(result.run_id, ""))
        for verdict in SHOWN
        for detector in report.detectors
        for result in detector.results
        if result.verdict == verdict
    ]
    return Cover(
        runs=audited[:MOST_RUNS],
        more_runs=len(audited[MOST_RUNS:]),
        lines=tuple(lines[:MOST_LINES]),
        more_lines=len(lines[MOST_LINES:]),
        rest=tuple(_rest(report, MOST_NAMES + IN_A_LINE * max(0, MOST_LINES - len(lines)))),
    )


def _rest(report: Report, most: int) -> Iterator[Rest]:
    for verdict, heading in HEADINGS:
        found = [
            (detector, result)
            for detector in report.detectors
            for result in detector.results
            if result.verdict == verdict and verdict not in SHOWN
        ]
        if found:
            names = dict.fromkeys(clipped(detector.id, QUOTE) for detector, _ in found)
            highs = [result.rates[0].high for _, result in found if result.rates]
            seen = [result.seen for _, result in found]
            yield Rest(
                heading=heading,
                names=clipped("; ".join(names), most),
                detectors=len(names),
                most=max((high for high in highs if high is not None), default=None),
                seen=max((one for one in seen if one is not None), default=None) if all(seen) else None,
            )
