"""What came of the cells of a week: one write-once result per attempt, the newest counts."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from pydantic import Field, JsonValue, ValidationError

from nla_ray.config.base import Config, Name
from nla_ray.config.sweep import SweepConfig
from nla_ray.errors import InputError, NoFileError, UnreachableError
from nla_ray.fleet.cells import Cell
from nla_ray.fleet.layout import (
    SWEEPS,
    attempt_key,
    cell_prefix,
    result_key,
    run_key,
    sweep_prefix,
    week_key,
    week_prefix,
)
from nla_ray.fleet.objects import get_object, put_object
from nla_ray.fleet.weeks import is_week
from nla_ray.store.places.objects import Store

State = Literal["done", "missing", "failed", "not started"]
"""`missing`: its corpus or its model is not there this week."""

Pair = tuple[str, str]
"""Model and corpus."""

Count = Annotated[int, Field(ge=0)]

_NUMBERED = re.compile(r"cells/([^/]+)/([^/]+)/(attempt|run|result)-(\d+)\.json")


class Week(Config):
    """What a week was begun with."""

    sweep: Name
    week: Name
    config: dict[str, JsonValue]
    """The whole SweepConfig, as JSON."""
    cells: tuple[Cell, ...]


class Attempt(Config):
    """Somebody begins to work on a cell."""

    cell: Cell
    who: str
    """Host and process of the driver."""
    started: str


class CellResult(Config):
    """How a cell stands."""

    cell: Cell
    state: State
    reason: str | None = None
    """Why it failed, what is missing, why its audit is not reportable, or what could not be compared."""
    exit: int = 0
    """Exit code that the cell alone would give, see the table of exit codes."""
    run_id: str | None = None
    proof: str | None = None
    """Whether the pair was proven to read the target: `proven` or `not proven`, as its run records it."""
    audit_id: str | None = None
    verdict: str | None = None
    """The audit's verdict."""
    units: Count = 0
    reused_units: Count = 0
    """Of the units, those that another run had made."""
    rows: Count = 0
    quarantined: Count = 0
    vectors: Count = 0
    """Of the corpus, without those of controls."""
    tokens: Count = 0
    busy_seconds: float = 0.0
    """Of all workers together; a unit of another run costs nothing."""
    gpu_seconds: float = 0.0
    """The same, times the GPUs that a worker has."""
    paid_seconds: float = 0.0
    """The same, where a worker without a GPU counts as one."""
    cost: float | None = None
    """In the currency of the budget; None where it names no price."""
    started: str = ""
    """UTC, ISO 8601; so is `finished`."""
    finished: str = ""
    report: str | None = None
    """Key, under the sweep's root, of the folder of the audit's report against last week's run."""
    base_report: str | None = None
    """The same for the comparison with the base model's run of this week."""
    last_run: str | None = None
    """The run of the newest earlier week that it was compared with."""
    base_run: str | None = None
    same_run_as: str | None = None
    """The week whose run this is: nothing was decoded."""


def get_week(store: Store, sweep: str, week: str) -> Week | None:
    """What a week was begun with; None where it was not begun."""
    return get_object(store, week_key(sweep, week), Week)


def settings_of_week(store: Store, week: Week) -> SweepConfig:
    """The configuration that a week was begun with. Raises InputError where this nla_ray does not know it."""
    try:
        return SweepConfig.model_validate(week.config)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise InputError(
            f"{store.url}/{week_key(week.sweep, week.week)}: this nla_ray does not read its configuration: "
            f"{where}: {problem['msg']}; go on with the version that began the week, or begin it under "
            "another name"
        ) from None


def weeks_of(store: Store, sweep: str) -> list[str]:
    """The weeks of a sweep that were begun, in order."""

    def begun(week: str) -> bool:
        try:
            return is_week(week) and bool(store.tail(week_key(sweep, week), 1))
        except FileNotFoundError:
            return False

    named = store.folders(f"{sweep_prefix(sweep)}weeks/")
    return [week for week, there in zip(named, store.map(begun, named), strict=True) if there]


def results_of(store: Store, sweep: str, week: str) -> list[CellResult]:
    """The newest result of every cell of a week, in the order of its configuration.

    One that cannot be read fails its cell alone. Raises NoFileError for a week that was not begun, InputError
    where what it was begun with is damaged.
    """
    begun = begun_week(store, sweep, week)
    numbers = numbers_of(store, sweep, week)

    def result(cell: Cell) -> CellResult:
        n = numbers[cell.pair].result
        found = _read(store, result_key(sweep, week, cell.pair, n), cell) if n else None
        return found or CellResult(cell=cell, state="not started")

    return store.map(result, begun.cells)


def earlier_results(store: Store, sweep: str, week: str) -> list[CellResult]:
    """The same of a week that a later one looks back at; none where that cannot be read.

    The page of the later week says so.
    """
    try:
        return results_of(store, sweep, week)
    except UnreachableError:
        raise
    except InputError:
        return []


def result_of_cell(store: Store, sweep: str, week: str, pair: Pair) -> CellResult | None:
    """The newest result of one cell; None where it has none. One that cannot be read is failed."""
    n = numbers_of(store, sweep, week, pair)[pair].result
    return _read(store, result_key(sweep, week, pair, n), _cell(sweep, week, pair)) if n else None


def run_of_cell(store: Store, sweep: str, week: str, pair: Pair) -> CellResult | None:
    """What was decoded for one cell, audited or not: the newest; None where nothing was, failed as above."""
    n = numbers_of(store, sweep, week, pair)[pair].run
    return _read(store, run_key(sweep, week, pair, n), _cell(sweep, week, pair)) if n else None


def runs_of(store: Store, sweep: str, week: str) -> dict[Pair, CellResult]:
    """What was decoded, by cell, audited or not: the newest of each. One that cannot be read is failed."""
    newest = [(pair, one.run) for pair, one in numbers_of(store, sweep, week).items() if one.run]

    def run(one: tuple[Pair, int]) -> CellResult | None:
        return _read(store, run_key(sweep, week, *one), _cell(sweep, week, one[0]))

    found = zip(newest, store.map(run, newest), strict=True)
    return {pair: result for (pair, _), result in found if result is not None}


def _cell(sweep: str, week: str, pair: Pair) -> Cell:
    return Cell(sweep=sweep, week=week, model=pair[0], corpus=pair[1], layer=None)


def _read(store: Store, key: str, cell: Cell) -> CellResult | None:
    """A result; of one that is damaged, newer or another cell's, a failed cell that says so.

    None where there is none.
    """
    try:
        found = get_object(store, key, CellResult)
        if found is not None and found.cell.pair != cell.pair:
            raise InputError(f"{store.url}/{key}: damaged: is of the cell {found.cell.id}")
        return found
    except UnreachableError:
        raise
    except InputError as error:
        again = f"make the cell again: nla-ray sweep retry-failed {store.url}#{cell.sweep} --week {cell.week}"
        return CellResult(cell=cell, state="failed", reason=f"{error}; or {again}", exit=error.exit_code)


def begun_week(store: Store, sweep: str, week: str) -> Week:
    """What a week was begun with. Raises NoFileError where it was not begun."""
    begun = get_week(store, sweep, week)
    if begun is None:
        raise NoFileError(f"{store.url}: sweep {sweep} has no week {week}; {begun_weeks(store, sweep)}")
    return begun


def begun_weeks(store: Store, sweep: str) -> str:
    """The weeks of a sweep that were begun, in words; without any, the sweeps that are there."""
    if weeks := weeks_of(store, sweep):
        return f"there are: {', '.join(weeks)}"
    names = store.folders(f"{SWEEPS}/")
    return f"sweeps that are here: {', '.join(names) or 'none'}; nla-ray sweep run CONFIG begins one"


@dataclass(frozen=True)
class Numbers:
    """The newest attempt at a cell, the newest that decoded it, the newest that has a result; 0 for none."""

    attempt: int = 0
    run: int = 0
    result: int = 0

    @property
    def ended(self) -> bool:
        """Whether the newest that is known of the cell is a result."""
        return self.result > 0 and self.result >= self.run


def numbers_of(store: Store, sweep: str, week: str, pair: Pair | None = None) -> defaultdict[Pair, Numbers]:
    """What is there of every cell, or of one, by one listing."""
    prefix = week_prefix(sweep, week)
    found: defaultdict[Pair, Numbers] = defaultdict(Numbers)
    for key in store.keys(f"{prefix}cells/" if pair is None else cell_prefix(sweep, week, pair)):
        match = _NUMBERED.fullmatch(key.removeprefix(prefix))
        if match is not None:
            cell, kind = (match[1], match[2]), match[3]
            highest = max(getattr(found[cell], kind), int(match[4]))
            found[cell] = replace(found[cell], **{kind: highest})
    return found


def put_attempt(store: Store, attempt: Attempt) -> int:
    """Write that a cell is begun; returns the number of the attempt."""
    cell = attempt.cell
    n = numbers_of(store, cell.sweep, cell.week, cell.pair)[cell.pair].attempt + 1
    while not put_object(store, attempt_key(cell.sweep, cell.week, cell.pair, n), attempt):
        n += 1
    return n


def put_run(store: Store, result: CellResult, n: int) -> bool:
    """Write what the n-th attempt at a cell decoded; False where it is there already."""
    cell = result.cell
    return put_object(store, run_key(cell.sweep, cell.week, cell.pair, n), result)


def put_result(store: Store, result: CellResult, n: int) -> bool:
    """Write how the n-th attempt at a cell ended; False where another said so first."""
    cell = result.cell
    return put_object(store, result_key(cell.sweep, cell.week, cell.pair, n), result)
