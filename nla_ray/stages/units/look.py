"""Before a unit is worked on: is it written already, by another driver or an earlier attempt?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nla_ray.stages.stage import Stage
from nla_ray.stages.units.tally import Tally
from nla_ray.stages.units.work import Done, Task
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.units import RunRef, written


class LookFirst(Stage):
    """The first stage of a unit that is not written; of one that is, what is there is the result.

    One request a unit saves making it twice where two drivers have one run. It is only thrift: what is
    written between the look and the writing stays, and whoever comes second is told so.
    """

    def __init__(self, first: Stage, store: Store, ref: RunRef) -> None:
        self._first, self._store, self._ref = first, store, ref
        self.name = first.name

    def setup(self) -> None:
        """Set up the real stage."""
        self._first.setup()

    def setup_ahead_of(self, others: Sequence[LookFirst]) -> None:
        """See Stage."""
        self._first.setup_ahead_of([one._first for one in others])

    def setup_beside(self, other: LookFirst) -> None:
        """See Stage."""
        self._first.setup_beside(other._first)

    def __call__(self, task: Task) -> Any:
        """What the real stage does, or Done. A trial writes nothing and need not look."""
        there = None if task.only is not None else written(self._store, self._ref, task.unit_id)
        return self._first(task) if there is None else Done(task, there, Tally(), made=False)
