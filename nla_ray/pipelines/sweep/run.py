"""Run a week of a sweep: what is left of it is decoded and audited, whatever befalls single cells."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from nla_ray.config.base import Config
from nla_ray.config.detectors.packs import Packs
from nla_ray.config.sweep import SweepConfig
from nla_ray.errors import Exit
from nla_ray.fleet.costs import over_budget
from nla_ray.fleet.layout import week_prefix
from nla_ray.fleet.lease import Leases, get_lease
from nla_ray.fleet.report.exits import exit_of
from nla_ray.fleet.report.model import FleetReport
from nla_ray.fleet.report.write import FOLDER
from nla_ray.fleet.results import (
    CellResult,
    Numbers,
    Pair,
    State,
    numbers_of,
    put_result,
    results_of,
    runs_of,
)
from nla_ray.pipelines.audit.run import packs_of
from nla_ray.pipelines.sweep.audits import Auditor
from nla_ray.pipelines.sweep.board import Board, Say, Tell, counting
from nla_ray.pipelines.sweep.group import Group, failed, group_of
from nla_ray.pipelines.sweep.place import (
    CellWork,
    Place,
    begin_week,
    open_place,
    require_cells,
    require_same_week,
)
from nla_ray.pipelines.sweep.plan import plan_sweep, require_budget
from nla_ray.pipelines.sweep.report import build_fleet_report, write_fleet_report
from nla_ray.store.places.address import open_store

TRIES = 3
"""Of a cell that a passing fault ended."""

POLL_S = 5.0
"""Between two looks at cells that another driver works on."""


class Outcome(Config):
    """What came of a week, as data."""

    sweep: str
    week: str
    exit: int
    worked: tuple[str, ...]
    """Cells that were worked on; none where there was nothing to do."""
    over_budget: tuple[str, ...]
    results: tuple[CellResult, ...]
    page: str


@dataclass(frozen=True)
class Ended:
    """A week as it stands after a driver; `worked` are the cells that it worked on."""

    place: Place
    results: tuple[CellResult, ...]
    worked: tuple[str, ...]
    over_budget: tuple[str, ...]
    report: FleetReport

    @property
    def page(self) -> str:
        """Where the page is."""
        place = self.place
        return f"{place.store.url}/{week_prefix(place.config.name, place.week)}{FOLDER}/report.html"

    def outcome(self) -> Outcome:
        """The same as data."""
        return Outcome(
            sweep=self.place.config.name,
            week=self.place.week,
            exit=self.exit,
            worked=self.worked,
            over_budget=self.over_budget,
            results=self.results,
            page=self.page,
        )

    @property
    def exit(self) -> Exit:
        """That of the page, see `fleet_exit`; a budget that ran out comes first, for nothing goes on then."""
        return Exit.OVER_BUDGET if self.over_budget else exit_of(self.report.cells)


@dataclass
class Driver:
    """Works on the cells of a week until each has a result; what another driver works on is waited for."""

    place: Place
    leases: Leases
    packs: Packs
    again: frozenset[Pair]
    """Cells with a result that are to be made again."""
    board: Board
    tries: Counter[Pair] = field(default_factory=Counter)
    over: list[str] = field(default_factory=list)
    worked: dict[str, None] = field(default_factory=dict)
    found: dict[Pair, CellResult] = field(default_factory=dict)

    def decode(self) -> None:
        """Decode what is left, target by target; what loads the same goes together (`group_of`)."""
        while (left := self._left()) and not self.over:
            groups: dict[object, list[CellWork]] = {}
            for work in left:
                groups.setdefault(group_of(work, one_pass=self.place.config.one_pass), []).append(work)
            if not sum(self._at_once(list(groups.values()))) and not self.over:
                self._wait(left)

    def audit(self) -> None:
        """Audit what is decoded and has no result."""
        while todo := self._decoded():
            auditor = Auditor(self.place, runs_of(self.place.store, *self._names), self.packs)
            mine = [(work, n) for work, n in todo if self.leases.take(work.cell)]
            for work, n in mine:
                self._audit(auditor, work, n)
            if not mine:
                self._wait([work for work, _ in todo])

    @property
    def _names(self) -> tuple[str, str]:
        return self.place.config.name, self.place.week

    def _left(self) -> list[CellWork]:
        """Cells that are to be decoded."""
        numbers = numbers_of(self.place.store, *self._names)
        results = {one.cell.pair: one for one in results_of(self.place.store, *self._names)}
        runs = runs_of(self.place.store, *self._names)
        return [
            work
            for work in self.place.works
            if self._open(numbers[work.cell.pair], results[work.cell.pair], runs.get(work.cell.pair))
        ]

    def _open(self, numbers: Numbers, result: CellResult, run: CellResult | None) -> bool:
        pair = result.cell.pair
        if numbers.run > numbers.result:
            # What was decoded is in the tables; where the note of it cannot be read, another is made.
            return run is not None and run.state == "failed" and self.tries[pair] < TRIES
        if not numbers.ended:
            return self.tries[pair] < TRIES
        passing = result.exit == Exit.TRY_AGAIN and self.tries[pair] < TRIES
        return passing or (pair in self.again and not self.tries[pair])

    def _decoded(self) -> list[tuple[CellWork, int]]:
        """Cells that are decoded and not audited, with the number of the attempt that decoded them."""
        numbers = numbers_of(self.place.store, *self._names)
        found = [(work, numbers[work.cell.pair]) for work in self.place.works]
        return [(work, one.run) for work, one in found if one.run > one.result]

    def _at_once(self, groups: Sequence[Sequence[CellWork]]) -> Iterator[int]:
        """How many cells of each group were worked on."""
        if self.place.config.targets_at_once == 1:
            for works in groups:
                if group := self._group(works):
                    self._run(group)
                    yield len(group.works)
            return
        yield from self._in_threads(groups)

    def _in_threads(self, groups: Sequence[Sequence[CellWork]]) -> list[int]:
        begun: list[Group] = []

        def make(works: Sequence[CellWork]) -> int:
            group = self._group(works)
            if group is None:
                return 0
            begun.append(group)
            self._run(group)
            return len(group.works)

        with ThreadPoolExecutor(self.place.config.targets_at_once) as pool:
            futures: list[Future[int]] = [pool.submit(make, works) for works in groups]
            try:
                wait(futures)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for group in begun:
                    group.shared.stop()
                raise
            return [future.result() for future in futures]

    def _run(self, group: Group) -> None:
        self.board.stand((work.cell.pair, "running") for work in group.works)
        found = group.run()
        self.found |= found
        self.board.ended(found.values(), audited=False)

    def _group(self, works: Sequence[CellWork]) -> Group | None:
        """The cells of a target that nobody else works on; None without any, or without budget."""
        self.over = self.over or self._spent()
        mine = [] if self.over else [work for work in works if self.leases.take(work.cell)]
        for work in mine:
            self.tries[work.cell.pair] += 1
            self.worked[work.cell.id] = None
        return Group(self.place, mine, self.leases, self.board.say) if mine else None

    def _spent(self) -> list[str]:
        """What of the budget is exceeded by what was done."""
        if not self.place.config.budget.limited():
            return []
        done = runs_of(self.place.store, *self._names).values()
        return over_budget(
            self.place.config.budget,
            vectors=sum(one.vectors for one in done),
            gpu_seconds=sum(one.gpu_seconds for one in done),
            cost=sum(one.cost or 0.0 for one in done),
        )

    def _audit(self, auditor: Auditor, work: CellWork, n: int) -> None:
        self.board.tell(f"{work.cell.id}: auditing")
        self.board.stand([(work.cell.pair, "running")])
        self.worked[work.cell.id] = None
        made = auditor.runs[work.cell.pair]
        for again in range(TRIES):
            try:
                result = auditor.audited(work, made) if made.state == "done" else made
                break
            except Exception as error:  # noqa: BLE001 (what ends a cell does not end the sweep)
                ended = failed(work, error, made.started)
                kept = ended.model_dump(include={"state", "reason", "exit", "finished"})
                result = made.model_copy(update=kept | {"reason": f"audit: {ended.reason}"})
                if result.exit != Exit.TRY_AGAIN or again == TRIES - 1:
                    break
        put_result(self.place.store, result, n)
        self.board.ended([result])
        self.leases.release(work.cell)

    def _wait(self, works: Sequence[CellWork]) -> None:
        leases = [(work.cell.pair, get_lease(self.place.store, work.cell)) for work in works]
        owners = sorted({lease.owner for _, lease in leases if lease is not None})
        self.board.stand((pair, "left" if lease is None else "running") for pair, lease in leases)
        self.board.tell(f"waiting for {len(works)} cells that {', '.join(owners) or 'nobody'} works on")
        time.sleep(POLL_S)


def run_sweep(
    config: SweepConfig,
    week: str,
    *,
    cells: Sequence[str] = (),
    again: Collection[State] = (),
    say: Say = lambda cell, now: None,
    tell: Tell = lambda line: None,
) -> Ended:
    """Make what is left of a week; `cells` are those to work on, `again` the states of those to make again.

    Raises OverBudgetError before anything is decoded (what was read of the corpora is kept), ConfigError for
    another configuration of the week, InputError where nothing can be written.
    """
    require_cells(config, cells)
    place = open_place(config, week)
    require_same_week(place)
    chosen, packs = place.only(cells), packs_of(config.audit)
    open_store(place.tables, overwrites=config.overwrites).probe()
    with on_cluster(config):
        if config.budget.limited():
            made = plan_sweep(place, keep=True, doing=lambda what: tell(f"{what}: planning"))
            require_budget(made)
        begin_week(place)
        before = results_of(place.store, config.name, week)
        anew = frozenset(one.cell.pair for one in before if one.state in again)
        board = Board(say, tell, counting(config, week))
        board.ended(before)
        with Leases(place.store) as leases:
            driver = Driver(chosen, leases, packs, anew, board)
            driver.decode()
            driver.audit()
    # A result that could not be written down is told all the same.
    results = tuple(
        driver.found.get(one.cell.pair, one) if one.state == "not started" else one
        for one in results_of(place.store, config.name, week)
    )
    report = page_of(place, anew=bool(driver.worked))
    return Ended(place, results, tuple(driver.worked), tuple(driver.over), report)


def page_of(place: Place, *, anew: bool) -> FleetReport:
    """The page of the week; written where something was done (`anew`), or where it is not there."""
    config, week = place.config, place.week
    there = place.store.entries(f"{week_prefix(config.name, week)}{FOLDER}/report.json")
    q, currency = config.audit.evidence.alpha, config.budget.currency
    if anew or not there:
        return write_fleet_report(place.store.url, config.name, week, q=q, currency=currency)
    return build_fleet_report(place.store, config.name, week, q=q, currency=currency)


def on_cluster(config: SweepConfig) -> AbstractContextManager[None]:
    """One connection to Ray for all cells."""
    if config.runner.name == "local":
        return nullcontext()
    from nla_ray.runtime.cluster import connected, require_cluster

    require_cluster(config.runner, config.root)
    return connected(config.runner, cpus=config.targets_at_once * config.runner.cpus)
