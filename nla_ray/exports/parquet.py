"""Plain Parquet: a folder per table, flat, sorted, in encodings that every reader knows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.exports.delta import log
from nla_ray.exports.place import Made
from nla_ray.exports.selection import Selection
from nla_ray.store.parts import groups, parts
from nla_ray.store.runs.unit_file import ENCODINGS, TEXT_COLUMNS
from nla_ray.tables import SCHEMAS


def parquet_files(selection: Selection) -> Iterator[Made]:
    """The tables of the request, each with its Delta log where that is asked for."""
    for name in selection.request.tables:
        described = []
        begin = partial(_writer, schema=SCHEMAS[name])
        for number, (data, rows) in enumerate(parts(groups(selection.table(name)), begin)):
            made = Made(f"{name}/part-{number:05}.parquet", data, name, rows)
            described.append((made.key.rpartition("/")[2], len(data), rows))
            yield made
        if selection.request.delta:
            yield log(name, described, selection.request)


def _writer(sink: pa.NativeFile, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=[one for one in schema.names if one not in TEXT_COLUMNS and one not in ENCODINGS],
        write_page_checksum=True,
    )
