"""What is told while a week goes on: how far cells are, lines, and how many cells are in which state."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from nla_ray.config.sweep import SweepConfig
from nla_ray.fleet.results import CellResult, Pair
from nla_ray.fleet.status import STANDINGS, Standing
from nla_ray.runtime.progress import Progress

Say = Callable[[str, Progress], None]
"""Told how far a cell is, by its id."""

Tell = Callable[[str], None]
"""Told in a line what happens."""

Count = Callable[[Mapping[str, int]], None]
"""Told how many cells are in each state."""


@dataclass
class Board:
    """The week as its driver sees it; `stalled` is never among its states, for it is at work."""

    say: Say
    tell: Tell
    count: Count
    _states: dict[Pair, Standing] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def stand(self, cells: Iterable[tuple[Pair, Standing]]) -> None:
        """Cells are in these states now."""
        with self._lock:
            self._states |= dict(cells)
            found = Counter(self._states.values())
            self.count({state: found[state] for state in STANDINGS})

    def ended(self, results: Iterable[CellResult], *, audited: bool = True) -> None:
        """Results are there; what was decoded and not audited is left."""
        self.stand((one.cell.pair, _standing(one, audited)) for one in results)


def _standing(one: CellResult, audited: bool) -> Standing:
    if one.state == "not started" or (one.state == "done" and not audited):
        return "left"
    return one.state


def counting(config: SweepConfig, week: str) -> Count:
    """Gives counts to Ray's metrics; without a cluster nobody asks for them."""
    if config.runner.name == "local":
        return lambda _: None
    from nla_ray.runtime.metrics import SweepMetrics

    return SweepMetrics(config.name, week).tell
