"""From the audits of a cell to what the fleet's page needs of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from nla_ray.audit.report.evidence import Finding
from nla_ray.audit.report.model import Gate as AuditGate
from nla_ray.audit.report.model import Report
from nla_ray.audit.report.outline import marked
from nla_ray.audit.report.rates import Change as AuditChange
from nla_ray.audit.report.rates import Comparison, Rate, Result
from nla_ray.audit.report.rates import Detector as AuditDetector
from nla_ray.config.detectors.levels import GRAVEST_FIRST, Level
from nla_ray.errors import InputError
from nla_ray.fleet.report.model import Change, Detector, Excerpt, FleetCell, Gate, Reading
from nla_ray.fleet.results import CellResult
from nla_ray.store.places.objects import Store
from nla_ray.tables import REAL

EXCERPTS = 3
"""Documents kept of one detector and cell, of each kind: there now, and gone."""


@dataclass(frozen=True)
class Read:
    """A cell before the sweep's corrections, and what its audit showed beside numbers."""

    cell: FleetCell
    detectors: tuple[Detector, ...] = ()
    excerpts: Mapping[str, tuple[Excerpt, ...]] = field(default_factory=dict)
    """By detector."""


def read_cell(store: Store, result: CellResult) -> Read:
    """What a cell's audits say. Raises InputError where a report that its result names is damaged or gone."""
    if result.state != "done" or result.report is None:
        return Read(FleetCell(result=result))
    report = _report(store, result, result.report)
    base = None if result.base_report is None else _report(store, result, result.base_report)
    run = next((one for one in report.runs if one.role == "audited"), None)
    if run is None:
        raise InputError(f"{store.url}/{result.report}/report.json: damaged: tells of no audited run")
    real = next((one for one in run.populations if one.name == REAL), None)
    compared = report.comparison if result.last_run is not None else None
    cell = FleetCell(
        result=result,
        reasons=report.reasons,
        gates=tuple(
            Gate(**one.model_dump(include=set(Gate.model_fields))) for one in _own_gates(report, run.run_id)
        ),
        documents=0 if real is None else real.documents,
        fve=None if real is None else real.fve,
        drifted=None if compared is None else _drifted(compared),
        new=None if compared is None else compared.new,
        gone=None if compared is None else compared.gone,
        readings=_readings(report, run.run_id, compared is not None, base),
    )
    return Read(cell, tuple(map(_detector, report.detectors)), _excerpts(result, report))


def _report(store: Store, result: CellResult, folder: str) -> Report:
    key, cell = f"{folder}/report.json", result.cell
    again = f"make it again: nla-ray sweep run CONFIG --week {cell.week} --cell {'/'.join(cell.pair)} --again"
    try:
        return Report.model_validate_json(store.get(key))
    except FileNotFoundError:
        raise InputError(f"{store.url}/{key}: the report of this audit is not there; {again}") from None
    except ValidationError as error:
        raise InputError(
            f"{store.url}/{key}: not a report that this nla_ray reads ({error.error_count()} problems); "
            f"{again}"
        ) from None


def _own_gates(report: Report, run_id: str) -> list[AuditGate]:
    """Gates of the audited run and of the audit as a whole; those of other runs where they do not pass."""
    return [one for one in report.gates if one.run_id in (None, run_id) or one.passed is False]


def _drifted(compared: Comparison) -> bool | None:
    return next((one.drifted for one in compared.fidelity if one.population == REAL), None)


def _detector(one: AuditDetector) -> Detector:
    return Detector(id=one.id, title=one.title, level=one.level, tier=one.tier, sha256=one.sha256)


def _readings(report: Report, run_id: str, last: bool, base: Report | None) -> tuple[Reading, ...]:
    counted = _counted(report)
    changes = _changes(report) if last else {}
    against = _changes(base) if base is not None else {}
    found = []
    for detector in report.detectors:
        result = next((one for one in detector.results if one.run_id == run_id), None)
        if result is not None:
            reading = _reading(detector, result)
            found.append(
                reading.model_copy(
                    update={
                        "counted": detector.level in counted,
                        "last": changes.get(detector.id),
                        "base": against.get(detector.id),
                    }
                )
            )
    return tuple(found)


def _reading(detector: AuditDetector, result: Result) -> Reading:
    documents = [one for one in result.rates if one.unit == "document"]
    real = next(one for one in documents if one.population == REAL)
    beside: list[Rate] = [one for one in documents if one.population != REAL and one.rate is not None]
    lacking = result.verdict == "insufficient evidence"
    return Reading(
        detector=detector.id, k=real.k, n=real.n, rate=real.rate, low=real.low, high=real.high,
        beside=max((one.rate or 0.0 for one in beside), default=None),
        p=None if lacking else result.p,
        alone=result.verdict, verdict=result.verdict, findings=result.findings,
    )  # fmt: skip


def _counted(report: Report) -> tuple[Level, ...]:
    """Levels at which the audit's policy fails."""
    least = "high" if report.policy is None else report.policy.fail_on.rpartition("=")[2]
    return GRAVEST_FIRST[: GRAVEST_FIRST.index(least) + 1] if least in GRAVEST_FIRST else ()


def _changes(report: Report) -> dict[str, Change]:
    compared = () if report.comparison is None else report.comparison.changes
    return {one.detector: _change(one) for one in compared if one.unit == "document"}


def _change(one: AuditChange) -> Change:
    """A change whose verdict waits for the correction; without enough documents it is no test."""
    lacking = one.verdict == "insufficient evidence"
    values = one.model_dump(include=set(Change.model_fields) - {"p", "p_adjusted", "verdict"})
    return Change(**values, p=None if lacking else one.p)


def _excerpts(result: CellResult, report: Report) -> dict[str, tuple[Excerpt, ...]]:
    """Of each detector the strongest findings, new ones first, and some of those that are gone."""
    taken: Counter[tuple[str, bool]] = Counter()
    found: dict[str, tuple[Excerpt, ...]] = {}
    shown = [one for one in report.findings if one.status == "finding" and one.evidence]
    for one in sorted(shown, key=lambda one: one.state != "new"):
        kind = (one.detector, one.state == "absent")
        taken[kind] += 1
        if taken[kind] <= EXCERPTS:
            found[one.detector] = (*found.get(one.detector, ()), _excerpt(result, one))
    return found


def _excerpt(result: CellResult, one: Finding) -> Excerpt:
    strongest = one.evidence[0]
    before, span, after = marked(strongest)
    states: dict[str, Literal["new", "gone"]] = {"new": "new", "absent": "gone"}
    return Excerpt(
        model=result.cell.model, corpus=result.cell.corpus, detector=one.detector, doc_id=one.doc_id,
        state=states.get(one.state or ""), before=before, span=span, after=after,
        position=strongest.position, fve_nrm=strongest.fve_nrm,
        positions_hit=one.positions_hit, positions_read=one.positions_read,
    )  # fmt: skip


def detectors_of(cells: Sequence[Read]) -> tuple[Detector, ...]:
    """All detectors of a week, the gravest first."""
    found = {one.id: one for cell in cells for one in cell.detectors}
    return tuple(sorted(found.values(), key=lambda one: (GRAVEST_FIRST.index(one.level), one.tier, one.id)))
