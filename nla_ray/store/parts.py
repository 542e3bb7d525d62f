"""Rows as files of a good size: batches gathered to groups, groups written until a file is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pyarrow as pa

GROUP_ROWS = 100_000
GROUP_BYTES = 256 << 20
"""A row group has so many rows, or fewer where vectors or texts are long."""
FILE_BYTES = 128 << 20
"""A file that has reached this is full; with its last group it may be twice as large."""

Open = Callable[[pa.NativeFile], Any]
"""What begins a file: it returns a context with `write_table`."""


def groups(batches: Iterator[pa.RecordBatch], rows: int = GROUP_ROWS) -> Iterator[pa.Table]:
    """Batches put together to tables of about so many rows."""
    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        gathered.append(batch)
        if sum(map(len, gathered)) >= rows or sum(one.nbytes for one in gathered) >= GROUP_BYTES:
            yield pa.Table.from_batches(gathered)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered)


def parts(tables: Iterator[pa.Table], begin: Open, full: int = FILE_BYTES) -> Iterator[tuple[bytes, int]]:
    """Bytes and rows of file after file; a table is not divided."""
    table = next(tables, None)
    while table is not None:
        sink, rows = pa.BufferOutputStream(), 0
        with begin(sink) as writer:
            while table is not None and sink.tell() < full:
                writer.write_table(table)
                rows += table.num_rows
                table = next(tables, None)
        yield cast(bytes, sink.getvalue().to_pybytes()), rows
