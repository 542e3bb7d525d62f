"""Rows of a corpus file in each format, from any place on; what cannot be read is a problem in its place."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.corpus.files.sources import Source
from nla_ray.corpus.vectors.columns import vector_bytes, vector_length
from nla_ray.errors import InputError
from nla_ray.store.places.files import opened

Row = dict[str, Any] | str
"""A row of a file, or what is wrong with it."""


class Place(NamedTuple):
    """Where a row is: its line or row number from 1, and how to get there without what lies before it.

    `offset` is a byte (plain lines, Arrow streams), a row group (Parquet) or a record batch (Arrow files);
    `skip` rows of the file lie between it and the row. Packed lines are counted from the start of the file.
    """

    number: int
    offset: int
    skip: int


Placed = Iterator[tuple[Place, Row]]
"""Rows with their places."""

BATCH_ROWS = 1024
_START = Place(1, 0, 0)
_REQUEST, _PIECE_REQUEST, _SMALL_REQUEST = 8 << 20, 1 << 20, 64 << 10


class Columns:
    """The columns that are wanted of each file, and the check that a file has them."""

    def __init__(
        self,
        wanted: Sequence[str],
        *,
        needed: Sequence[str],
        one_of: Sequence[str] = (),
        optional: Sequence[str] = (),
        vector: str | None = None,
    ) -> None:
        """`wanted` may hold `"*"`; `needed` must all be there and of `one_of` at least one."""
        self._wanted, self._needed, self._one_of = tuple(wanted), tuple(needed), tuple(one_of)
        self._read = {*wanted, *one_of, *optional}
        self.vector = vector

    def check(self, label: str, there: Sequence[str], *, declared: bool = False) -> list[str]:
        """The wanted columns among those that are there; a file that declares its columns must have them all.

        Raises InputError naming the missing column and those that there are.
        """
        needed = [*self._needed, *(() if any(name in there for name in self._one_of) else self._one_of)]
        if declared:
            needed += [name for name in self._wanted if name != "*"]
        for name in needed:
            if name not in there:
                raise InputError(f"{label}: no column {name!r}; the columns are {', '.join(there) or 'none'}")
        return [name for name in there if "*" in self._wanted or name in self._read]


def rows_of(
    source: Source, columns: Columns, *, text_per: str = "line", start: Place | None = None
) -> Placed:
    """The rows of one file, from `start` on or all of them.

    Raises InputError: the file cannot be read as a whole, or lacks a column.
    """
    if columns.vector is not None and source.format in ("jsonl", "text"):
        raise InputError(f"{source.label}: vectors are read from Parquet and Arrow files, not from text")
    with opened(source.place, ahead=_ahead(source, start)) as file:
        if source.format == "text":
            columns.check(source.label, ("text", "file"))
            yield from _text_rows(source, _lines(source, file, start or _START), text_per)
        elif source.format == "jsonl":
            rows = _jsonl_rows(_lines(source, file, start or _START))
            yield from _checked(source, columns, rows) if start is None else rows
        else:
            batches = _parquet_batches if source.format == "parquet" else _arrow_batches
            yield from _batch_rows(source, file, columns, start or _START, batches)


def _ahead(source: Source, start: Place | None) -> int:
    """Parquet is buffered column by column: what lies behind a read is of another column."""
    if source.format == "parquet":
        return _SMALL_REQUEST
    return _REQUEST if start is None else _PIECE_REQUEST


Lines = Iterator[tuple[Place, bytes]]


def _lines(source: Source, file: BinaryIO, start: Place) -> Lines:
    if source.compression is not None:
        yield from _packed_lines(source, file, start)
        return
    offset = file.seek(start.offset)
    for number, line in enumerate(file, start=start.number):
        yield Place(number, offset, 0), line
        offset += len(line)


def _packed_lines(source: Source, file: BinaryIO, start: Place) -> Lines:
    number = 0
    try:
        with io.BufferedReader(pa.CompressedInputStream(file, source.compression)) as lines:
            for number, line in enumerate(lines, start=1):
                if number >= start.number:
                    yield Place(number, 0, number - 1), line
    except OSError as error:
        raise InputError(
            f"{source.label}: damaged {source.compression} data after line {number}: {error}"
        ) from None


def _text_rows(source: Source, lines: Lines, per: str) -> Placed:
    if per == "file":
        lines = iter([(_START, b"".join(line for _, line in lines))])
    for place, line in lines:
        if not line.strip():
            continue
        try:
            text = line.decode() if per == "file" else line.decode().rstrip("\r\n")
            yield place, {"text": text, "file": source.label}
        except UnicodeDecodeError as error:
            yield place, f"not UTF-8: {error.reason} at byte {error.start}"


def _jsonl_rows(lines: Lines) -> Placed:
    return ((place, _json_object(line)) for place, line in lines if line.strip())


def _checked(source: Source, columns: Columns, rows: Placed) -> Placed:
    """The same rows; the columns are checked on the first line that can be read."""
    for place, row in rows:
        if isinstance(row, dict):
            columns.check(source.label, list(row))
            yield place, row
            break
        yield place, row
    yield from rows


def _json_object(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not a line of JSON: {error}"
    return row if isinstance(row, dict) else f"found {type(row).__name__} where an object belongs"


Batches = Iterator[tuple[Place, pa.RecordBatch | str]]
"""Rows with the place of their first, or why they cannot be read; batches before `start` are left out."""


def _batch_rows(
    source: Source,
    file: BinaryIO,
    columns: Columns,
    start: Place,
    read: Callable[[Source, BinaryIO, Columns, Place], Batches],
) -> Placed:
    for (number, offset, skip), batch in read(source, file, columns, start):
        if isinstance(batch, str):
            yield Place(number, offset, skip), batch
            continue
        if columns.vector is not None:
            vector_length(source.label, batch.schema.field(columns.vector))
        before = max(start.number - number, 0)
        for at, row in enumerate(_rows_of_batch(batch.slice(before), columns.vector), start=before):
            yield Place(number + at, offset, skip + at), row


def _rows_of_batch(batch: pa.RecordBatch, vector: str | None) -> Iterator[Row]:
    """Python values; vectors as float32 bytes, for lists of numbers would be slow."""
    if vector is None:
        yield from batch.to_pylist()
        return
    plain = batch.drop_columns([vector])
    for row, values in zip(plain.to_pylist() or [{}] * len(batch), vector_bytes(batch[vector]), strict=True):
        yield {**row, vector: values}


def _parquet_batches(source: Source, file: BinaryIO, columns: Columns, start: Place) -> Batches:
    """Row group by row group: a damaged one is a problem of its rows, not of the file.

    Pages are read as they are needed: with `pre_buffer`, whole row groups would be held.
    """
    try:
        parquet = pq.ParquetFile(
            file, page_checksum_verification=True, pre_buffer=False, buffer_size=_REQUEST
        )
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{source.label}: cannot read this Parquet file: {error}") from None
    wanted = columns.check(source.label, parquet.schema_arrow.names, declared=True)
    first = start.number - start.skip
    for group in range(start.offset, parquet.num_row_groups):
        done, rows = 0, parquet.metadata.row_group(group).num_rows
        try:
            for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=wanted):
                if first + done + len(batch) > start.number:
                    batch.validate(full=True)
                    yield Place(first + done, group, done), batch
                done += len(batch)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk or the network, not the file's content
            yield (
                Place(first + done, group, done),
                _unread(first + done, rows - done, f"row group {group}: {error}"),
            )
        first += rows


def _unread(first: int, rows: int, why: str) -> str:
    return f"rows {first} to {first + rows - 1} cannot be read: {why}"


def _arrow_batches(source: Source, file: BinaryIO, columns: Columns, start: Place) -> Batches:
    """The stream format, which `datasets` writes, and the file format."""
    first, last, skip = start.number - start.skip, start.offset, 0
    try:
        for offset, batch in _open_arrow(file, start.offset):
            skip = skip if offset == last else 0
            wanted = columns.check(source.label, batch.schema.names, declared=True)
            if first + len(batch) > start.number:
                yield Place(first, offset, skip), _validated(batch.select(wanted), first)
            first, last, skip = first + len(batch), offset, skip + len(batch)
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(f"{source.label}: cannot read this Arrow file: {error}") from None


def _open_arrow(file: BinaryIO, offset: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Record batches and where each can be found again, from `offset` on."""
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    if is_file:
        reader = pa.ipc.open_file(file)
        yield from ((index, reader.get_batch(index)) for index in range(offset, reader.num_record_batches))
        return
    stream = pa.ipc.open_stream(file)
    # A dictionary may be replaced or grow between two batches: such a stream is read from its start.
    seekable = "dictionary<" not in str(stream.schema)
    if offset:
        file.seek(offset)
    while True:
        at = file.tell() if seekable else 0
        try:
            yield at, stream.read_next_batch()
        except StopIteration:
            return


def _validated(batch: pa.RecordBatch, first: int) -> pa.RecordBatch | str:
    try:
        batch.validate(full=True)
    except pa.ArrowException as error:
        return _unread(first, len(batch), str(error))
    return batch
