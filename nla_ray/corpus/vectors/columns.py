"""Activations that were extracted before: columns of vectors, and whether they fit the verbalizer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from nla_ray.errors import InputError

_FLOATS = (pa.float16(), pa.float32(), pa.float64())


def vector_length(label: str, field: pa.Field) -> int | None:
    """Length that a column's type fixes for its vectors; None for lists of any length.

    Raises InputError for anything but lists of floats.
    """
    kind = field.type
    fixed = pa.types.is_fixed_size_list(kind)
    if (
        not (fixed or pa.types.is_list(kind) or pa.types.is_large_list(kind))
        or kind.value_type not in _FLOATS
    ):
        raise InputError(
            f"{label}: column {field.name!r} is {kind}; expected list, large_list or fixed_size_list of "
            "float16, float32 or float64"
        )
    return int(kind.list_size) if fixed else None


def vector_bytes(column: pa.Array) -> Iterator[bytes | None]:
    """Each vector as little-endian float32 bytes, None for a null; a null inside a vector becomes NaN.

    Slices of one buffer by its offsets: `take` on variable-size lists wraps past 4 GiB of values.
    """
    if pa.types.is_fixed_size_list(column.type):
        ends = (np.arange(len(column) + 1, dtype=np.int64) + column.offset) * column.type.list_size
    else:
        ends = column.offsets.to_numpy().astype(np.int64)
    values = column.values.slice(ends[0], ends[-1] - ends[0]).cast(pa.float32())
    flat = values.to_numpy(zero_copy_only=False).astype("<f4", copy=False)
    for index, there in enumerate(column.is_valid().to_numpy(zero_copy_only=False)):
        yield flat[ends[index] - ends[0] : ends[index + 1] - ends[0]].tobytes() if there else None
