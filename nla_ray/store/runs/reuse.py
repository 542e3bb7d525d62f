"""Units that a committed run of the same place holds already: copied for another run, not made again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import UnreachableError
from nla_ray.store.catalog.files import FileRecord
from nla_ray.store.catalog.index import runs_with
from nla_ray.store.places.objects import ChangedError, Store
from nla_ray.store.runs.layout import unit_key, unit_prefix
from nla_ray.store.runs.manifest import Manifest, files_of, get_manifests
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.unit_file import DamagedError, Footer, read_whole
from nla_ray.store.runs.units import RunRef, write_unit
from nla_ray.tables import SCHEMAS

Columns = Mapping[str, object]
"""What a copy says in other words, by column: one value for all rows, or a list with one for each."""

Says = Callable[[str, pa.Table], Columns]
"""Of a table by its name."""


@dataclass(frozen=True)
class Held:
    """A unit in a committed run: its file, and those in the tables beside it."""

    run_id: str
    file: FileRecord
    sides: Mapping[str, FileRecord]


def find_held(store: Store, plan: Plan, units: Collection[str]) -> dict[str, Held]:
    """Which of these units another committed run holds, with every table that the plan keeps.

    A unit's id is a hash of all that its rows follow from, so an equal id is enough. Units of which rows are
    in quarantine are left out: they may be made this time. So are those whose files were removed, of a run
    that is retired or was compacted.
    """
    found: dict[str, Held] = {}
    for manifest in _candidates(store, plan):
        wanted = [unit for unit in units if unit not in found]
        files = files_of(store, manifest).with_units(wanted)
        if not len(files):
            continue
        there = set(store.keys(unit_prefix(manifest.table, manifest.run_id)))
        beside = {side: {file.unit_id: file for file in files.records(side)} for side in plan.sides}
        for file in files.records(manifest.table):
            if not file.quarantined and file.key in there and _alone(manifest, file):
                sides = {side: files[file.unit_id] for side, files in beside.items()}
                found[file.unit_id] = Held(manifest.run_id, file, sides)
    return found


def _candidates(store: Store, plan: Plan) -> Iterator[Manifest]:
    """Committed runs that may hold units of a plan."""
    recipe = plan.facts.get("recipe")
    alike = runs_with(store, recipe=None if recipe is None else str(recipe))
    for manifest, _ in get_manifests(store, [one.run_id for one in alike if one.run_id != plan.run_id]):
        if manifest.table == plan.table and set(manifest.sides) >= set(plan.sides):
            yield manifest


def _alone(manifest: Manifest, file: FileRecord) -> bool:
    """Whether a file holds nothing but its unit."""
    return file.key == unit_key(manifest.table, manifest.run_id, file.unit_id)


def copy_unit(
    store: Store,
    ref: RunRef,
    held: Held,
    says: Says,
    tally: Callable[[str, Mapping[str, Any]], dict[str, Any]],
) -> FileRecord:
    """Write a unit of a run from another run's files, as its own writer would have.

    `says` gives the columns in which runs differ; `tally` makes the new tally of the old run's id and the old
    tally. Raises DamagedError, ChangedError or FileNotFoundError where a file is not as committed.
    """
    unit_id = held.file.unit_id
    table, footer = _read(store, held.file, ref.table, says)
    sides = {side: _read(store, file, side, says)[0] for side, file in held.sides.items()}
    return write_unit(
        store,
        ref,
        unit_id,
        table,
        planned=footer.planned,
        sides=sides,
        tally=tally(held.run_id, footer.tally),
    )


def _read(store: Store, file: FileRecord, name: str, says: Says) -> tuple[pa.Table, Footer]:
    """A committed file as a table that speaks of another run, and its footer."""
    footer, data = read_whole(store, file.key)
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise ChangedError(f"{store.url}/{file.key}: is not as it was committed; see `nla-ray verify`")
    table = pq.read_table(pa.BufferReader(data)).combine_chunks()
    schema = SCHEMAS[name]
    new = says(name, table)
    columns = [
        _column(new[field.name], field, table.num_rows) if field.name in new else table[field.name]
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema), footer


def _column(value: object, field: pa.Field, rows: int) -> pa.Array:
    return pa.array(value if isinstance(value, list) else [value] * rows, field.type)


def copied(
    store: Store, held: Sequence[Held], copy: Callable[[Held], FileRecord]
) -> Iterator[tuple[Held, FileRecord | None]]:
    """Copy units, several at a time; None for one whose files are gone or damaged: it must be made again."""

    def attempt(one: Held) -> FileRecord | None:
        try:
            return copy(one)
        except UnreachableError:
            raise
        except (ChangedError, DamagedError, FileNotFoundError):
            return None

    at_once = 16 * store.threads
    for start in range(0, len(held), at_once):
        some = held[start : start + at_once]
        yield from zip(some, store.map(attempt, some), strict=True)
