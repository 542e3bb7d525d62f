"""CSV as RFC 4180 has it, for spreadsheets: UTF-8, a header per file, no cell that is a formula."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

from nla_ray.exports.place import Made
from nla_ray.exports.selection import Selection
from nla_ray.store.parts import FILE_BYTES
from nla_ray.tables import SCHEMAS
from nla_ray.text import csv_line


def csv_files(selection: Selection) -> Iterator[Made]:
    """The tables of the request; lists are JSON in a cell."""
    for name in selection.request.tables:
        for number, (data, rows) in enumerate(_parts(SCHEMAS[name].names, selection.table(name))):
            yield Made(f"{name}/part-{number:05}.csv", data, name, rows)


def _parts(names: list[str], batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[bytes, int]]:
    head = _line(names)
    data, rows = bytearray(head), 0
    for batch in batches:
        for row in batch.to_pylist():
            data += _line(row.values())
        rows += len(batch)
        if len(data) >= FILE_BYTES:
            yield bytes(data), rows
            data, rows = bytearray(head), 0
    if rows:
        yield bytes(data), rows


def _line(values: Iterable[object]) -> bytes:
    return f"{csv_line(values)}\r\n".encode()
