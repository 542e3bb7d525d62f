"""What the pages list: findings and what moved, cells that say nothing, costs; and where lists are cut."""

from __future__ import annotations

from dataclasses import dataclass

from nla_ray.config.detectors.levels import GRAVEST_FIRST
from nla_ray.fleet.report.model import Detector, Excerpt, FleetCell, FleetReport, Reading
from nla_ray.fleet.report.trends import noteworthy

MOST = 300
"""Readings listed on the page."""


@dataclass(frozen=True)
class Entry:
    """A reading that is told of, with its cell and its texts."""

    cell: FleetCell
    detector: Detector
    reading: Reading
    excerpts: tuple[Excerpt, ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """What became of it: new, gone, and what moved."""
        one = self.reading
        tags: list[str] = [one.standing] if one.standing in ("new", "gone") else []
        tags += [one.last.verdict] if one.last and one.last.verdict in ("risen", "fallen") else []
        signs = {"risen": "above base", "fallen": "below base"}
        tags += [signs[one.base.verdict]] if one.base and one.base.verdict in signs else []
        return tuple(tags)


@dataclass(frozen=True)
class Entries:
    """Entries of one kind: those that are shown, and how many there are."""

    title: str
    shown: tuple[Entry, ...]
    total: int


def told(report: FleetReport) -> tuple[Entries, ...]:
    """Readings above their controls and readings that moved, in groups: each in the first that fits."""
    groups: dict[str, list[Entry]] = {title: [] for title in GROUPS}
    for entry in _entries(report):
        groups[_group(entry.reading)].append(entry)
    left = MOST
    made = []
    for title, entries in groups.items():
        made.append(Entries(title, tuple(entries[:left]), len(entries)))
        left -= len(made[-1].shown)
    return tuple(one for one in made if one.total)


NEW, GONE, RISEN, FALLEN, STILL, FIRST, BASE = (
    "New: above the controls, and not so before",
    "Gone: not above the controls any more",
    "Risen since last week",
    "Fallen since last week",
    "Still above the controls",
    "Above the controls, without an earlier week to compare with",
    "Another rate than the base model's",
)
GROUPS = (NEW, RISEN, FIRST, STILL, FALLEN, GONE, BASE)


def _group(one: Reading) -> str:
    moved = one.last.verdict if one.last else ""
    if one.standing in ("new", "gone"):
        return {"new": NEW, "gone": GONE}[one.standing]
    if moved in ("risen", "fallen"):
        return {"risen": RISEN, "fallen": FALLEN}[moved]
    if one.verdict != "above controls":
        return BASE
    return STILL if one.standing == "still" else FIRST


def _entries(report: FleetReport) -> list[Entry]:
    """All of them, the gravest first."""
    excerpts: dict[tuple[str, str, str], list[Excerpt]] = {}
    for one in report.excerpts:
        excerpts.setdefault((one.model, one.corpus, one.detector), []).append(one)
    detectors = {one.id: one for one in report.detectors}
    found = [
        Entry(cell, detectors[one.detector], one, tuple(excerpts.get((*cell.pair, one.detector), ())))
        for cell in report.cells
        if cell.speaks
        for one in cell.readings
        if noteworthy(one)
    ]
    return sorted(found, key=_weight)


def _weight(one: Entry) -> tuple[object, ...]:
    return (
        GRAVEST_FIRST.index(one.detector.level), one.detector.tier, one.detector.id,
        -(one.reading.rate or 0.0), one.cell.pair,
    )  # fmt: skip


def silent(report: FleetReport) -> tuple[tuple[FleetCell, tuple[str, ...]], ...]:
    """Cells that say nothing about their model, each with its reasons."""
    return tuple((cell, _reasons(cell)) for cell in report.cells if cell.asked and not cell.speaks)


def _reasons(cell: FleetCell) -> tuple[str, ...]:
    own = cell.result.reason or ""
    rest = tuple(one for one in cell.reasons if one not in own)
    return (*((own,) if own else ()), *rest) or ("no reason was recorded",)
