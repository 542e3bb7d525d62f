"""What holds over a whole sweep: false discovery is controlled over all cells at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from nla_ray.audit.inference.statistics import benjamini_hochberg
from nla_ray.fleet.report.model import Against, Change, Family, FleetCell, Reading, Verdict
from nla_ray.pages.data import rounded

Pair = tuple[str, str]
Kind = Literal["last", "base"]


def judged(
    cells: Sequence[FleetCell], earlier: Mapping[Pair, FleetCell], q: float
) -> tuple[tuple[FleetCell, ...], tuple[Family, ...]]:
    """The cells after the corrections, and the families of tests that were corrected.

    Three families, each over all detectors of all cells whose audit is reportable: against controls, against
    last week, against the base model. Cells that are not reportable claim nothing and so test nothing.
    `earlier` is the newest earlier reading of each cell, by which findings are new or gone.
    """
    reportable = [cell for cell in cells if cell.result.verdict == "reportable"]
    where = [(cell.pair, one.detector) for cell in reportable for one in cell.readings]
    readings = [one for cell in reportable for one in cell.readings]
    readings, controls = _controls(readings, q)
    readings, last = _changes(readings, q, "last", "last week")
    readings, base = _changes(readings, q, "base", "base model")
    found = dict(zip(where, readings, strict=True))
    made = tuple(
        cell.model_copy(
            update={
                "readings": tuple(
                    _standing(found.get((cell.pair, one.detector), _unsaid(one)), earlier.get(cell.pair))
                    for one in cell.readings
                )
            }
        )
        for cell in cells
    )
    return made, (controls, last, base)


def _controls(readings: Sequence[Reading], q: float) -> tuple[list[Reading], Family]:
    adjusted = _adjusted([one.p for one in readings])
    return [_above(one, p, q) for one, p in zip(readings, adjusted, strict=True)], _family(
        "controls", adjusted, q
    )


def _adjusted(p: Sequence[float | None]) -> list[float | None]:
    return [None if one is None else rounded(one) for one in benjamini_hochberg(p)]


def _above(one: Reading, p: float | None, q: float) -> Reading:
    """The reading, above its controls where both its own audit and the whole sweep say so."""
    if p is None:
        return one.model_copy(update={"verdict": "insufficient evidence", "findings": 0})
    if one.alone == "above controls" and p <= q:
        return one.model_copy(update={"p_adjusted": p})
    verdict: Verdict = one.alone if one.alone == "everywhere" else "not distinguishable"
    return one.model_copy(update={"p_adjusted": p, "verdict": verdict, "findings": 0})


def _unsaid(one: Reading) -> Reading:
    """A reading of a cell that claims nothing."""
    update = {"verdict": "insufficient evidence", "findings": 0, "last": None, "base": None}
    return one.model_copy(update=update)


def _changes(
    readings: Sequence[Reading], q: float, kind: Kind, against: Against
) -> tuple[list[Reading], Family]:
    of: Callable[[Reading], Change | None] = lambda one: getattr(one, kind)  # noqa: E731
    adjusted = _adjusted([None if (change := of(one)) is None else change.p for one in readings])
    made = [
        one if (change := of(one)) is None else one.model_copy(update={kind: _moved(change, p, q)})
        for one, p in zip(readings, adjusted, strict=True)
    ]
    return made, _family(against, adjusted, q)


def _moved(change: Change, p: float | None, q: float) -> Change:
    if p is None:
        return change
    verdict = "no change shown" if p > q else "risen" if (change.change or 0.0) > 0 else "fallen"
    return change.model_copy(update={"p_adjusted": p, "verdict": verdict})


def _family(against: Against, adjusted: Sequence[float | None], q: float) -> Family:
    tested = [p for p in adjusted if p is not None]
    return Family(against=against, tests=len(tested), significant=sum(p <= q for p in tested))


def _standing(one: Reading, earlier: FleetCell | None) -> Reading:
    was = None if earlier is None else earlier.by_detector.get(one.detector)
    if was is None or one.verdict == "insufficient evidence":
        return one
    before, now = (reading.verdict == "above controls" for reading in (was, one))
    standing = {(True, True): "still", (False, True): "new", (True, False): "gone"}.get((before, now))
    return one.model_copy(update={"standing": standing})
