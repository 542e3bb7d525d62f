"""The audits of a cell: against last week's run, and against the base model's run of this week."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from nla_ray.audit.report.model import Report
from nla_ray.config.audit import AuditConfig, AuditPolicy, Source
from nla_ray.config.detectors.packs import Packs
from nla_ray.fleet.layout import reports_key
from nla_ray.fleet.lease import now_utc
from nla_ray.fleet.results import CellResult, earlier_results, weeks_of
from nla_ray.pipelines.audit.report import exit_of
from nla_ray.pipelines.audit.run import audit
from nla_ray.pipelines.sweep.place import CellWork, Place
from nla_ray.store.places.address import open_store
from nla_ray.store.upkeep.ended import ended_runs


@dataclass
class Auditor:
    """Audits decoded cells of a week; `runs` are all of them by cell."""

    place: Place
    runs: Mapping[tuple[str, str], CellResult]
    packs: Packs
    weeks: list[str] = field(init=False)
    """All that were begun, in order."""
    last: dict[tuple[str, str], CellResult] = field(init=False)
    gone: Collection[str] = field(init=False)
    """Runs whose rows were removed."""

    def __post_init__(self) -> None:
        self.weeks = weeks_of(self.place.store, self.place.config.name)
        self.last = last_runs(self.place, self.weeks)
        self.gone = ended_runs(open_store(self.place.tables))

    def audited(self, work: CellWork, made: CellResult) -> CellResult:
        """The result of a cell after its audits. Raises NlaError where one cannot be made."""
        notes = [made.reason] if made.reason else []
        if any(one.benign == work.corpus.name for one in self.place.config.corpora):
            return self._ended(
                made, reason="; ".join([*notes, "benign documents of other cells: not audited"])
            )
        last, said = self._earlier(made)
        base, also = self._base(work, made)
        notes += [one for one in (said, also) if one]
        report, key = self._audit(work, made, last, "audit", notes)
        notes += report.reasons
        found = made.model_copy(
            update={
                "audit_id": report.audit_id,
                "verdict": report.verdict,
                "report": key,
                "last_run": None if last is None else last.run_id,
                "exit": made.exit or exit_of(report),
            }
        )
        if base is not None:
            _, base_key = self._audit(work, made, base, "base", notes)
            found = found.model_copy(update={"base_report": base_key, "base_run": base.run_id})
        return self._ended(found, reason="; ".join(dict.fromkeys(notes)) or None)

    def _ended(self, result: CellResult, reason: str | None) -> CellResult:
        return result.model_copy(
            update={"reason": reason, "finished": now_utc().isoformat(timespec="seconds")}
        )

    def _earlier(self, made: CellResult) -> tuple[CellResult | None, str | None]:
        """The run of last week; and why it is not compared with."""
        if not self.place.config.compare.last:
            return None, None
        last = self.last.get(made.cell.pair)
        passed = passed_over(last, self.weeks, self.place.week)
        if last is None:
            return None, passed
        if last.run_id == made.run_id:
            return None, None
        if last.cell.layer != made.cell.layer:
            return None, f"not compared with {last.cell.week}: that was layer {last.cell.layer}"
        if last.run_id in self.gone:
            return None, f"not compared with {last.cell.week}: the rows of its run were removed"
        return last, passed

    def _base(self, work: CellWork, made: CellResult) -> tuple[CellResult | None, str | None]:
        """The run of the base model over the same documents; and why it is not compared with."""
        if work.cell.base is None or not self.place.config.compare.base:
            return None, None
        base = self.runs.get((work.cell.base, work.cell.corpus))
        if base is None or base.run_id is None or base.run_id in self.gone:
            return None, f"not compared with {work.cell.base}: it has no run of {work.cell.corpus} this week"
        if base.cell.layer != made.cell.layer:
            return None, f"not compared with {work.cell.base}: that is layer {base.cell.layer}"
        return (None if base.run_id == made.run_id else base), None

    def _audit(
        self, work: CellWork, made: CellResult, before: CellResult | None, kind: str, notes: list[str]
    ) -> tuple[Report, str]:
        """One audit; its report and the key of its folder."""
        key = f"{reports_key(work.cell.sweep, work.cell.week, work.cell.pair)}/{kind}"
        policy, benign = self.place.config.audit, work.corpus.benign
        twins = None if not isinstance(benign, str) else self.runs.get((work.cell.model, benign))
        twins = None if twins is not None and twins.run_id in self.gone else twins
        if isinstance(benign, str) and (twins is None or twins.run_id is None):
            notes.append(f"without benign documents: {benign} has no run this week")
        config = AuditConfig(
            source=self._source(made),
            before=None if before is None else self._source(before),
            benign=None if twins is None or twins.run_id is None else self._source(twins),
            benign_documents=None if isinstance(benign, str) else benign,
            output=f"{self.place.store.url}/{key}",
            **{name: getattr(policy, name) for name in AuditPolicy.model_fields},
        )
        # One audit stands for the cell in SQL: its rates would count twice otherwise.
        labels = made.cell.labels() if kind == "audit" else {}
        return audit(config, labels=labels, packs=self.packs).report, key

    def _source(self, result: CellResult) -> Source:
        return Source(tables=self.place.tables, runs=(str(result.run_id),))


def last_runs(place: Place, weeks: Sequence[str]) -> dict[tuple[str, str], CellResult]:
    """The run of every cell in the newest earlier one of these weeks that has one."""
    found: dict[tuple[str, str], CellResult] = {}
    wanted = {work.cell.pair for work in place.works}
    for week in reversed(weeks):
        if week < place.week and wanted - found.keys():
            for result in earlier_results(place.store, place.config.name, week):
                if result.state == "done" and result.run_id is not None:
                    found.setdefault(result.cell.pair, result)
    return found


def passed_over(last: CellResult | None, weeks: Sequence[str], week: str) -> str | None:
    """Which of the weeks before `week` says nothing of the cell; None where `last` is of the newest."""
    newest = max((one for one in weeks if one < week), default=None)
    if newest is None or (last is not None and last.cell.week == newest):
        return None
    with_which = "with no earlier week" if last is None else f"with {last.cell.week}"
    return f"compared {with_which}: {newest} has no finished run of this cell that can be read"
