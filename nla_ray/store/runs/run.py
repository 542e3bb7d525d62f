"""A run from its plan to its commit: open, write units, commit once all are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pydantic import JsonValue

from nla_ray.errors import EngineError
from nla_ray.store.catalog.files import FileList, FileRecord
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.commit import commit
from nla_ray.store.runs.manifest import Manifest, get_manifest
from nla_ray.store.runs.plan import Plan, put_plan, refuse_other_plans
from nla_ray.store.runs.unit_file import QuarantinedRow
from nla_ray.store.runs.units import RunRef, done_units, footer_of, write_unit
from nla_ray.store.upkeep.ended import require_open

_AT_ONCE = 256


@dataclass(frozen=True)
class Run:
    """A planned run in a store. It can be pickled; a worker needs only `store` and `ref` of it.

    `first`: nobody had begun it before.
    """

    store: Store
    plan: Plan
    ref: RunRef
    first: bool = True

    def committed(self) -> Manifest | None:
        """The manifest, once the run is finished."""
        stored = get_manifest(self.store, self.plan.run_id)
        return None if stored is None else stored.manifest

    def missing(self) -> list[str]:
        """Ids of the units that are still to be written, in the order of the plan."""
        done = done_units(self.store, self.ref)
        return [unit_id for unit_id in self.plan.units if unit_id not in done]

    def write(
        self,
        unit_id: str,
        table: pa.Table,
        quarantined: Sequence[QuarantinedRow] = (),
        *,
        planned: int | None = None,
        sides: Mapping[str, pa.Table] = {},
        tally: Mapping[str, JsonValue] = {},
    ) -> FileRecord:
        """Write one unit, see `write_unit`; `planned` only where the plan leaves it open."""
        in_plan = self.plan.units[unit_id]
        if None not in (in_plan, planned) and in_plan != planned:
            raise EngineError(f"unit {unit_id}: {planned} rows were counted where the plan has {in_plan}")
        return write_unit(
            self.store,
            self.ref,
            unit_id,
            table,
            planned=planned if in_plan is None else in_plan,
            quarantined=quarantined,
            sides=sides,
            tally=tally,
        )

    def tallies(self) -> Iterator[dict[str, JsonValue]]:
        """The tally of every unit of the plan, in the order of their ids, whichever attempt wrote it.

        Raises FileNotFoundError where a unit is not written yet, InputError for a file of another plan.
        """
        units = sorted(self.plan.units)
        for start in range(0, len(units), _AT_ONCE):
            some = units[start : start + _AT_ONCE]
            found = self.store.map(lambda unit: footer_of(self.store, self.ref, unit).tally, some)
            yield from found

    def commit(
        self, record: Mapping[str, JsonValue], written: FileList | Iterable[FileRecord] = ()
    ) -> Manifest:
        """Make the run's rows visible, see `commit`."""
        return commit(self.store, self.plan, record, written)


def open_run(store: Store, plan: Plan, *, add: bool = False) -> Run:
    """Begin a run or take it up again: probe the store, write the plan or find an equal one there.

    Explanations of one run only are kept in a place, unless `add`. Raises ConfigError for another plan there,
    InputError for a store without conditional writes, and for a run that was abandoned or retired.
    """
    require_open(store, plan.run_id)
    if not add:
        refuse_other_plans(store, plan)
    store.probe()
    first = put_plan(store, plan)
    return Run(store, plan, RunRef.of(plan), first)
