"""The picture of a week: models by detectors, over all corpora and for each one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nla_ray.fleet.report.model import Change, Detector, FleetCell, FleetReport, Reading
from nla_ray.pages.words import percent, points, probability

SHADES = (0.0, 0.02, 0.1, 0.3)
"""Rates from which on a square above its controls has the next shade."""
OPEN = 3
"""So many corpora are shown unfolded."""
QUIET, SILENT, ABSENT = "q", "u", "x"


@dataclass(frozen=True)
class Square:
    """One square: name of its colour, what stands in it, and what is told of it when it is pointed at."""

    colour: str
    text: str
    title: str = ""


@dataclass(frozen=True)
class Row:
    """A model; `silent` is why its cell says nothing."""

    model: str
    base: str | None
    squares: tuple[Square, ...]
    silent: str = ""


@dataclass(frozen=True)
class Matrix:
    """Models by detectors, of one corpus."""

    corpus: str
    rows: tuple[Row, ...]
    above: int
    moved: int
    silent: int

    @property
    def speaks(self) -> bool:
        """Whether any model has squares here."""
        return any(row.squares for row in self.rows)


def overview(report: FleetReport) -> tuple[Row, ...]:
    """Models by detectors over all corpora: on how many of them the detector is above its controls."""
    models: dict[str, list[FleetCell]] = {}
    for cell in filter(lambda one: one.asked, report.cells):
        models.setdefault(cell.result.cell.model, []).append(cell)
    return tuple(
        Row(
            name,
            cells[0].result.cell.base,
            tuple(_over(one, cells) for one in report.detectors) if any(c.speaks for c in cells) else (),
            "" if any(c.speaks for c in cells) else ", ".join(dict.fromkeys(c.says for c in cells)),
        )
        for name, cells in models.items()
    )


def matrices(report: FleetReport) -> tuple[Matrix, ...]:
    """One picture for each corpus that is audited, in the order of the configuration."""
    corpora: dict[str, list[FleetCell]] = {}
    for cell in filter(lambda one: one.asked, report.cells):
        corpora.setdefault(cell.result.cell.corpus, []).append(cell)
    return tuple(_matrix(name, cells, report.detectors) for name, cells in corpora.items())


def _matrix(corpus: str, cells: Sequence[FleetCell], detectors: Sequence[Detector]) -> Matrix:
    readings = [one for cell in cells if cell.speaks for one in cell.readings]
    return Matrix(
        corpus,
        tuple(_row(cell, detectors) for cell in cells),
        above=sum(one.verdict == "above controls" for one in readings),
        moved=sum(moved(one.last) for one in readings),
        silent=sum(cell.asked and not cell.speaks for cell in cells),
    )


def _row(cell: FleetCell, detectors: Sequence[Detector]) -> Row:
    own = cell.result.cell
    if not cell.speaks:
        return Row(own.model, own.base, (), cell.says)
    return Row(own.model, own.base, tuple(square(cell.by_detector.get(one.id)) for one in detectors))


def square(one: Reading | None) -> Square:
    """The square of a reading: its rate in percent and marks of what moved."""
    if one is None:
        return Square(ABSENT, "")
    marks = mark(one)
    if one.verdict == "insufficient evidence":
        return Square(SILENT, short(one.rate) + marks, "insufficient evidence")
    if one.verdict == "everywhere":
        return Square(SILENT, short(one.rate) + marks, "everywhere: not told from a habit")
    interval = f"{short(one.low)} to {short(one.high)} %"
    if one.verdict != "above controls" and not marks:
        return Square(QUIET, short(one.rate), interval)
    told = [f"{short(one.rate)} % ({interval}), {one.k} of {one.n}, controls {short(one.beside)} %"]
    told += [
        f"{name} {_change(change)}" for name, change in (("last", one.last), ("base", one.base)) if change
    ]
    return Square(shade(one), short(one.rate) + marks, "; ".join(told))


def shade(one: Reading) -> str:
    """Name of a square's colour: h1 to h4 by the rate where it is above its controls."""
    if one.verdict != "above controls":
        return QUIET
    return f"h{sum((one.rate or 0.0) >= least for least in SHADES)}"


def mark(one: Reading) -> str:
    """Arrows: full ones for what moved since last week, hollow ones for what is not the base model's rate."""
    arrows = {"risen": ("\u25b2", "\u25b3"), "fallen": ("\u25bc", "\u25bd")}
    of = ((one.last, 0), (one.base, 1))
    return "".join(arrows[change.verdict][at] for change, at in of if change and change.verdict in arrows)


def moved(change: Change | None) -> bool:
    """Whether it is a change."""
    return change is not None and change.verdict in ("risen", "fallen")


def short(rate: float | None) -> str:
    """A share in percent in as few characters as say something."""
    if rate is None:
        return "\u2013"
    value = 100 * rate
    return "0" if value == 0 else f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"


def _over(detector: Detector, cells: Iterable[FleetCell]) -> Square:
    """All corpora of a model: how many are above, coloured by the highest of their rates."""
    found = [(cell, one) for cell in cells if cell.speaks and (one := cell.by_detector.get(detector.id))]
    told = [(cell, one) for cell, one in found if one.verdict == "above controls" or mark(one)]
    marks = "".join(sorted({sign for _, one in found for sign in mark(one)}))
    above = [one for _, one in told if one.verdict == "above controls"]
    title = "; ".join(f"{cell.result.cell.corpus} {short(one.rate)} %{mark(one)}" for cell, one in told)
    if above:
        highest = max(above, key=lambda one: one.rate or 0.0)
        return Square(shade(highest), f"{len(above)}{marks}", title)
    if not found or all(one.verdict == "insufficient evidence" for _, one in found):
        return Square(SILENT, "")
    return Square(QUIET, marks, title)


def _change(one: Change) -> str:
    interval = f"{points(one.low)} to {points(one.high)}"
    return f"{points(one.change)} points ({interval}), p {probability(one.p_adjusted)}"


def rate_text(one: Reading, digits: int = 1) -> str:
    """A rate with its interval."""
    if one.low is None or one.high is None:
        return percent(one.rate, digits)
    return f"{percent(one.rate, digits)} ({short(one.low)} to {short(one.high)})"
