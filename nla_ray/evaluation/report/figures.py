"""What the page's plots show: where means lie on an axis, histograms and a curve as coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nla_ray.evaluation.model import Distribution, Evaluation, Length, Mean, Measured
from nla_ray.pages.axes import Axis, span_axis

UNIT = Axis(0.0, 1.0, (0.0, 0.5, 1.0))
"""For shares."""


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram: left, width and height in percent of the plot."""

    left: float
    width: float
    height: float


@dataclass(frozen=True)
class Histogram:
    """The distribution of one control on the axis of all."""

    control: str
    bars: tuple[Bar, ...]
    top: float
    """Share of the answers that the highest bar stands for."""
    median: float


@dataclass(frozen=True)
class Histograms:
    """All of them, on one axis."""

    axis: Axis
    plots: tuple[Histogram, ...]


@dataclass(frozen=True)
class Point:
    """A point of the curve in percent of the plot, from its left and upper edges, with its interval."""

    x: float
    y: float
    low: float
    high: float
    length: Length


@dataclass(frozen=True)
class Curve:
    """Fidelity against the share of words kept."""

    axis: Axis
    points: tuple[Point, ...]

    @property
    def line(self) -> str:
        """Points of the polyline."""
        return " ".join(f"{one.x},{one.y}" for one in self.points)

    @property
    def band(self) -> str:
        """Points of the polygon about the intervals."""
        back = reversed(self.points)
        return " ".join(
            [*(f"{one.x},{one.high}" for one in self.points), *(f"{one.x},{one.low}" for one in back)]
        )


def axis_over(means: Iterable[Mean]) -> Axis:
    """An axis in few steps that holds all these means with their intervals; it ends at 0 or above."""
    return span_axis(bound for one in means for bound in (one.mean, one.low, one.high))


def control_axis(found: Evaluation) -> Axis:
    """For `fve_nrm` of the real rows and of controls."""
    return axis_over(one.fve_nrm for one in found.measured)


def bucket_axis(found: Evaluation) -> Axis:
    """For `fve_nrm` of all buckets."""
    return axis_over(one.fve_nrm for grouped in found.buckets for one in grouped.buckets)


def edit_axis(found: Evaluation) -> Axis:
    """For `fve_nrm` before and after every edit."""
    edits = found.robustness.edits
    return axis_over(
        [found.robustness.intact, *(one for edit in edits for one in (edit.intact, edit.edited))]
    )


def histograms(edges: Sequence[float], measured: Sequence[Measured]) -> Histograms:
    """Histograms without the empty bins at the left that all share; each in its own scale."""
    counts = {one.control: one.distribution.histogram for one in measured if one.distribution is not None}
    held = [at for rows in counts.values() for at, n in enumerate(rows) if n]
    first = min(held, default=0)
    left = math.floor(2 * edges[first] + 1e-9) / 2
    ticks = tuple(left + at / 2 for at in range(round(2 * (edges[-1] - left)) + 1))
    axis = Axis(left, edges[-1], ticks)
    plots = (_histogram(one.control, one.distribution, edges, axis) for one in measured if one.distribution)
    return Histograms(axis, tuple(plots))


def _histogram(control: str, found: Distribution, edges: Sequence[float], axis: Axis) -> Histogram:
    most, total = max(found.histogram), sum(found.histogram)
    bars = tuple(
        Bar(axis.at(low), round(axis.at(high) - axis.at(low), 2), round(100 * n / most, 2))
        for (low, high), n in zip(pairwise(edges), found.histogram, strict=True)
        if n
    )
    return Histogram(control, bars, most / total, axis.at(found.quantiles["0.5"]))


def curve(lengths: Sequence[Length]) -> Curve | None:
    """The curve of fidelity by length; None without texts."""
    known = [one for one in lengths if one.fve_nrm.mean is not None]
    if not known:
        return None
    axis = axis_over(one.fve_nrm for one in known)
    points = []
    for one in known:
        mean = one.fve_nrm.mean or 0.0
        low, high = (mean if end is None else end for end in (one.fve_nrm.low, one.fve_nrm.high))
        y, bottom, top = (round(100 - axis.at(value), 2) for value in (mean, low, high))
        points.append(Point(round(100 * one.share, 2), y, bottom, top, one))
    return Curve(axis, tuple(points))
