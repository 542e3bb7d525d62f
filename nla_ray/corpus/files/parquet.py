"""A Parquet file as it is opened, or in one line why it is none."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import InputError
from nla_ray.store.places.files import require_read


def open_parquet(file: BinaryIO, label: str, *, buffer: int = 0) -> pq.ParquetFile:
    """The file, which checks its pages; they are read as needed: with `pre_buffer`, row groups would be held.

    Raises InputError for a damaged one; what the disk or the network failed with as it is.
    """
    try:
        return pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False, buffer_size=buffer)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        require_read(file)
        raise InputError(f"{label}: cannot read this Parquet file: {error}") from None
