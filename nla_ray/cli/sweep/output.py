"""What the commands of a sweep print: lines while it runs, tables of cells, or JSON."""

from __future__ import annotations

import json
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from nla_ray.cli.output import PLAIN_INTERVAL_S, Steady, line_of, stamped
from nla_ray.fleet.layout import week_prefix
from nla_ray.text import printable

if TYPE_CHECKING:
    from nla_ray.config.base import Config
    from nla_ray.fleet.report.model import FleetReport
    from nla_ray.fleet.status import SweepStatus
    from nla_ray.pipelines.decode.run import Progress
    from nla_ray.pipelines.sweep.plan import SweepPlan
    from nla_ray.pipelines.sweep.run import Ended


class Lines(Steady):
    """A line at every change of what is done with a cell, and one for each cell under way every 30 s."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._lock = threading.Lock()
        self._now: dict[str, tuple[Progress, float]] = {}
        self._last = ""

    def __call__(self, line: str) -> None:
        self._last = line
        self._out(stamped(line))

    def repeat(self) -> None:
        """See Steady."""
        if self._last:
            self(self._last)

    def say(self, cell: str, now: Progress) -> None:
        """A cell is so far."""
        with self._lock:
            before, at = self._now.get(cell, (None, 0.0))
            finished = bool(now.of_units) and now.units >= now.of_units
            if (
                before is None
                or before.doing != now.doing
                or finished
                or time.monotonic() - at > PLAIN_INTERVAL_S
            ):
                self._now[cell] = (now, time.monotonic())
                self(f"{cell}: {line_of(now)}")


def said(made: Config) -> str:
    """Something as JSON."""
    return json.dumps(made.model_dump(mode="json"), indent=2, ensure_ascii=False)


def print_plan(made: SweepPlan, console: Console) -> None:
    """A table of cells, sums, and where the speeds are known from."""
    table = _table("cell", "state", "documents", "vectors", "tokens", "units", "GPU-hours", made.currency)
    for one in made.cells:
        units = f"{one.done_units}/{one.units}" if one.done_units else str(one.units)
        numbers = [_number(value) for value in (one.documents, one.vectors, one.tokens)]
        costs = [_hours(one.gpu_hours), _money(one.cost)]
        table.add_row(one.cell.id, one.state, *numbers, units, *costs)
    console.print(table)
    for one in made.cells:
        why = one.reason or one.assumption
        if why:
            _line(console, f"{one.cell.id}: {why}")
        if one.seen is not None:
            _line(
                console,
                f"{one.cell.id}: its audit would flag a rate of {100 * one.seen:.1f} % or more in 80 % of "
                "cases, if controls say nothing",
            )
    reused = sum(one.reused_units for one in made.cells)
    _line(
        console,
        f"{made.sweep} {made.week}: {made.vectors} vectors, {reused} units reused; to come: "
        f"{made.worker_hours:.3g} worker-hours, {made.gpu_hours:.3g} GPU-hours"
        + ("" if made.cost is None else f", {made.cost:.2f} {made.currency}"),
    )


def print_status(made: SweepStatus, currency: str, console: Console) -> None:
    """A table of cells, and the week in a line."""
    table = _table("cell", "state", "pair", "units", "last unit", currency, "what")
    for one in made.cells:
        units = f"{one.units}/{one.of_units}" if one.of_units else ""
        table.add_row(
            one.cell.id,
            one.state,
            one.proof or "",
            units,
            one.last_unit or "",
            _money(one.cost),
            printable(one.doing),
        )
    console.print(table)
    counts = ", ".join(f"{n} {state}" for state, n in made.counts.items() if n)
    left = "unknown" if made.left_s is None else str(timedelta(seconds=round(made.left_s)))
    cost = "" if made.cost is None else f", {made.cost:.2f} {currency}"
    _line(
        console,
        f"{made.sweep} {made.week}: {counts}; {made.units}/{made.of_units} units of begun cells, time left "
        f"{left}, {made.gpu_hours:.3g} GPU-hours{cost} so far",
    )


def print_ended(ended: Ended, console: Console) -> None:
    """What came of the cells, and what was done for it."""
    table = _table("cell", "state", "verdict", "rows", "units", "reused", "what")
    for one in ended.results:
        numbers = [_number(value) for value in (one.rows, one.units, one.reused_units)]
        what = f"the run of {one.same_run_as}" if one.same_run_as else ""
        reason = "; ".join(part for part in (what, one.reason) if part)
        table.add_row(one.cell.id, one.state, one.verdict or "", *numbers, printable(reason))
    console.print(table)
    name = f"{ended.place.config.name} {ended.place.week}"
    for line in ended.over_budget:
        _line(console, f"{name}: stopped over budget: {line}; what is left was not begun")
    if not ended.worked:
        _line(console, f"{name}: nothing to do")
        return
    print_page(ended.report, ended.place.store.url, console)
    hits, units = (sum(getattr(one, key) for one in ended.results) for key in ("reused_units", "units"))
    _line(console, f"{name}: worked on {len(ended.worked)} cells; {hits} of {units} units were reused")


def print_page(made: FleetReport, root: str, console: Console) -> None:
    """The week in a sentence, and where its page is."""
    from nla_ray.fleet.report.write import FOLDER

    page = f"{root}/{week_prefix(made.sweep, made.week)}{FOLDER}/report.html"
    _line(console, f"{made.sweep} {made.week}: {made.sentence}")
    for one in made.unread:
        _line(console, f"Not read: {one}")
    _line(console, f"The page: {page}")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold", justify="left" if column in _TEXT else "right")
    return table


_TEXT = ("cell", "state", "pair", "verdict", "what", "last unit")


def _line(console: Console, text: str) -> None:
    console.print(printable(text), markup=False, highlight=False, soft_wrap=True)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _hours(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _money(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
