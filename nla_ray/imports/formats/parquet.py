"""Parquet files of results: plain columns as values, `activation` and `recon` as vectors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import InputError
from nla_ray.imports.shapes import VECTORS_ALONE, is_result, something_else

BATCH_ROWS = 1024
ACTIVATION, RECON = "activation", "recon"

Row = tuple[int, dict[str, Any] | str, np.ndarray | None, np.ndarray | None]


def rows(label: str, file: BinaryIO, *, vectors: bool) -> Iterator[Row]:
    """Row number from 1, values or what is wrong with them, activation, reconstruction.

    Other columns with lists of numbers are not read. A damaged row group is one problem in the place of its
    first unread row. Raises InputError: not a Parquet file, or no column with explanations.
    """
    parquet = _open(label, file)
    plain, lists = _columns(label, parquet.schema_arrow)
    wanted = [*plain, *(lists if vectors else ())]
    done = 0
    for group in range(parquet.num_row_groups):
        end = done + parquet.metadata.row_group(group).num_rows
        try:
            for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=wanted):
                batch.validate(full=True)
                yield from _rows_of(batch, done + 1)
                done += len(batch)
        except (OSError, pa.ArrowException) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # the disk or the network, not the file's content
            yield done + 1, f"rows {done + 1} to {end} cannot be read: {error}", None, None
        done = end


def _open(label: str, file: BinaryIO) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, page_checksum_verification=True)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise InputError(f"{label}: cannot read this Parquet file: {error}") from None


def _columns(label: str, schema: pa.Schema) -> tuple[list[str], list[str]]:
    """Columns with plain values, and those of the vectors."""
    numbers = [field.name for field in schema if _holds_numbers(field.type)]
    what = something_else(names := set(schema.names))
    if what is None and not is_result(names):
        columns = f"no column 'explanation'; the columns are {', '.join(schema.names) or 'none'}"
        what = VECTORS_ALONE if numbers else columns
    if what is not None:
        raise InputError(f"{label}: {what}")
    lists = [name for name in (ACTIVATION, RECON) if name in numbers]
    return [name for name in schema.names if name not in numbers], lists


def _holds_numbers(kind: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_list(kind) for is_list in kinds):
        return False
    return bool(pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))


def _rows_of(batch: pa.RecordBatch, first: int) -> Iterator[Row]:
    vectors = {name: batch[name] for name in (ACTIVATION, RECON) if name in batch.schema.names}
    plain = batch.drop_columns(list(vectors))
    for index, values in enumerate(plain.to_pylist()):
        found = {name: _vector(column[index].values) for name, column in vectors.items()}
        yield first + index, values, found.get(ACTIVATION), found.get(RECON)


def _vector(values: pa.Array | None) -> np.ndarray | None:
    """A vector as float32 [d]; a null in it is NaN."""
    return None if values is None else values.cast(pa.float32()).to_numpy(zero_copy_only=False)
