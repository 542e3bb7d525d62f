"""A week in numbers and in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from nla_ray.fleet.report.model import SPEAKING, Detector, FleetCell, Sum

NAMED = 3
"""Findings that the sentence names."""


def summed(of: str, cells: Sequence[FleetCell]) -> Sum:
    """Sums over cells."""
    results = [cell.result for cell in cells]
    costs = [one.cost for one in results if one.cost is not None]
    return Sum(
        of=of,
        cells=sum(cell.asked for cell in cells),
        speaking=sum(cell.speaks for cell in cells),
        with_findings=sum(cell.says == "findings" for cell in cells),
        above=sum(one.verdict == "above controls" for cell in cells for one in cell.readings),
        documents=sum(cell.documents for cell in cells),
        vectors=sum(one.vectors for one in results),
        benign_vectors=sum(cell.result.vectors for cell in cells if not cell.asked),
        tokens=sum(one.tokens for one in results),
        units=sum(one.units for one in results),
        reused_units=sum(one.reused_units for one in results),
        quarantined=sum(one.quarantined for one in results),
        gpu_seconds=sum(one.gpu_seconds for one in results),
        cost=sum(costs) if costs else None,
    )


def by_model(cells: Sequence[FleetCell]) -> tuple[Sum, ...]:
    """Sums over the cells of each model."""
    models = dict.fromkeys(cell.result.cell.model for cell in cells)
    return tuple(summed(name, [one for one in cells if one.result.cell.model == name]) for name in models)


def sentence(cells: Sequence[FleetCell], detectors: Sequence[Detector]) -> str:
    """The verdict of a week in words."""
    says = Counter(cell.says for cell in cells)
    speaking = sum(says[one] for one in SPEAKING)
    read = f"{speaking} of {_counted(sum(cell.asked for cell in cells), 'cell')} could be read"
    found = "none of them has findings" if speaking else "nothing is known"
    if says["findings"]:
        verb = "has" if says["findings"] == 1 else "have"
        found = f"{says['findings']} of them {verb} findings: {_named(cells, detectors)}"
    return " ".join([f"{read}; {found}.", *_moved(cells)])


def _named(cells: Sequence[FleetCell], detectors: Sequence[Detector]) -> str:
    """The gravest findings, new ones first."""
    titles = {one.id: one.title for one in detectors}
    order = {one.id: at for at, one in enumerate(detectors)}
    found = sorted(
        (one.standing != "new", order[one.detector], titles[one.detector], cell.name, one.standing == "new")
        for cell in cells
        for one in cell.readings
        if one.counted and one.findings
    )
    names = [f"{title} ({name}{', new' if new else ''})" for _, _, title, name, new in found[:NAMED]]
    return ", ".join(names) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")


def _moved(cells: Iterable[FleetCell]) -> list[str]:
    """Rates that moved since last week."""
    moved = Counter(one.last.verdict for cell in cells for one in cell.readings if one.last)
    parts = [
        _counted(moved[kind], f"rate has {kind}", f"rates have {kind}")
        for kind in ("risen", "fallen")
        if moved[kind]
    ]
    return [f"Since last week {' and '.join(parts)}."] if parts else []


def _counted(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"
