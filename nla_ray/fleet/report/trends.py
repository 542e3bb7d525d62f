"""Rates over the weeks: which are worth a picture, and where its points lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nla_ray.fleet.report.model import Detector, FleetCell, FleetReport, Point, Reading, Trend
from nla_ray.pages.axes import Axis, rate_axis

MOST = 48
FEWEST = 6
"""Pictures; where less than the fewest are called for, the highest rates fill up."""

Weeks = Sequence[tuple[str, Sequence[FleetCell]]]
"""Weeks with their cells, the oldest first."""


def trends(weeks: Weeks, detectors: Sequence[Detector]) -> tuple[Trend, ...]:
    """Trends of what is above its controls or moved, the most telling first; none of a single week."""
    if len(weeks) < 2:
        return ()
    order = {one.id: at for at, one in enumerate(detectors)}
    ranked = sorted(
        ((_weight(one), order[one.detector], cell.pair, one.detector), noteworthy(one))
        for cell in weeks[-1][1]
        for one in cell.readings
        if one.rate is not None and cell.speaks
    )
    most = min(MOST, max(FEWEST, sum(told for _, told in ranked)))
    by_week = [(week, {cell.pair: cell for cell in cells if cell.speaks}) for week, cells in weeks]
    return tuple(_trend(by_week, pair, detector) for (_, _, pair, detector), _ in ranked[:most])


def noteworthy(one: Reading) -> bool:
    """Whether a reading is above its controls or everywhere, or differs from last week or the base model."""
    moved = any(change and change.verdict in ("risen", "fallen") for change in (one.last, one.base))
    return one.verdict in ("above controls", "everywhere") or one.standing == "gone" or moved


def _weight(one: Reading) -> tuple[bool, bool, bool, float]:
    moved = one.last is not None and one.last.verdict in ("risen", "fallen")
    return (
        one.standing not in ("new", "gone") and not moved,
        one.verdict != "above controls",
        not noteworthy(one),
        -(one.rate or 0.0),
    )


def _trend(
    weeks: Sequence[tuple[str, dict[tuple[str, str], FleetCell]]], pair: tuple[str, str], detector: str
) -> Trend:
    readings = [
        (week, cells[pair].by_detector[detector])
        for week, cells in weeks
        if pair in cells and detector in cells[pair].by_detector
    ]
    points = tuple(
        Point(week=week, rate=one.rate, low=one.low, high=one.high, above=one.verdict == "above controls")
        for week, one in readings
    )
    return Trend(model=pair[0], corpus=pair[1], detector=detector, points=points)


@dataclass(frozen=True)
class Dot:
    """A point of a picture in percent of its width and height, from the left upper corner."""

    x: float
    y: float
    low: float
    high: float
    point: Point


@dataclass(frozen=True)
class Picture:
    """A trend on its axes; `lines` join the dots of weeks that follow each other."""

    trend: Trend
    title: str
    level: str
    axis: Axis
    dots: tuple[Dot, ...]
    lines: tuple[tuple[Dot, Dot], ...]


def pictures(report: FleetReport) -> tuple[Picture, ...]:
    """The trends of a report, each on its own axis of rates, all on one axis of weeks."""
    detectors = {one.id: one for one in report.detectors}
    weeks = [one.of for one in report.weeks]
    return tuple(_picture(one, detectors[one.detector], weeks) for one in report.trends)


def _picture(trend: Trend, detector: Detector, weeks: Sequence[str]) -> Picture:
    axis = rate_axis([0.01], [one.high for one in trend.points])
    dots = []
    for one in trend.points:
        if one.rate is not None:
            x = round(4 + 92 * weeks.index(one.week) / max(1, len(weeks) - 1), 2)
            rate, low, high = (
                round(100 - axis.at(value), 2)
                for value in (
                    one.rate,
                    one.rate if one.low is None else one.low,
                    one.rate if one.high is None else one.high,
                )
            )
            dots.append(Dot(x, rate, low, high, one))
    lines = [(a, b) for a, b in pairwise(dots) if weeks.index(b.point.week) == weeks.index(a.point.week) + 1]
    return Picture(trend, detector.title, detector.level, axis, tuple(dots), tuple(lines))
