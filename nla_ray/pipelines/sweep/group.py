"""Cells of one target, or of adapters over one base: one set of workers loads the models once for all."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from nla_ray.errors import Exit, NlaError
from nla_ray.fleet.costs import cost_of, use_of
from nla_ray.fleet.lease import Leases, me, now_utc
from nla_ray.fleet.results import (
    Attempt,
    CellResult,
    put_attempt,
    put_result,
    put_run,
    result_of_cell,
    run_of_cell,
    weeks_of,
)
from nla_ray.pipelines.decode.layers import loaded_for
from nla_ray.pipelines.decode.planning import Decode, settled
from nla_ray.pipelines.decode.run import Decoded, decode, runner_of
from nla_ray.pipelines.decode.telling.meter import labels_of
from nla_ray.pipelines.sweep.board import Say
from nla_ray.pipelines.sweep.place import CellWork, Place, require_layer
from nla_ray.runtime.progress import Labels, Progress
from nla_ray.runtime.runner import Runner
from nla_ray.runtime.sharing.shared import Pass, Shared, StoppedError
from nla_ray.stages.stage import Stage
from nla_ray.store.places.address import open_store
from nla_ray.store.runs.manifest import get_manifest


@dataclass
class Group:
    """Cells that are decoded together, and what came of them."""

    place: Place
    works: Sequence[CellWork]
    leases: Leases
    say: Say
    found: dict[tuple[str, str], CellResult] = field(default_factory=dict)
    """By cell; one that was stopped is not here."""

    def __post_init__(self) -> None:
        self.shared = Shared(self._open, together=self.place.config.one_pass)

    def run(self) -> dict[tuple[str, str], CellResult]:
        """Decode all cells; their results, which are kept in the place too."""
        self.shared.run([partial(self._flow, work) for work in self.works])
        return self.found

    def _open(self, stages: Sequence[Stage], labels: Mapping[str, Labels]) -> Runner:
        config = self.works[0].decoding
        return runner_of(config, stages, labels)

    def _flow(self, work: CellWork) -> None:
        started = now_utc().isoformat(timespec="seconds")
        attempt = Attempt(cell=work.cell, who=me(), started=started)
        try:
            n = put_attempt(self.place.store, attempt)
            result = self._decoded(work, started)
            put = put_run if result.state == "done" else put_result
            put(self.place.store, result, n)
        except StoppedError:
            return
        except Exception as error:  # noqa: BLE001 (what ends a cell does not end the sweep)
            result = failed(work, error, started)
        self.found[work.cell.pair] = result
        self.leases.release(work.cell)

    def _decoded(self, work: CellWork, started: str) -> CellResult:
        try:
            require_layer(self.place.config, work)
            made = decode(
                work.decoding,
                add=True,
                report=lambda now: self._tell(work, now),
                running=lambda ready, stages: self._member(work, ready, stages),
                labels=work.cell.labels(),
            )
        except StoppedError:
            raise
        except Exception as error:  # noqa: BLE001 (what ends a cell does not end the sweep)
            return failed(work, error, started)
        return result_of(self.place, work, made, started)

    def _member(self, work: CellWork, ready: Decode, stages: Sequence[Stage]) -> Runner:
        self.leases.tell(work.cell, run_id=ready.plan.run_id)
        over = Pass(str(work.decoding.models.target), ready.identity.layer)
        return self.shared.member(work.cell.id, stages, labels_of(ready), _loaded_for(work), over)

    def _tell(self, work: CellWork, now: Progress) -> None:
        use = use_of(now.busy, work.decoding.runner, settled(work.decoding).device)
        self.leases.tell(
            work.cell,
            doing=now.doing,
            units=now.units,
            of_units=now.of_units,
            before=now.before,
            busy_seconds=use.busy,
            gpu_seconds=use.gpu,
            cost=cost_of(use, self.place.config.budget),
        )
        self.say(work.cell.id, now)


def group_of(work: CellWork, *, one_pass: bool) -> tuple[object, ...]:
    """Cells with the same are decoded together: those that load the same, in one pass those of one target."""
    target, *pair = _loaded_for(work)
    return (target,) if one_pass and work.decoding.corpus.vectors is None else (target, *pair)


def _loaded_for(work: CellWork) -> tuple[object, ...]:
    return loaded_for(work.decoding.models, work.cell.layer)


def failed(work: CellWork, error: Exception, started: str) -> CellResult:
    """The result of a cell that an error ended; of a crash the trace goes to stderr."""
    code, reason = exit_of(error), str(error)
    if code == Exit.CRASH:
        traceback.print_exception(error, file=sys.stderr)
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return CellResult(
        cell=work.cell,
        state="missing" if code == Exit.MISSING else "failed",
        reason=reason,
        exit=code,
        started=started,
        finished=now_utc().isoformat(timespec="seconds"),
    )


def exit_of(error: Exception) -> Exit:
    """The exit code that an error alone would give."""
    return error.exit_code if isinstance(error, NlaError) else Exit.CRASH


def result_of(place: Place, work: CellWork, made: Decoded, started: str) -> CellResult:
    """What a cell's decode came to. The run of another cell, week or sweep costs nothing again."""
    record, budget = made.summary.record, place.config.budget
    name, pair = place.config.name, work.cell.pair
    before = run_of_cell(place.store, name, place.week, pair) if made.again else None
    if before is not None and before.run_id == made.run_id:
        return before.model_copy(
            update={"started": started, "finished": now_utc().isoformat(timespec="seconds")}
        )
    same = week_of_run(place, work, made.run_id) if made.again else None
    known = made.again and not _made_for(place, work, made.run_id)
    use = use_of(record["busy_seconds"], work.decoding.runner, settled(work.decoding).device)
    use = use.times(0.0) if known else use
    result = CellResult(
        cell=work.cell,
        state="done",
        run_id=made.run_id,
        proof=record.get("proof", {}).get("verdict"),
        units=made.units,
        reused_units=made.units if known else record.get("reused", {}).get("units", 0),
        rows=made.summary.rows,
        quarantined=made.summary.quarantined,
        vectors=made.summary.vectors,
        tokens=record["tokens"],
        busy_seconds=use.busy,
        gpu_seconds=use.gpu,
        paid_seconds=use.paid,
        cost=cost_of(use, budget),
        started=started,
        finished=now_utc().isoformat(timespec="seconds"),
        same_run_as=same,
    )
    if set(made.summary.outcomes) <= {"failed"}:
        why = ", ".join(made.summary.reasons) or "no row"
        return result.model_copy(
            update={"state": "failed", "exit": Exit.NO, "reason": f"nothing could be explained: {why}"}
        )
    if made.failed_fraction > place.config.max_failed_fraction:
        reason = f"{made.failed_fraction:.1%} of the rows are in quarantine"
        return result.model_copy(update={"exit": Exit.QUARANTINE, "reason": reason})
    return result


def _made_for(place: Place, work: CellWork, run_id: str) -> bool:
    """Whether a run was committed for this very cell."""
    stored = get_manifest(open_store(place.tables), run_id)
    return stored is not None and stored.manifest.labels == work.cell.labels()


def week_of_run(place: Place, work: CellWork, run_id: str) -> str | None:
    """The newest earlier week whose run of the same cell this is."""
    for week in reversed(weeks_of(place.store, place.config.name)):
        if week < place.week:
            found = result_of_cell(place.store, place.config.name, week, work.cell.pair)
            if found is not None and found.run_id == run_id:
                return week
    return None
