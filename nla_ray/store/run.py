"""A run from its plan to its commit: open, write units, commit once all are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pydantic import JsonValue

from nla_ray.store.commit import commit
from nla_ray.store.manifest import FileRecord, Manifest, get_manifest
from nla_ray.store.objects import Store
from nla_ray.store.plan import Plan, put_plan
from nla_ray.store.unit_file import QuarantinedRow
from nla_ray.store.units import RunRef, done_units, write_unit


@dataclass(frozen=True)
class Run:
    """A planned run in a store. It can be pickled; a worker needs only `store` and `ref` of it."""

    store: Store
    plan: Plan
    ref: RunRef

    def committed(self) -> Manifest | None:
        """The manifest, once the run is finished."""
        stored = get_manifest(self.store, self.plan.run_id)
        return None if stored is None else stored.manifest

    def missing(self) -> list[str]:
        """Ids of the units that are still to be written, in the order of the plan."""
        done = done_units(self.store, self.ref)
        return [unit_id for unit_id in self.plan.units if unit_id not in done]

    def write(self, unit_id: str, table: pa.Table, quarantined: Sequence[QuarantinedRow] = ()) -> FileRecord:
        """Write one unit, see `write_unit`."""
        planned = self.plan.units[unit_id]
        return write_unit(self.store, self.ref, unit_id, table, planned=planned, quarantined=quarantined)

    def commit(self, record: Mapping[str, JsonValue], written: Iterable[FileRecord] = ()) -> Manifest:
        """Make the run's rows visible, see `commit`."""
        return commit(self.store, self.plan, record, written)


def open_run(store: Store, plan: Plan) -> Run:
    """Begin a run or take it up again: probe the store, write the plan or find an equal one there.

    Raises InputError for a store without conditional writes, ConfigError for another plan of the same run.
    """
    store.probe()
    put_plan(store, plan)
    return Run(store, plan, RunRef.of(plan))
