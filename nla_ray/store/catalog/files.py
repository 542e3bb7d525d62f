"""The files of a run as columns: a million of them are a table of some 100 MB and not a million objects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import DamagedTablesError, InputError
from nla_ray.store.runs.layout import NAME, is_key_of, table_of_key, unit_key
from nla_ray.store.runs.unit_file import to_bytes
from nla_ray.tables import FILES

_AT_ONCE = 4096
_NAME = re.compile(NAME)
_ORDER = [("table_name", "ascending"), ("unit_id", "ascending")]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a unit, as it was written."""

    key: str
    unit_id: str
    sha256: str
    bytes: int
    rows: int
    quarantined: int = 0
    """Rows of the unit that are in the quarantine instead."""
    beside: tuple[FileRecord, ...] = ()
    """The unit's files in the tables beside it, where its writer says."""


class StoredFile(NamedTuple):
    """A file and what its content must be."""

    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class FileList:
    """Which files hold which units' rows; `rows` has the columns of `FILES`, by table and unit.

    A unit has one file of its own in each table. Where files were merged, `key` names the merged one, which
    then stands at every unit that it holds rows of, with its own digest and size and the unit's rows.
    """

    run_id: str
    rows: pa.Table

    @classmethod
    def of(cls, run_id: str, records: Iterable[FileRecord]) -> FileList:
        """What writers returned, with the files beside, in their order; records are let go on the way."""
        every = (one for record in records for one in (record, *record.beside))
        batches = []
        while some := list(islice(every, _AT_ONCE)):
            batches.append(pa.RecordBatch.from_pylist([_row(run_id, one) for one in some], schema=FILES))
        return cls(run_id, pa.Table.from_batches(batches, schema=FILES))

    def with_more(self, records: Iterable[FileRecord]) -> FileList:
        """These files and those of more records."""
        more = FileList.of(self.run_id, records)
        return FileList(self.run_id, pa.concat_tables([self.rows, more.rows]))

    @classmethod
    def read(cls, run_id: str, source: Path | pa.Buffer, name: str) -> FileList:
        """The list in a Parquet file. Raises InputError for one of other columns, DamagedTablesError for
        another file, and as `require_own` does."""
        try:
            with pq.ParquetFile(pa.BufferReader(source) if isinstance(source, pa.Buffer) else source) as file:
                rows = file.read()
        except (pa.ArrowException, OSError) as error:
            kind = type(error).__name__
            raise DamagedTablesError(
                f"{name}: is no list of files ({kind}); restore it from a backup"
            ) from None
        if not rows.schema.equals(FILES):
            raise InputError(
                f"{name}: has other columns than a list of files; upgrade nla_ray or restore it from a backup"
            )
        return cls(run_id, rows).require_own(name)

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def to_bytes(self) -> bytes:
        """The list as a Parquet file, sorted; equal lists give equal bytes."""
        return to_bytes(self.rows.sort_by(_ORDER).combine_chunks(), {})

    def same_as(self, other: FileList) -> bool:
        """Whether two lists name the same files, in whatever order."""
        return bool(self.rows.sort_by(_ORDER).equals(other.rows.sort_by(_ORDER)))

    def only(self, *tables: str) -> FileList:
        """The files of these tables."""
        return self._with("table_name", tables)

    def with_units(self, units: Sequence[str]) -> FileList:
        """The files of these units."""
        return self._with("unit_id", units)

    def _with(self, column: str, values: Sequence[str]) -> FileList:
        """Imported here, for a reader of tables needs none of it."""
        import pyarrow.compute as pc

        chosen = pc.is_in(self.rows[column], value_set=pa.array(values, pa.string()))
        return FileList(self.run_id, self.rows.filter(chosen))

    def units(self, table: str) -> pa.ChunkedArray:
        """Ids of the units that have a file in a table, in the order of the list."""
        return self.only(table).rows["unit_id"]

    def records(self, *tables: str) -> Iterator[FileRecord]:
        """The files, or those of some tables, one by one."""
        for batch in self.rows.to_batches(_AT_ONCE):
            for row in batch.to_pylist():
                table, key, sha256 = row.pop("table_name"), row.pop("key"), row.pop("sha256").hex()
                if tables and table not in tables:
                    continue
                own = unit_key(table, self.run_id, row["unit_id"])
                yield FileRecord(key=key or own, sha256=sha256, **row)

    def objects(self, tables: Iterable[str]) -> dict[str, list[StoredFile]]:
        """What is to be read for the rows of each of some tables: every file once."""
        found, merged = {table: list[StoredFile]() for table in tables}, set[str]()
        for file in self.records(*found) if found else ():
            if file.key not in merged:
                found[table_of_key(file.key)].append(StoredFile(file.key, file.sha256, file.bytes))
            if not file.key.endswith(f"/unit={file.unit_id}.parquet"):
                merged.add(file.key)
        return found

    def require_own(self, name: str) -> FileList:
        """The list itself. Raises InputError where a name or key in it is not one of its run's files.

        Every key that comes from a stored list passes here, so none of them leaves the root.
        """
        for column in ("table_name", "unit_id"):
            if not all(map(_NAME.fullmatch, self.rows[column].to_pylist())):
                raise DamagedTablesError(f"{name}: names what cannot be a {column}; restore it from a backup")
        named = self.rows.select(["table_name", "key"])
        for table, key in zip(*(column.to_pylist() for column in named.columns), strict=True):
            if key is not None and not is_key_of(key, table, self.run_id):
                raise InputError(
                    f"{name}: names {key!r}, which is no file of run {self.run_id} in {table}; restore it "
                    "from a backup"
                )
        return self


def _row(run_id: str, record: FileRecord) -> dict[str, object]:
    table = table_of_key(record.key)
    own = record.key == unit_key(table, run_id, record.unit_id)
    return {
        "table_name": table,
        "unit_id": record.unit_id,
        "key": None if own else record.key,
        "sha256": bytes.fromhex(record.sha256),
        "bytes": record.bytes,
        "rows": record.rows,
        "quarantined": record.quarantined,
    }
