"""Write a unit once, find the units that are there, and say what each one holds."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from pydantic import JsonValue

from nla_ray.errors import EngineError, InputError
from nla_ray.store.catalog.files import FileRecord
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import unit_key, unit_of, unit_prefix
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.unit_file import (
    DamagedError,
    Footer,
    QuarantinedRow,
    SideFile,
    read_footer,
    read_whole,
    to_bytes,
    unit_facts,
)
from nla_ray.tables import SCHEMAS

KEYS = {
    "activations": ("run_id", "row_id"),
    "documents": ("run_id", "unit_id", "doc_id"),
    "explanations": ("run_id", "row_id", "sample"),
    "findings": ("run_id", "finding_id"),
    "hits": ("run_id", "audited_run", "detector", "row_id", "sample"),
}
"""Columns that name a row of a table. A document may be in several units of a corpus of vectors."""


@dataclass(frozen=True)
class RunRef:
    """All that a worker must know of a run to write its units."""

    run_id: str
    table: str
    plan_sha256: str
    sides: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: Plan) -> RunRef:
        """The reference to a plan's run."""
        return cls(plan.run_id, plan.table, plan.sha256(), plan.sides)

    def key(self, unit_id: str, side: str | None = None) -> str:
        """Key of a unit's file, or of the one that it has in a table beside it."""
        return unit_key(side or self.table, self.run_id, unit_id)


def write_unit(
    store: Store,
    ref: RunRef,
    unit_id: str,
    table: pa.Table,
    *,
    planned: int | None,
    quarantined: Sequence[QuarantinedRow] = (),
    sides: Mapping[str, pa.Table] = {},
    tally: Mapping[str, JsonValue] = {},
) -> FileRecord:
    """Write all rows of a unit, `planned` in number with the quarantined ones; the first writer wins.

    `sides` are its rows of the tables beside it, written before its own file, whose existence makes the unit
    done; of an earlier attempt they stay. `tally` is what the writer counted and measured, kept in the file's
    footer for `Run.tallies`. `planned` is None where nobody counted before.

    Returns what is there afterwards, be it this writer's or the one's that came first, which is checked byte
    for byte. Raises EngineError for rows that are not the unit's, InputError for a file of another plan in
    its place, DamagedError for one that was changed.
    """
    check_rows(ref, unit_id, table, planned, quarantined)
    check_sides(ref, unit_id, sides)
    planned = table.num_rows + len(quarantined) if planned is None else planned
    beside = {side: _put_side(store, ref, unit_id, side, rows) for side, rows in sides.items()}
    named = {side: SideFile(one.sha256, one.bytes, one.rows) for side, one in beside.items()}
    facts = unit_facts(
        ref.plan_sha256, ref.run_id, unit_id, quarantined, planned=planned, tally=tally, sides=named
    )
    data = to_bytes(table, facts)
    key = ref.key(unit_id)
    if not store.put_new(key, data):
        return taken_up(store, ref, unit_id)
    sha256 = hashlib.sha256(data).hexdigest()
    return FileRecord(
        key=key,
        unit_id=unit_id,
        sha256=sha256,
        bytes=len(data),
        rows=table.num_rows,
        quarantined=len(quarantined),
        beside=tuple(beside.values()),
    )


def _put_side(store: Store, ref: RunRef, unit_id: str, side: str, rows: pa.Table) -> FileRecord:
    """Write a unit's rows of a table beside it; what is there afterwards, checked where it was before."""
    data = to_bytes(rows, unit_facts(ref.plan_sha256, ref.run_id, unit_id))
    key = ref.key(unit_id, side)
    if not store.put_new(key, data):
        return record_of(store, ref, unit_id, side)
    return FileRecord(key, unit_id, hashlib.sha256(data).hexdigest(), len(data), rows.num_rows)


def check_rows(
    ref: RunRef, unit_id: str, table: pa.Table, planned: int | None, quarantined: Sequence[QuarantinedRow]
) -> None:
    """Raise EngineError for rows that must not be written, for what is written once cannot be mended."""
    made = table.num_rows + len(quarantined)
    if planned not in (None, made):
        raise EngineError(f"unit {unit_id}: {made} rows were made where {planned} were planned")
    _check_table(ref, unit_id, ref.table, table)
    _check_keys(unit_id, ref.table, table, quarantined)


def check_sides(ref: RunRef, unit_id: str, sides: Mapping[str, pa.Table]) -> None:
    """Raise EngineError unless the tables beside a unit are those that its run has, with rows of the unit."""
    if sides.keys() != set(ref.sides):
        raise EngineError(
            f"unit {unit_id}: has {', '.join(sorted(sides)) or 'no tables'} beside it where the run's plan "
            f"names {', '.join(ref.sides) or 'none'}"
        )
    for side, table in sides.items():
        _check_table(ref, unit_id, side, table)
        _check_keys(unit_id, side, table)


def _check_table(ref: RunRef, unit_id: str, name: str, table: pa.Table) -> None:
    if not table.schema.equals(SCHEMAS.get(name, table.schema)):
        raise EngineError(f"unit {unit_id}: its table has not the schema of {name}")
    for column, value in (("run_id", ref.run_id), ("unit_id", unit_id)):
        found = set(table[column].unique().to_pylist()) if column in table.schema.names else set()
        if found - {value}:
            raise EngineError(f"unit {unit_id}: some of its rows in {name} have another {column}")


def _check_keys(unit_id: str, name: str, table: pa.Table, quarantined: Sequence[QuarantinedRow] = ()) -> None:
    key = [column for column in KEYS.get(name, ()) if column not in ("run_id", "unit_id")]
    made = Counter(zip(*(table[column].to_pylist() for column in key), strict=True))
    made.update(tuple(getattr(row, column) for column in key) for row in quarantined if key)
    repeated = made.total() - len(made)
    if repeated:
        raise EngineError(f"unit {unit_id}: {repeated} rows of {name} have the key of another one")


def done_units(store: Store, ref: RunRef, side: str | None = None) -> frozenset[str]:
    """Ids of the units that are written. Raises InputError for a file that is not a unit's."""
    prefix = unit_prefix(side or ref.table, ref.run_id)
    return frozenset(map(unit_of, store.keys(prefix)))


def taken_up(store: Store, ref: RunRef, unit_id: str) -> FileRecord:
    """What a unit that somebody else has written holds, with its files beside; all are read as a whole.

    Raises as `record_of` does, and FileNotFoundError where it is not written.
    """
    beside = tuple(side_record(store, ref, unit_id, side, look=True) for side in ref.sides)
    return replace(record_of(store, ref, unit_id), beside=beside)


def record_of(store: Store, ref: RunRef, unit_id: str, side: str | None = None) -> FileRecord:
    """What a unit's file holds, which is read as a whole: every byte is as it was written.

    Raises InputError for a file of another plan, run or unit, DamagedError for one that was changed; of a
    table beside it also where the unit's own file names another digest.
    """
    key = ref.key(unit_id, side)
    footer, data = read_whole(store, key)
    require_own(f"{store.url}/{key}", ref, unit_id, footer)
    return FileRecord(
        key=key,
        unit_id=unit_id,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        rows=footer.rows,
        quarantined=len(footer.quarantined),
    )


def written(store: Store, ref: RunRef, unit_id: str) -> FileRecord | None:
    """What a unit's file holds, None where it is not written. Raises InputError as `record_of` does."""
    try:
        return taken_up(store, ref, unit_id)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        raise DamagedError(
            f"{error}; remove it (`nla-ray sweep gc {store.url} --damaged --yes`) and run the same command "
            "again, which makes the unit anew"
        ) from None


def side_record(store: Store, ref: RunRef, unit_id: str, side: str, *, look: bool) -> FileRecord:
    """What a unit that is done has in a table beside it, as its own file says.

    `look` reads the file beside it too. Raises as `record_of` does.
    """
    own, key = footer_of(store, ref, unit_id), ref.key(unit_id, side)
    named = own.sides.get(side)
    there = record_of(store, ref, unit_id, side) if look or named is None else None
    if named is None or (there is not None and there.sha256 != named.sha256):
        raise DamagedError(f"{store.url}/{key}: is not what {ref.key(unit_id)} was written beside")
    return FileRecord(key=key, unit_id=unit_id, sha256=named.sha256, bytes=named.bytes, rows=named.rows)


def footer_of(store: Store, ref: RunRef, unit_id: str, side: str | None = None) -> Footer:
    """The footer of a unit's file. Raises InputError for a file of another plan, run or unit."""
    key = ref.key(unit_id, side)
    footer = read_footer(store, key)
    require_own(f"{store.url}/{key}", ref, unit_id, footer)
    return footer


def require_own(name: str, ref: RunRef, unit_id: str, footer: Footer) -> None:
    """Raise InputError for a footer of another plan, run or unit."""
    if (footer.plan_sha256, footer.run_id, footer.unit_id) != (ref.plan_sha256, ref.run_id, unit_id):
        raise InputError(
            f"{name}: was written under another plan (run {footer.run_id}, unit {footer.unit_id}, "
            f"plan {footer.plan_sha256[:16]}, not {ref.plan_sha256[:16]}); move it elsewhere and run again"
        )
