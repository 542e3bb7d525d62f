"""What a week would do and cost, cell by cell, before it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Literal

from nla_ray.audit.verdicts.planned import planned_rate
from nla_ray.config.base import Config
from nla_ray.config.detectors.model import Detector
from nla_ray.errors import InputError, OverBudgetError, UnreachableError
from nla_ray.fleet.cells import Cell
from nla_ray.fleet.costs import HOUR, Throughput, Use, cost_of, gpus_of, over_budget, use_of
from nla_ray.fleet.layout import speed_key
from nla_ray.fleet.objects import get_object, put_object
from nla_ray.fleet.report.exits import gravest
from nla_ray.fleet.results import CellResult, earlier_results, weeks_of
from nla_ray.pipelines.audit.run import packs_of
from nla_ray.pipelines.decode.estimate import estimated_seconds
from nla_ray.pipelines.decode.planning import Decode
from nla_ray.pipelines.decode.reuse import held_units
from nla_ray.pipelines.decode.run import plan, runner_of, stages_of, taken_up, written_units
from nla_ray.pipelines.decode.telling.meter import labels_of
from nla_ray.pipelines.sweep.group import failed
from nla_ray.pipelines.sweep.place import CellWork, Place
from nla_ray.stages.units.tally import total
from nla_ray.stages.units.work import Done
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.run import open_run

MEASURED_UNITS = 2
"""Units that are decoded where nobody knows how fast a model is; they count as done."""

Basis = Literal["recorded", "measured", "estimated", "done", "unknown"]
Doing = Callable[[str], None]


class CellPlan(Config):
    """What a cell would do. What is not known is null."""

    cell: Cell
    state: Literal["to do", "done", "missing", "failed"]
    reason: str | None = None
    exit: int = 0
    documents: int | None = None
    vectors: int | None = None
    """Of the corpus, without those of controls."""
    tokens: int | None = None
    units: int = 0
    done_units: int = 0
    reused_units: int = 0
    """Units that a run in these tables has; they cost nothing."""
    worker_hours: float | None = None
    """Still to come; so are the others."""
    gpu_hours: float | None = None
    cost: float | None = None
    basis: Basis = "unknown"
    seen: float | None = None
    """The least rate that its audit would flag in 80 % of cases, if controls say nothing."""
    assumption: str = ""
    """Where the speed is known from."""


class SweepPlan(Config):
    """A week before it begins. Sums are of what is known."""

    sweep: str
    week: str
    cells: tuple[CellPlan, ...]
    vectors: int
    """Of all cells, done or not: that is what the budget bounds."""
    worker_hours: float
    gpu_hours: float
    cost: float | None
    currency: str
    spent_gpu_hours: float
    spent_cost: float
    over_budget: tuple[str, ...]
    exit: int
    """The gravest of the cells; a plan over the budget ends with 9 before it."""

    def guessed(self) -> bool:
        """Whether the speed of a model is known from its size alone."""
        return any(one.basis == "estimated" for one in self.cells)


@dataclass(frozen=True)
class Speed:
    """What a vector costs, and where that is known from."""

    use: Use
    basis: Basis
    assumption: str


class Planner:
    """Plans the cells of a week; a speed that was found holds for all cells of its target."""

    def __init__(self, place: Place, *, measure: bool, keep: bool, doing: Doing) -> None:
        self._place, self._measure, self._keep, self._doing = place, measure, keep, doing
        self._results = known_results(place)
        self._speeds: dict[str, Speed] = {}

    def plan(self) -> SweepPlan:
        """The plan of all cells."""
        place, budget = self._place, self._place.config.budget
        mine = {one.cell.pair: one for one in self._results if one.cell.week == place.week}
        cells = tuple(self._cell(work, mine.get(work.cell.pair)) for work in place.works)
        spent = [one for one in mine.values() if one.cell.week == place.week]
        gpu, money = sum(one.gpu_seconds for one in spent), sum(one.cost or 0.0 for one in spent)
        vectors = sum(one.vectors or 0 for one in cells)
        gpu_hours, cost = (sum(getattr(one, name) or 0.0 for one in cells) for name in ("gpu_hours", "cost"))
        over = over_budget(budget, vectors=vectors, gpu_seconds=gpu_hours * HOUR + gpu, cost=cost + money)
        return SweepPlan(
            sweep=place.config.name,
            week=place.week,
            cells=cells,
            vectors=vectors,
            worker_hours=sum(one.worker_hours or 0.0 for one in cells),
            gpu_hours=gpu_hours,
            cost=None if budget.price is None else cost,
            currency=budget.currency,
            spent_gpu_hours=gpu / HOUR,
            spent_cost=money,
            over_budget=tuple(over),
            exit=gravest(one.exit for one in cells),
        )

    def _cell(self, work: CellWork, result: CellResult | None) -> CellPlan:
        if result is not None and result.state == "done":
            return CellPlan(
                cell=result.cell, state="done", vectors=result.vectors, tokens=result.tokens, basis="done",
                units=result.units, done_units=result.units, reused_units=result.reused_units,
                worker_hours=0.0, gpu_hours=0.0, cost=0.0,
            )  # fmt: skip
        self._doing(work.cell.id)
        try:
            ready, store = plan(work.decoding, keep=self._keep)
            return self._planned(work, ready, store)
        except Exception as error:  # noqa: BLE001 (what ends a cell does not end the sweep)
            ended = failed(work, error, "")
            state: Literal["missing", "failed"] = "missing" if ended.state == "missing" else "failed"
            return CellPlan(cell=work.cell, state=state, reason=ended.reason, exit=ended.exit)

    def _planned(self, work: CellWork, ready: Decode, store: Store) -> CellPlan:
        done, units = written_units(ready, store), len(ready.tasks)
        reused = held_units(ready, store).total()
        made = CellPlan(
            cell=work.cell,
            state="to do",
            documents=ready.survey.documents,
            vectors=ready.survey.vectors,
            tokens=ready.survey.tokens,
            units=units,
            done_units=done,
            reused_units=reused,
            seen=self._seen(work, ready),
        )
        speed = self._speed(work, ready, store) if units > done + reused else Speed(Use(), "done", "")
        if speed is None or ready.survey.vectors is None:
            return made
        if speed.basis == "measured":
            made = made.model_copy(update={"done_units": written_units(ready, store)})
        left = units - made.done_units - reused
        use = speed.use.times(ready.survey.vectors * left / units)
        return made.model_copy(
            update={
                "worker_hours": use.busy / HOUR,
                "gpu_hours": use.gpu / HOUR,
                "cost": cost_of(use, self._place.config.budget),
                "basis": speed.basis,
                "assumption": speed.assumption,
            }
        )

    def _seen(self, work: CellWork, ready: Decode) -> float | None:
        documents, vectors = ready.survey.documents, ready.survey.vectors
        if not documents or vectors is None:
            return None
        shares = work.decoding.controls.model_dump()
        audited = self._place.config.audit
        return planned_rate(documents, vectors // documents, shares, self._detectors, audited.evidence)

    @cached_property
    def _detectors(self) -> tuple[Detector, ...]:
        return packs_of(self._place.config.audit).detectors

    def _speed(self, work: CellWork, ready: Decode, store: Store) -> Speed | None:
        """What a vector of a target costs: recorded, else measured, else estimated from its size."""
        name, gpus = work.target.name, on_gpus(ready)
        known = self._speeds.get(name) or recorded(self._results, name, gpus=gpus)
        known = known or kept(self._place, name, gpus=gpus)
        if known is None and self._measure:
            self._doing(f"{work.cell.id}: measuring the speed on {MEASURED_UNITS} units")
            known = measured(self._place, work, ready, store)
        if known is None:
            return estimated(work, ready)
        self._speeds[name] = known
        return known


def plan_sweep(
    place: Place, *, measure: bool = False, keep: bool = False, doing: Doing = lambda what: None
) -> SweepPlan:
    """The plan of a week. With `measure`, a few units of targets of unknown speed are decoded.

    With `keep`, what is read of the corpora stays beside the tables, for whoever plans or decodes next.
    """
    return Planner(place, measure=measure, keep=keep, doing=doing).plan()


def require_budget(made: SweepPlan) -> None:
    """Raise OverBudgetError where the week would cost more than was allowed."""
    if made.over_budget:
        raise OverBudgetError(
            f"budget: {made.sweep} {made.week} would take {' and '.join(made.over_budget)}; raise "
            "the budget, take fewer cells (leave_out) or fewer positions"
        )


def known_results(place: Place) -> list[CellResult]:
    """The results of this week and of the one before, the newest first."""
    name = place.config.name
    weeks = [week for week in weeks_of(place.store, name) if week <= place.week]
    return [one for week in reversed(weeks[-2:]) for one in earlier_results(place.store, name, week)]


def on_gpus(ready: Decode) -> bool:
    """Whether a decode works on GPUs: what it would cost is not known from work without, nor the reverse."""
    runner, device = ready.config.runner, ready.config.engine.device
    return any(gpus_of(step, runner, device) for step in ("extract", "verbalize", "reconstruct"))


def recorded(results: list[CellResult], model: str, *, gpus: bool) -> Speed | None:
    """What a vector of a model cost in the newest cell that was really decoded, on GPUs or without."""
    for one in results:
        decoded = one.vectors * (1 - one.reused_units / one.units) if one.units else 0.0
        mine = one.cell.model == model and (one.gpu_seconds > 0) == gpus
        if mine and decoded and one.busy_seconds:
            use = Use(one.busy_seconds, one.gpu_seconds, one.paid_seconds).times(1 / decoded)
            speed = f"{1 / use.busy:.3g} vectors/s a worker"
            return Speed(use, "recorded", f"{speed}, recorded in {one.cell.week} by {one.cell.id}")
    return None


def kept(place: Place, model: str, *, gpus: bool) -> Speed | None:
    """What a vector of a model cost when it was measured for this week or for the one before.

    It can be measured again: where it cannot be read, it is as if it was not there.
    """
    for week in reversed(_two_weeks(place)):
        try:
            found = get_object(place.store, speed_key(place.config.name, week, model, gpus=gpus), Throughput)
        except UnreachableError:
            raise
        except InputError:
            continue
        if found is not None:
            return Speed(found.use(), "measured", found.said)
    return None


def _two_weeks(place: Place) -> list[str]:
    """The newest week before this one that was begun, and this one, begun or not."""
    earlier = [week for week in weeks_of(place.store, place.config.name) if week < place.week]
    return [*earlier[-1:], place.week]


def measured(place: Place, work: CellWork, ready: Decode, store: Store) -> Speed | None:
    """What a vector costs in a few units of a cell, which are decoded for good; None where that fails.

    It is kept with the week, so that it is measured once.
    """
    labelled = ready.plan.model_copy(update={"labels": work.cell.labels()})
    ready = taken_up(store, replace(ready, plan=labelled))
    run = open_run(store, ready.plan, add=True)
    missing = set(run.missing())
    tasks = list(islice((task for task in ready.tasks if task.unit_id in missing), MEASURED_UNITS))
    with runner_of(ready.config, stages_of(ready, store), labels_of(ready)) as runner:
        tallies = [one.tally.as_json() for one in runner.stream(tasks) if isinstance(one, Done)]
    tally = total(tallies)
    rows = sum(task.planned or 0 for task in ready.tasks)
    if not tallies or not rows or not tally.vectors or not ready.survey.vectors:
        return None
    # The tally counts controls too.
    real = tally.vectors * ready.survey.vectors * ready.config.sampling.samples / rows
    use = use_of(tally.seconds, ready.config.runner, ready.config.engine.device).times(1 / real)
    on = "1 unit" if len(tallies) == 1 else f"{len(tallies)} units"
    said = f"{1 / use.busy:.3g} vectors/s a worker, measured in {place.week} on {on} of {work.cell.id}"
    key = speed_key(place.config.name, place.week, work.target.name, gpus=on_gpus(ready))
    put_object(place.store, key, Throughput.of(use, said))
    return Speed(use, "measured", said)


def estimated(work: CellWork, ready: Decode) -> Speed | None:
    """What a vector should cost by the sizes of the models."""
    seconds, vectors = estimated_seconds(ready), ready.survey.vectors
    if seconds is None or not vectors:
        return None
    runner, device = ready.config.runner, ready.config.engine.device
    actors = (runner.pool if runner.pools is None else runner.pools.verbalize).actors
    workers = actors if runner.name == "ray" and device.startswith("cuda") else 1
    use = use_of({"verbalize": seconds * workers / vectors}, runner, device)
    return Speed(use, "estimated", f"{1 / use.busy:.3g} vectors/s a worker, estimated from the models' sizes")
