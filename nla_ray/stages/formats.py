"""Rows of a corpus file in each format; what cannot be read of it is a problem in its own place."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import InputError
from nla_ray.stages.sources import Source
from nla_ray.stages.vectors import vector_bytes, vector_length
from nla_ray.store.files import opened

Row = dict[str, Any] | str
"""A row of a file, or what is wrong with it."""

Numbered = Iterator[tuple[int, Row]]
"""Rows with their line or row numbers, from 1."""

BATCH_ROWS = 1024


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


def rows_of(source: Source, columns: Columns, *, text_per: str = "line") -> Numbered:
    """The rows of one file. Raises InputError: it cannot be read as a whole, or lacks a column."""
    if columns.vector is not None and source.format in ("jsonl", "text"):
        raise InputError(f"{source.label}: vectors are read from Parquet and Arrow files, not from text")
    with opened(source.path) as file:
        if source.format == "text":
            columns.check(source.label, ("text", "file"))
            yield from _text_rows(source, file, text_per)
        elif source.format == "jsonl":
            yield from _jsonl_rows(source, file, columns)
        else:
            read = _parquet_batches if source.format == "parquet" else _arrow_batches
            yield from _batch_rows(source, file, columns, read)


def _lines(source: Source, file: BinaryIO) -> Iterator[bytes]:
    if source.compression is None:
        yield from file
        return
    number = 0
    try:
        with io.BufferedReader(pa.CompressedInputStream(file, source.compression)) as lines:
            for number, line in enumerate(lines, start=1):  # noqa: B007 (the error says how far it came)
                yield line
    except OSError as error:
        raise InputError(
            f"{source.label}: damaged {source.compression} data after line {number}: {error}"
        ) from None


def _text_rows(source: Source, file: BinaryIO, per: str) -> Numbered:
    lines = _lines(source, file)
    for number, line in enumerate([b"".join(lines)] if per == "file" else lines, start=1):
        if not line.strip():
            continue
        try:
            text = line.decode() if per == "file" else line.decode().rstrip("\r\n")
            yield number, {"text": text, "file": source.label}
        except UnicodeDecodeError as error:
            yield number, f"not UTF-8: {error.reason} at byte {error.start}"


def _jsonl_rows(source: Source, file: BinaryIO, columns: Columns) -> Numbered:
    """The columns are checked on the first line that can be read."""
    checked = False
    for number, line in enumerate(_lines(source, file), start=1):
        if not line.strip():
            continue
        row = _json_object(line)
        if isinstance(row, dict) and not checked:
            columns.check(source.label, list(row))
            checked = True
        yield number, row


def _json_object(line: bytes) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not a line of JSON: {error}"
    return row if isinstance(row, dict) else f"found {type(row).__name__} where an object belongs"


Piece = tuple[int, pa.RecordBatch | str]
"""Rows of a file, or how many of them cannot be read and why."""

Batches = Callable[[Source, BinaryIO, Columns], Iterator[Piece]]


def _batch_rows(source: Source, file: BinaryIO, columns: Columns, read: Batches) -> Numbered:
    done = 0
    for rows, piece in read(source, file, columns):
        if isinstance(piece, str):
            yield done + 1, f"rows {done + 1} to {done + rows} cannot be read: {piece}"
        else:
            if columns.vector is not None:
                vector_length(source.label, piece.schema.field(columns.vector))
            yield from enumerate(_rows_of_batch(piece, columns.vector), start=done + 1)
        done += rows


def _rows_of_batch(batch: pa.RecordBatch, vector: str | None) -> Iterator[Row]:
    """Python values; vectors as float32 bytes, for lists of numbers would be slow."""
    if vector is None:
        yield from batch.to_pylist()
        return
    plain = batch.drop_columns([vector])
    for row, values in zip(plain.to_pylist() or [{}] * len(batch), vector_bytes(batch[vector]), strict=True):
        yield {**row, vector: values}


def _parquet_batches(source: Source, file: BinaryIO, columns: Columns) -> Iterator[Piece]:
    """Row group by row group: a damaged one is a problem of its rows, not of the file."""
    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{source.label}: cannot read this Parquet file: {error}") from None
    wanted = columns.check(source.label, parquet.schema_arrow.names, declared=True)
    for group in range(parquet.num_row_groups):
        left = parquet.metadata.row_group(group).num_rows
        try:
            for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=wanted):
                batch.validate(full=True)
                left -= len(batch)
                yield len(batch), batch
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk or the network, not the file's content
            yield left, f"row group {group}: {error}"


def _arrow_batches(source: Source, file: BinaryIO, columns: Columns) -> Iterator[Piece]:
    """The stream format, which `datasets` writes, and the file format."""
    try:
        for batch in _open_arrow(file):
            wanted = columns.check(source.label, batch.schema.names, declared=True)
            yield len(batch), _validated(batch.select(wanted))
    except (OSError, EOFError, pa.ArrowException) as error:
        raise InputError(f"{source.label}: cannot read this Arrow file: {error}") from None


def _open_arrow(file: BinaryIO) -> Iterator[pa.RecordBatch]:
    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    if is_file:
        reader = pa.ipc.open_file(file)
        yield from (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        yield from pa.ipc.open_stream(file)


def _validated(batch: pa.RecordBatch) -> pa.RecordBatch | str:
    try:
        batch.validate(full=True)
    except pa.ArrowException as error:
        return str(error)
    return batch
