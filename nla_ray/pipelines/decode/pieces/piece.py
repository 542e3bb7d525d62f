"""What planning knows of one corpus file: a few numbers for each document, as bytes that can be checked."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.corpus.files.sources import Source
from nla_ray.pipelines.decode.pieces.examples import Example
from nla_ray.store.places.files import Stamp

PIECE = pa.schema(
    {
        "number": pa.int64(),
        "offset": pa.int64(),
        "skip": pa.int64(),
        "digest": pa.binary(32),
        "key": pa.binary(16),
        "doc_id": pa.binary(),
        "position": pa.int64(),
        "problem": pa.binary(),
        "noted": pa.list_(pa.string()),
        "lacking": pa.map_(pa.string(), pa.string()),
        "shape": pa.string(),
        "placeless": pa.bool_(),
        "places": pa.int64(),
        "controls": pa.int64(),
        "shuffled": pa.int64(),
        "tokens": pa.int64(),
        "left_out": pa.int64(),
        "truncated": pa.bool_(),
        "windowed": pa.bool_(),
    }
)
"""A row for each document, taken by itself: where it is, the digest of its content, the key of its rows, how
many vectors it has, how many of each control they draw, how many tokens are read. Texts are bytes, for names
of files need not be Unicode.
"""

_HEAD = b"nla_ray"
_SHA = 32


@dataclass(frozen=True)
class Shown:
    """Examples of a document, by its number in the file from 0."""

    document: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Head:
    """The file as it was read; what is shown of its first documents that have positions."""

    source: Source
    shown: tuple[Shown, ...]


def to_parquet(batches: Iterable[pa.RecordBatch], head: Callable[[], Head]) -> bytes:
    """A piece as Parquet; its head is known once all documents are."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, PIECE, compression="zstd", use_dictionary=["problem", "shape"]) as writer:
        for batch in batches:
            writer.write_batch(batch)
        writer.add_key_value_metadata({_HEAD: json.dumps(asdict(head())).encode()})
    return sink.getvalue()


def to_object(content: bytes) -> bytes:
    """A piece as it is sent and kept: its sha256 (32 bytes) before it."""
    return hashlib.sha256(content).digest() + content


def checked_content(data: bytes) -> bytes | None:
    """The Parquet in an object; None where it is damaged."""
    content = data[_SHA:]
    return content if hashlib.sha256(content).digest() == data[:_SHA] else None


class Piece:
    """A piece on the disk; its documents are read a row group at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = pq.ParquetFile(path, memory_map=True)
        found = json.loads(self._file.metadata.metadata[_HEAD])
        shown = tuple(
            Shown(one["document"], tuple(Example(**example) for example in one["examples"]))
            for one in found["shown"]
        )
        source = found["source"]
        partition = tuple((key, value) for key, value in source["partition"])
        self.head = Head(
            Source(**source | {"partition": partition, "stamp": Stamp(**source["stamp"])}), shown
        )

    def batches(self, columns: Sequence[str], most: int | None = None) -> Iterator[dict[str, list[Any]]]:
        """Columns of its first documents as lists."""
        left = self._file.metadata.num_rows if most is None else most
        for group in range(self._file.num_row_groups):
            if left <= 0:
                return
            table = self._file.read_row_group(group, columns=list(columns)).slice(0, left)
            left -= len(table)
            yield table.to_pydict()

    def numbers(self) -> np.ndarray:
        """Line or row number of every document."""
        return np.asarray(self._file.read(columns=["number"])["number"].to_numpy())
