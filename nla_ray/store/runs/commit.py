"""The commit of a run: all planned units with all planned rows are there, then one manifest shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import JsonValue

from nla_ray.errors import InputError
from nla_ray.store.catalog.files import FileList, FileRecord
from nla_ray.store.catalog.index import heads, keep_index, known_runs
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import QUARANTINE, commit_key, list_key, unit_key
from nla_ray.store.runs.manifest import Manifest, Stored, files_of, get_manifest, get_manifests
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.unit_file import DamagedError, Footer, to_bytes, unit_facts
from nla_ray.store.runs.units import RunRef, done_units, footer_of, record_of, side_record
from nla_ray.store.upkeep.compaction import links
from nla_ray.store.upkeep.ended import require_open
from nla_ray.tables import QUARANTINE as QUARANTINE_SCHEMA
from nla_ray.tables import table_of

T = TypeVar("T")


def commit(
    store: Store,
    plan: Plan,
    record: Mapping[str, JsonValue],
    written: FileList | Iterable[FileRecord] = (),
) -> Manifest:
    """Commit a run and return its manifest; a run that is committed already stays as it is.

    `record` is what became known by running (JSON values); `written` are records that writers returned, which
    saves looking at those files again: all others are read as a whole. Raises InputError unless units and
    rows are exactly those of the plan, DamagedError where a file is not as it was written.
    """
    ref = RunRef.of(plan)
    for table in (plan.table, *plan.sides):
        _require_units(store, plan, table, done_units(store, ref, table))
    known = written if isinstance(written, FileList) else FileList.of(plan.run_id, written)
    files = FileList(plan.run_id, pa.concat_tables(_all_files(store, plan, ref, known)))
    return _put_manifest(store, plan, ref, files, record)


def _require_units(store: Store, plan: Plan, table: str, done: frozenset[str]) -> None:
    missing, foreign = sorted(plan.units.keys() - done), sorted(done - plan.units.keys())
    where = f"{store.url}: run {plan.run_id} cannot be committed"
    if missing:
        some = f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
        found = f"{len(missing)} of {len(plan.units)} units are missing"
        way_out = "run it again" if table == plan.table else f"remove these units from {plan.table}/ first"
        raise InputError(f"{where}: {found} in {table} ({some}); {way_out}")
    if foreign:
        raise InputError(
            f"{where}: {table} holds {len(foreign)} units that were not planned ({', '.join(foreign[:3])}); "
            "move them elsewhere and run it again"
        )


def _all_files(store: Store, plan: Plan, ref: RunRef, known: FileList) -> Iterator[pa.Table]:
    """The run's own files, its quarantine, and the files of the tables beside."""
    units = pa.array(sorted(plan.units), pa.string())
    told, others = _told(known.only(plan.table), units)
    looked_at = FileList.of(plan.run_id, _sound(store, partial(record_of, store, ref), others.to_pylist()))
    _require_rows(store, plan, ref, told, looked_at)
    aside = [unit for one in (told, looked_at) for unit, _, n in _counts(one) if n]
    put = store.stream(lambda unit: _put_quarantine(store, footer_of(store, ref, unit)), aside)
    yield from (told.rows, looked_at.rows, FileList.of(plan.run_id, put).rows)
    for side in plan.sides:
        told, rest = _told(known.only(side), units)
        doubtful = pc.is_in(rest, others).to_pylist()
        record = partial(_beside, store, ref, side)
        pairs = zip(rest.to_pylist(), doubtful, strict=True)
        yield from (told.rows, FileList.of(plan.run_id, _sound(store, record, pairs)).rows)


def _beside(store: Store, ref: RunRef, side: str, unit: tuple[str, bool]) -> FileRecord:
    unit_id, doubtful = unit
    return side_record(store, ref, unit_id, side, look=doubtful)


def _sound(store: Store, record: Callable[[T], FileRecord], units: Iterable[T]) -> Iterator[FileRecord]:
    """The record of every unit. Raises one DamagedError that names all files that are not as written."""

    def look(unit: T) -> FileRecord | DamagedError:
        try:
            return record(unit)
        except DamagedError as error:
            return error

    damaged = []
    for one in store.stream(look, units):
        if isinstance(one, FileRecord):
            yield one
        else:
            damaged.append(one)
    if damaged:
        raise DamagedError(
            f"{'; '.join(str(one) for one in damaged[:3])}; {len(damaged)} units are damaged, nothing is "
            "committed: remove their files (`nla-ray sweep gc --damaged --yes` does) and run the same "
            "command again, which makes these units anew"
        )


def _told(known: FileList, units: pa.Array) -> tuple[FileList, pa.Array]:
    """The files of these units that writers told of, one each, and the units that none told of."""
    at = pc.index_in(units, value_set=known.rows["unit_id"].combine_chunks())
    return FileList(known.run_id, known.rows.take(at.drop_null())), units.filter(at.is_null())


def _counts(files: FileList) -> Iterator[tuple[str, int, int]]:
    """Unit, rows and rows in quarantine of every file."""
    for batch in files.rows.select(["unit_id", "rows", "quarantined"]).to_batches():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _require_rows(store: Store, plan: Plan, ref: RunRef, told: FileList, looked_at: FileList) -> None:
    """Hold rows against the plan, or against what the writer had counted where the plan leaves it open.

    A writer that tells of its file has seen to that.
    """
    uncounted = [unit for unit, *_ in _counts(looked_at) if plan.units[unit] is None]
    counted = {one.unit_id: one.planned for one in store.stream(partial(footer_of, store, ref), uncounted)}
    for files in (told, looked_at):
        for unit, rows, quarantined in _counts(files):
            planned = plan.units[unit]
            planned = counted.get(unit) if planned is None else planned
            if planned not in (None, rows + quarantined):
                raise InputError(
                    f"{store.url}/{ref.key(unit)}: holds {rows} rows and {quarantined} in quarantine where "
                    f"{planned} were planned; remove it and run again"
                )


def _put_quarantine(store: Store, footer: Footer) -> FileRecord:
    """Write the quarantined rows of a unit, which its own file carries, as a file that SQL can read."""
    common = {"run_id": footer.run_id, "unit_id": footer.unit_id}
    table = table_of([common | asdict(row) for row in footer.quarantined], QUARANTINE_SCHEMA)
    facts = unit_facts(footer.plan_sha256, footer.run_id, footer.unit_id, ())
    data = to_bytes(table, facts)
    key = unit_key(QUARANTINE, footer.run_id, footer.unit_id)
    store.put_new(key, data)
    size, sha256 = store.identify(key)
    if sha256 != hashlib.sha256(data).hexdigest():
        raise InputError(f"{store.url}/{key}: is not the quarantine of its unit; remove it and run again")
    return FileRecord(key=key, unit_id=footer.unit_id, sha256=sha256, bytes=size, rows=table.num_rows)


def _put_manifest(
    store: Store, plan: Plan, ref: RunRef, files: FileList, record: Mapping[str, JsonValue]
) -> Manifest:
    """Write the list of files and then the manifest that names it, which is the commit."""
    there = get_manifest(store, plan.run_id)
    if there is not None:
        return _require_same(store, there.manifest, ref.plan_sha256, files)
    data = files.to_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    store.put_new(list_key(plan.run_id, sha256), data)
    known = known_runs(store)
    named = {name for one in known.entries for name in one.previous}
    latest = get_manifests(store, heads(known.entries).keys() - {plan.run_id})
    own, recipe = files.only(plan.table).rows, plan.facts.get("recipe")
    manifest = Manifest(
        run_id=plan.run_id,
        table=plan.table,
        sides=plan.sides,
        plan_sha256=ref.plan_sha256,
        labels=plan.labels,
        recipe=recipe if isinstance(recipe, str) else None,
        order=known.next_order(),
        units=len(own),
        rows=pc.sum(own["rows"]).as_py() or 0,
        quarantined=pc.sum(own["quarantined"]).as_py() or 0,
        files=len(files),
        bytes=pc.sum(files.rows["bytes"]).as_py() or 0,
        files_sha256=sha256,
        previous={stored.manifest.run_id: stored.sha256 for stored in latest} | links(store, named),
        record=dict(record),
    )
    head = manifest.canonical().encode()
    require_open(store, plan.run_id)
    if store.put_new(commit_key(manifest.run_id), head):
        keep_index(store, known, Stored(manifest, hashlib.sha256(head).hexdigest()))
        return manifest
    return _put_manifest(store, plan, ref, files, record)


def _require_same(store: Store, there: Manifest, plan_sha256: str, files: FileList) -> Manifest:
    """The manifest that is there. Raises InputError where it commits other files, or another plan."""
    if there.plan_sha256 != plan_sha256 or not files_of(store, there).same_as(files):
        raise InputError(
            f"{store.url}/{commit_key(there.run_id)}: the run is committed already, with other files than "
            "are there now; see `nla-ray verify`"
        )
    return there
