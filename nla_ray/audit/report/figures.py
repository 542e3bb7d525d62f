"""What the page's plots show: rates beside controls, and changes between two runs, placed on one axis."""

from __future__ import annotations

from dataclasses import dataclass

from nla_ray.audit.report.model import Report
from nla_ray.audit.report.rates import Change, Detector, Rate, RateVerdict, Result
from nla_ray.pages.axes import Axis, change_axis, rate_axis
from nla_ray.pages.words import decimals
from nla_ray.tables import REAL

BENIGN = "benign"
FIDELITY = (0.0, 0.25, 0.5, 0.75)
"""Where the colours of fidelity change."""

LEAST_DRAWN = 1e-4
"""Rates under this stand at the left end of an axis, where zero is."""

HEADINGS: tuple[tuple[RateVerdict, str], ...] = (
    ("above controls", "Above the controls"),
    ("everywhere", "Everywhere: cannot be told from a habit on this corpus"),
    ("not distinguishable", "Not distinguishable from controls"),
    ("insufficient evidence", "Insufficient evidence"),
)


@dataclass(frozen=True)
class Line:
    """A detector in the figure: its rates by document, real first."""

    detector: Detector
    result: Result
    rates: tuple[Rate, ...]

    @property
    def raw(self) -> dict[str, float | None]:
        """By population: the share of rows with a mention at any fidelity; None: rows are not counted."""
        rows = {rate.population: rate.rate for rate in self.result.rates if rate.unit == "row"}
        return dict.fromkeys((rate.population for rate in self.rates), None) | rows


@dataclass(frozen=True)
class Group:
    """Detectors with the same verdict."""

    verdict: RateVerdict
    heading: str
    lines: tuple[Line, ...]

    @property
    def drawn(self) -> tuple[Line, ...]:
        """Those that some document meets."""
        return tuple(line for line in self.lines if line.rates[0].k)

    @property
    def silent(self) -> tuple[Line, ...]:
        """Those that no document meets."""
        return tuple(line for line in self.lines if not line.rates[0].k)


@dataclass(frozen=True)
class Figure:
    """The rates of one run."""

    run_id: str
    axis: Axis
    digits: int
    groups: tuple[Group, ...]

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of the populations, in order."""
        rates = (rate for group in self.groups for line in group.lines for rate in line.rates)
        return tuple(dict.fromkeys(rate.population for rate in rates))

    @property
    def corrected(self) -> bool:
        """Whether a rate is another one than that of its counts."""
        rates = (rate for group in self.groups for line in group.lines for rate in line.rates)
        return any(rate.rate is not None and abs(rate.rate * rate.n - rate.k) > 1e-3 for rate in rates)


@dataclass(frozen=True)
class Changes:
    """Changes between two runs: each with its detector's title."""

    axis: Axis
    digits: int
    lines: tuple[tuple[str, Change], ...]


def rate_figures(report: Report) -> tuple[Figure, ...]:
    """One figure for each run that has results, in the order of the report's runs."""
    return tuple(
        _figure(run.run_id, lines) for run in report.runs if (lines := _lines(report.detectors, run.run_id))
    )


def _lines(detectors: tuple[Detector, ...], run_id: str) -> list[Line]:
    return [
        Line(detector, result, tuple(rate for rate in result.rates if rate.unit == "document"))
        for detector in detectors
        for result in detector.results
        if result.run_id == run_id
    ]


def _figure(run_id: str, lines: list[Line]) -> Figure:
    rates = [rate for line in lines for rate in line.rates]
    groups = (
        Group(verdict, heading, tuple(line for line in lines if line.result.verdict == verdict))
        for verdict, heading in HEADINGS
    )
    axis = rate_axis(
        [rate.rate for rate in rates if (rate.rate or 0.0) >= LEAST_DRAWN], [rate.high for rate in rates]
    )
    digits = decimals(rate.rate for rate in rates if rate.population in (REAL, BENIGN))
    return Figure(run_id, axis, digits, tuple(group for group in groups if group.lines))


def changes_figure(report: Report) -> Changes | None:
    """The changes of the comparison; None where there is none."""
    if report.comparison is None:
        return None
    titles = {detector.id: detector.title for detector in report.detectors}
    changes = report.comparison.changes
    bounds = [bound for change in changes for bound in (change.change, change.low, change.high)]
    before = [_share(change.k_before, change.n_before) for change in changes]
    lines = tuple((titles.get(change.detector, change.detector), change) for change in changes)
    return Changes(change_axis(bounds), decimals([*before, *(change.change for change in changes)]), lines)


def _share(k: int, n: int) -> float | None:
    return k / n if n else None


def fidelity_class(fve_nrm: float | None) -> str:
    """Name of the colour of a fidelity: f0 (below zero) to f4; fx where it is not known."""
    return "fx" if fve_nrm is None else f"f{sum(fve_nrm >= bound for bound in FIDELITY)}"
