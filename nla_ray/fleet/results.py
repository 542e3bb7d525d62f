"""What came of the cells of a week: one write-once result per attempt, the newest counts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from nla_ray.config.base import Config, Name
from nla_ray.errors import InputError
from nla_ray.fleet.cells import Cell
from nla_ray.fleet.layout import result_key, sweep_prefix, week_key, week_prefix
from nla_ray.fleet.objects import get_object, put_object
from nla_ray.store.places.objects import Store

State = Literal["done", "missing", "failed", "not started"]
"""`missing`: its corpus or its model is not there this week."""

Count = Annotated[int, Field(ge=0)]

_NUMBERED = re.compile(r"cells/([^/]+)/([^/]+)/(attempt|result)-(\d+)\.json")


class Week(Config):
    """What a week was begun with."""

    sweep: Name
    week: Name
    config: dict[str, JsonValue]
    """The whole SweepConfig, as JSON."""
    cells: tuple[Cell, ...]


class CellResult(Config):
    """How a cell stands."""

    cell: Cell
    state: State
    reason: str | None = None
    """Why it failed, what is missing, or what could not be compared."""
    exit: int = 0
    """Exit code that the cell alone would give, see the table of exit codes."""
    run_id: str | None = None
    audit_id: str | None = None
    verdict: str | None = None
    """The audit's verdict."""
    units: Count = 0
    reused_units: Count = 0
    """Of the units, those that another run had made."""
    rows: Count = 0
    quarantined: Count = 0
    vectors: Count = 0
    tokens: Count = 0
    gpu_seconds: float = 0.0
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


def weeks_of(store: Store, sweep: str) -> list[str]:
    """The weeks of a sweep that were begun, in order."""
    prefix = f"{sweep_prefix(sweep)}weeks/"
    keys = (listed.key.removeprefix(prefix) for listed in store.entries(prefix))
    return sorted(key.removesuffix("/week.json") for key in keys if key.endswith("/week.json"))


def results_of(store: Store, sweep: str, week: str) -> list[CellResult]:
    """The newest result of every cell of a week, in the order of its configuration.

    Raises InputError for a week that was not begun, and for damaged objects.
    """
    begun = get_week(store, sweep, week)
    if begun is None:
        known = ", ".join(weeks_of(store, sweep)) or "none"
        raise InputError(f"{store.url}: sweep {sweep} has no week {week}; there are: {known}")
    newest = numbered(store, sweep, week, "result")

    def result(cell: Cell) -> CellResult:
        n = newest.get(cell.pair)
        found = None if n is None else get_object(store, result_key(sweep, week, cell.pair, n), CellResult)
        return found or CellResult(cell=cell, state="not started")

    return store.map(result, begun.cells)


def numbered(
    store: Store, sweep: str, week: str, kind: Literal["attempt", "result"]
) -> dict[tuple[str, str], int]:
    """The highest number of a kind of object, by cell."""
    prefix = week_prefix(sweep, week)
    return _highest((listed.key.removeprefix(prefix) for listed in store.entries(f"{prefix}cells/")), kind)


def _highest(keys: Iterable[str], kind: str) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for key in keys:
        match = _NUMBERED.fullmatch(key)
        if match is not None and match[3] == kind:
            pair = (match[1], match[2])
            found[pair] = max(found.get(pair, 0), int(match[4]))
    return found


def put_result(store: Store, result: CellResult, n: int) -> bool:
    """Write how the n-th attempt at a cell ended; False where another said so first."""
    cell = result.cell
    return put_object(store, result_key(cell.sweep, cell.week, cell.pair, n), result)
