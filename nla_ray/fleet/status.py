"""How a week stands, from what lies in storage alone: any machine can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from nla_ray.config.base import Config
from nla_ray.fleet.cells import Cell
from nla_ray.fleet.lease import Lease, get_lease
from nla_ray.fleet.results import CellResult, numbers_of, results_of, runs_of
from nla_ray.store.places.objects import Store

Standing = Literal["done", "running", "stalled", "failed", "missing", "left"]
"""`stalled`: it was begun, and nobody works on it, or no unit was finished for long."""

STANDINGS: tuple[Standing, ...] = ("done", "running", "stalled", "failed", "missing", "left")


class CellStatus(Config):
    """How a cell stands."""

    cell: Cell
    state: Standing
    doing: str = ""
    """What is done with it, or why it is not."""
    run_id: str | None = None
    proof: str | None = None
    """Whether its pair was proven to read the target; None where nothing is decoded yet."""
    units: int = 0
    of_units: int = 0
    """0 where nobody has counted yet."""
    last_unit: str | None = None
    units_per_s: float = 0.0
    gpu_seconds: float = 0.0
    cost: float | None = None


class SweepStatus(Config):
    """How a week of a sweep stands."""

    sweep: str
    week: str
    cells: tuple[CellStatus, ...]
    counts: dict[Standing, int]
    """Cells by state."""
    units: int
    of_units: int
    """Of the cells that were begun."""
    left_s: float | None
    """Seconds until the last unit at the present speed; None where that cannot be told."""
    gpu_hours: float
    cost: float | None


def status_of(store: Store, sweep: str, week: str, now: datetime, stalled_after_s: float) -> SweepStatus:
    """The status of a week. Raises NoFileError for a week that was not begun."""
    results = results_of(store, sweep, week)
    begun, decoded = numbers_of(store, sweep, week), runs_of(store, sweep, week)
    leases = store.map(lambda one: get_lease(store, one.cell) if one.cell.pair in begun else None, results)
    patience = timedelta(seconds=stalled_after_s)
    cells = [
        cell_status(one, lease, decoded.get(one.cell.pair), now, patience)
        for one, lease in zip(results, leases, strict=True)
    ]
    return summed(sweep, week, cells)


def cell_status(
    result: CellResult, lease: Lease | None, decoded: CellResult | None, now: datetime, patience: timedelta
) -> CellStatus:
    """The state of a cell from its result, its lease and what was decoded.

    A cell with a result on which somebody works is made again.
    """
    at_work = lease is not None and lease.live(now)
    busy = decoded is None if result.state == "not started" else at_work
    if lease is not None and busy:
        stuck = not at_work or now - lease.last_unit > patience
        seconds = (now - lease.since).total_seconds()
        return CellStatus(
            cell=result.cell,
            state="stalled" if stuck else "running",
            doing=lease.doing if at_work else "nobody works on it",
            run_id=lease.run_id,
            units=lease.units,
            of_units=lease.of_units,
            last_unit=lease.last_unit.isoformat(timespec="seconds"),
            units_per_s=(lease.units - lease.before) / seconds if at_work and seconds > 0 else 0.0,
            gpu_seconds=lease.gpu_seconds,
            cost=lease.cost,
        )
    made, doing = result, ""
    state: Standing = "left"
    if result.state != "not started":
        state, doing = result.state, result.reason or ""
    elif decoded is not None:
        made = decoded
        if decoded.state == "failed":
            state, doing = "failed", decoded.reason or ""
        else:
            state, doing = "running" if at_work else "left", "decoded, not audited yet"
    return CellStatus(
        cell=result.cell,
        state=state,
        doing=doing,
        run_id=made.run_id,
        proof=made.proof,
        units=made.units,
        of_units=made.units,
        gpu_seconds=made.gpu_seconds,
        cost=made.cost,
    )


def summed(sweep: str, week: str, cells: Sequence[CellStatus]) -> SweepStatus:
    """A week from its cells."""
    counted = Counter(one.state for one in cells)
    costs = [one.cost for one in cells if one.cost is not None]
    return SweepStatus(
        sweep=sweep,
        week=week,
        cells=tuple(cells),
        counts={state: counted[state] for state in STANDINGS},
        units=sum(one.units for one in cells),
        of_units=sum(one.of_units for one in cells),
        left_s=seconds_left(cells, counted),
        gpu_hours=sum(one.gpu_seconds for one in cells) / 3600,
        cost=sum(costs) if costs else None,
    )


def seconds_left(cells: Sequence[CellStatus], counted: Mapping[Standing, int]) -> float | None:
    """At the speed of the running cells; a cell that was not begun counts as one of middle size."""
    if not counted["running"] and not counted["stalled"] and not counted["left"]:
        return 0.0
    speed = sum(one.units_per_s for one in cells if one.state == "running")
    known = sorted(one.of_units for one in cells if one.of_units)
    if not speed or not known:
        return None
    left = sum(one.of_units - one.units for one in cells if one.state in ("running", "stalled"))
    return (left + counted["left"] * known[len(known) // 2]) / speed
