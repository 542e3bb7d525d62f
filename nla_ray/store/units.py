"""Write a unit once, find the units that are there, and say what each one holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from nla_ray.errors import EngineError, InputError
from nla_ray.store.layout import unit_key, unit_of, unit_prefix
from nla_ray.store.manifest import FileRecord
from nla_ray.store.objects import Store
from nla_ray.store.plan import Plan
from nla_ray.store.unit_file import Footer, QuarantinedRow, read_footer, to_bytes, unit_facts
from nla_ray.tables import SCHEMAS


@dataclass(frozen=True)
class RunRef:
    """All that a worker must know of a run to write its units."""

    run_id: str
    table: str
    plan_sha256: str

    @classmethod
    def of(cls, plan: Plan) -> RunRef:
        """The reference to a plan's run."""
        return cls(plan.run_id, plan.table, plan.sha256())

    def key(self, unit_id: str) -> str:
        """Key of a unit's file."""
        return unit_key(self.table, self.run_id, unit_id)


def write_unit(
    store: Store,
    ref: RunRef,
    unit_id: str,
    table: pa.Table,
    *,
    planned: int,
    quarantined: Sequence[QuarantinedRow] = (),
) -> FileRecord:
    """Write all rows of a unit, `planned` in number with the quarantined ones; the first writer wins.

    Returns what is there afterwards, be it this writer's or the one's that came first. Raises EngineError for
    rows that are not the unit's, InputError for a file of another plan in its place.
    """
    check_rows(ref, unit_id, table, planned, quarantined)
    data = to_bytes(table, unit_facts(ref.plan_sha256, ref.run_id, unit_id, quarantined))
    key = ref.key(unit_id)
    if not store.put_new(key, data):
        return record_of(store, ref, unit_id)
    sha256 = hashlib.sha256(data).hexdigest()
    return FileRecord(
        key=key,
        unit_id=unit_id,
        sha256=sha256,
        bytes=len(data),
        rows=table.num_rows,
        quarantined=len(quarantined),
    )


def check_rows(
    ref: RunRef, unit_id: str, table: pa.Table, planned: int, quarantined: Sequence[QuarantinedRow]
) -> None:
    """Raise EngineError for rows that must not be written, for what is written once cannot be mended."""
    schema = SCHEMAS.get(ref.table, table.schema)
    if not table.schema.equals(schema):
        raise EngineError(f"unit {unit_id}: its table has not the schema of {ref.table}")
    made = table.num_rows + len(quarantined)
    if made != planned:
        raise EngineError(f"unit {unit_id}: {made} rows were made where {planned} were planned")
    if ref.table not in SCHEMAS:
        return
    for column, value in (("run_id", ref.run_id), ("unit_id", unit_id)):
        if set(table[column].unique().to_pylist()) - {value}:
            raise EngineError(f"unit {unit_id}: some of its rows have another {column}")
    keys = set(zip(table["row_id"].to_pylist(), table["sample"].to_pylist(), strict=True))
    keys |= {(row.row_id, row.sample) for row in quarantined}
    if len(keys) != made:
        raise EngineError(
            f"unit {unit_id}: {made - len(keys)} rows have the row_id and sample of another one"
        )


def done_units(store: Store, ref: RunRef) -> frozenset[str]:
    """Ids of the units that are written. Raises InputError for a file that is not a unit's."""
    return frozenset(unit_of(listed.key) for listed in store.entries(unit_prefix(ref.table, ref.run_id)))


def record_of(store: Store, ref: RunRef, unit_id: str) -> FileRecord:
    """What a unit's file holds. Raises InputError for a file of another plan, run or unit."""
    footer = footer_of(store, ref, unit_id)
    size, sha256 = store.identify(ref.key(unit_id))
    return FileRecord(
        key=ref.key(unit_id),
        unit_id=unit_id,
        sha256=sha256,
        bytes=size,
        rows=footer.rows,
        quarantined=len(footer.quarantined),
    )


def footer_of(store: Store, ref: RunRef, unit_id: str) -> Footer:
    """The footer of a unit's file. Raises InputError for a file of another plan, run or unit."""
    key = ref.key(unit_id)
    footer = read_footer(store, key)
    if (footer.plan_sha256, footer.run_id, footer.unit_id) != (ref.plan_sha256, ref.run_id, unit_id):
        raise InputError(
            f"{store.url}/{key}: was written under another plan (run {footer.run_id}, unit {footer.unit_id}, "
            f"plan {footer.plan_sha256[:16]}, not {ref.plan_sha256[:16]}); move it elsewhere and run again"
        )
    return footer
