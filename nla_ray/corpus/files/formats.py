"""Rows of a corpus file in each format, from any place on; what cannot be read is a problem in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

import pyarrow as pa

from nla_ray.corpus.files.columns import Columns
from nla_ray.corpus.files.lines import json_lines, text_rows
from nla_ray.corpus.files.parquet import open_parquet
from nla_ray.corpus.files.places import START, Place, Placed, Row
from nla_ray.corpus.files.sources import Source
from nla_ray.corpus.files.values import batch_rows
from nla_ray.corpus.vectors.columns import vector_bytes, vector_length
from nla_ray.errors import InputError
from nla_ray.store.places.files import opened, require_read

BATCH_ROWS = 1024
_REQUEST, _PIECE_REQUEST, _SMALL_REQUEST = 8 << 20, 1 << 20, 64 << 10


def rows_of(
    source: Source, columns: Columns, *, text_per: str = "line", start: Place | None = None
) -> Placed:
    """The rows of one file, from `start` on or all of them.

    Raises InputError: the file cannot be read as a whole, or lacks a column.
    """
    if columns.vector is not None and source.format in ("jsonl", "text"):
        raise InputError(f"{source.label}: vectors are read from Parquet and Arrow files, not from text")
    with opened(source.place, ahead=_ahead(source, start), twice=source.stamp is None) as file:
        if source.format == "text":
            columns.check(source.label, ("text", "file"))
            yield from text_rows(source, file, start or START, text_per)
        elif source.format == "jsonl":
            rows = json_lines(source, file, start or START)
            yield from _checked(source, columns, rows) if start is None else rows
        else:
            batches = _parquet_batches if source.format == "parquet" else _arrow_batches
            yield from _batch_rows(source, file, columns, start or START, batches)


def _ahead(source: Source, start: Place | None) -> int:
    """Parquet is buffered column by column: what lies behind a read is of another column."""
    if source.format == "parquet":
        return _SMALL_REQUEST
    return _REQUEST if start is None else _PIECE_REQUEST


def _checked(source: Source, columns: Columns, rows: Placed) -> Placed:
    """The same rows; the columns are checked on the first line that can be read."""
    for place, row in rows:
        if isinstance(row, dict):
            columns.check_row(source.label, row)
            yield place, row
            break
        yield place, row
    yield from rows


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
        yield from batch_rows(batch)
        return
    plain = batch.drop_columns([vector])
    for row, values in zip(batch_rows(plain) or [{}] * len(batch), vector_bytes(batch[vector]), strict=True):
        yield {**row, vector: values}


def _parquet_batches(source: Source, file: BinaryIO, columns: Columns, start: Place) -> Batches:
    """Row group by row group: a damaged one is a problem of its rows, not of the file."""
    parquet = open_parquet(file, source.label, buffer=_REQUEST)
    wanted = columns.check_schema(source.label, parquet.schema_arrow)
    first = start.number - start.skip
    for group in range(start.offset, parquet.num_row_groups):
        done, rows = 0, parquet.metadata.row_group(group).num_rows
        try:
            for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=wanted):
                if first + done + len(batch) > start.number:
                    batch.validate(full=True)
                    # A name with dots also means what lies inside of a column of its first part.
                    yield Place(first + done, group, done), batch.select(wanted)
                done += len(batch)
        except (OSError, pa.ArrowException) as error:
            require_read(file)  # a fault of the disk or the network is none of the file's content
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
            wanted = columns.check_schema(source.label, batch.schema)
            if first + len(batch) > start.number:
                yield Place(first, offset, skip), _validated(batch.select(wanted), first)
            first, last, skip = first + len(batch), offset, skip + len(batch)
    except (OSError, EOFError, UnicodeDecodeError, pa.ArrowException) as error:
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
