"""Merge the many files of a committed run into few, sorted, with exactly the same rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import InputError
from nla_ray.store.catalog.files import StoredFile
from nla_ray.store.parquet import AT_ONCE, exact_glob, read_files, read_some, spilling
from nla_ray.store.parts import FILE_BYTES, GROUP_ROWS, groups, parts
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import QUARANTINE, commit_key, compacted_key, compaction_key
from nla_ray.store.runs.manifest import Stored, committed_runs, get_manifest
from nla_ray.store.runs.unit_file import unit_writer
from nla_ray.store.upkeep.compaction import (
    CompactedFile,
    Compaction,
    compacted_runs,
    get_compaction,
    objects_of,
)
from nla_ray.store.upkeep.ended import ended_runs, require_open
from nla_ray.tables import SCHEMAS

BATCH_ROWS = 2048
_ORDERS = {
    "explanations": "doc_id, position NULLS FIRST, control, row_id, sample",
    "documents": "doc_id, unit_id, source",
    "activations": "doc_id, n_raw_tokens NULLS FIRST, row_id, unit_id",
}


@dataclass(frozen=True)
class Compacted:
    """What became of a run's files; equal counts where there was nothing to merge."""

    run_id: str
    files_before: int
    files_after: int
    bytes_after: int


def compact(store: Store, run_id: str, *, full: int = FILE_BYTES) -> Compacted:
    """Write the rows of a committed run into files of at least `full` bytes and at most twice as much.

    Readers take them from then on; the original files stay until `collect` removes them. Done before, or
    with one file per table, it changes nothing. Killed anywhere, it can be run again. Raises InputError for
    a run that is not committed or retired, and where a file is missing or changed.
    """
    stored = get_manifest(store, run_id)
    if stored is None:
        raise InputError(f"{store.url}/{commit_key(run_id)}: is not there; only a committed run is compacted")
    require_open(store, run_id)
    tables = (stored.manifest.table, *stored.manifest.sides, QUARANTINE)
    before = objects_of(store, stored, tables, compacted=False, fresh=True)
    there = get_compaction(store, run_id)
    if there is None and any(len(files) > 1 for files in before):
        with TemporaryDirectory(prefix="nla-ray-compact-") as spill:
            merge = _Merge(store, stored, Path(spill), full)
            made = [one for table, files in zip(tables, before, strict=True) for one in merge(table, files)]
        merged = Compaction(run_id=run_id, manifest_sha256=stored.sha256, files=tuple(made))
        store.put_new(compaction_key(run_id), merged.canonical().encode())
    after = objects_of(store, stored, tables, compacted=True, fresh=True)
    flat = [one for files in after for one in files]
    return Compacted(run_id, sum(map(len, before)), len(flat), sum(one.bytes for one in flat))


def compactable(store: Store) -> list[str]:
    """Ids of the committed runs that are not compacted and whose files are there."""
    gone = compacted_runs(store) | ended_runs(store).keys()
    return [run_id for run_id in committed_runs(store) if run_id not in gone]


def require_compacted(store: Store, run_id: str) -> None:
    """Read the larger files of a run. Raises InputError where one is missing or changed."""
    found = get_compaction(store, run_id)
    for one in () if found is None else found.compaction.files:
        try:
            store.local(one.key, one.sha256, fresh=True)
        except FileNotFoundError:
            raise InputError(
                f"{store.url}/{one.key}: is missing, so the files that it replaces are kept; restore it from "
                "a backup"
            ) from None


@dataclass(frozen=True)
class _Merge:
    """Merges the files of one table of a run."""

    store: Store
    stored: Stored
    spill: Path
    full: int

    def __call__(self, table: str, files: Sequence[StoredFile]) -> Iterator[CompactedFile]:
        """Write the merged files, which were looked at again before."""
        for start in range(0, len(files), AT_ONCE):
            yield from self._some(table, files[start : start + AT_ONCE])

    def _some(self, table: str, files: Sequence[StoredFile]) -> Iterator[CompactedFile]:
        """Merge some of a table's files. One that is alone stays as it is, as do files without rows."""
        paths = self.store.map(lambda one: self.store.local(one.key, one.sha256, fresh=True), files)
        counts = [pq.read_metadata(path).num_rows for path in paths]
        if len(paths) < 2 or not any(counts):
            for one, rows in zip(files, counts, strict=True):
                yield CompactedFile(table=table, key=one.key, sha256=one.sha256, bytes=one.bytes, rows=rows)
            return
        for made in self._written(table, paths):
            path = self._path(made)
            self.store.put_new(made.key, path.read_bytes())
            path.unlink()
            yield made

    def _written(self, table: str, paths: Sequence[Path]) -> list[CompactedFile]:
        """The merged files, in temporary places. Raises InputError unless they hold the same rows."""
        with spilling() as connection:
            made = [self._keep(table, data, rows) for data, rows in self._parts(connection, table, paths)]
            if not same_rows(connection, paths, [self._path(one) for one in made]):
                raise InputError(
                    f"{self.store.url}: {table} of run {self._run_id}: the merged rows are not the same; "
                    "nothing was changed, run it again"
                )
        return made

    @property
    def _run_id(self) -> str:
        return self.stored.manifest.run_id

    def _parts(
        self, connection: duckdb.DuckDBPyConnection, table: str, paths: Sequence[Path]
    ) -> Iterator[tuple[bytes, int]]:
        facts = {"run": self._run_id, "plan": self.stored.manifest.plan_sha256}
        begin = partial(unit_writer, schema=SCHEMAS[table], facts=facts)
        rows = connection.sql(
            f"FROM {read_files([*map(exact_glob, paths)])} ORDER BY {_ORDERS.get(table, 'ALL')}"
        )
        batches = _cast(rows.to_arrow_reader(BATCH_ROWS), SCHEMAS[table])
        yield from parts(groups(batches, GROUP_ROWS), begin, self.full)

    def _keep(self, table: str, data: bytes, rows: int) -> CompactedFile:
        sha256 = hashlib.sha256(data).hexdigest()
        made = CompactedFile(
            table=table,
            key=compacted_key(table, self._run_id, sha256),
            sha256=sha256,
            bytes=len(data),
            rows=rows,
        )
        self._path(made).write_bytes(data)
        return made

    def _path(self, one: CompactedFile) -> Path:
        return self.spill / f"{one.sha256}.parquet"


def _cast(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches with exactly the columns of a schema; what lies below a null becomes zeros.

    Otherwise the same rows would not be the same bytes.
    """
    for batch in batches:
        yield batch.cast(schema).take(pa.array(range(len(batch))))


def same_rows(
    connection: duckdb.DuckDBPyConnection, originals: Sequence[Path], merged: Sequence[Path]
) -> bool:
    """Whether every unit has the same rows in both sets of files, by their number and a sum of hashes."""
    columns = "unit_id VARCHAR, n HUGEINT, hashes HUGEINT"
    for name, paths in (("before", originals), ("after", merged)):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({columns})")
        for some in read_some(paths):
            sums = f"SELECT unit_id, count(*), sum(hash(one)) FROM {some} one GROUP BY unit_id"
            connection.execute(f"INSERT INTO {name} {sums}")
    before, after = (
        f"SELECT unit_id, sum(n), sum(hashes) FROM {name} GROUP BY unit_id" for name in ("before", "after")
    )
    unlike = connection.sql(
        f"SELECT count(*) FROM ((({before}) EXCEPT ({after})) UNION ALL (({after}) EXCEPT ({before})))"
    ).fetchall()
    return unlike == [(0,)]
