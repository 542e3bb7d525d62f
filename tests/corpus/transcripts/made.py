"""Transcript files made by hand, member by member and line by line."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from nla_ray.corpus.transcripts.kinds import Kind
from nla_ray.corpus.transcripts.model import Transcript
from nla_ray.corpus.transcripts.read import transcripts_of

STORED, DEFLATE, ZSTD = 0, 8, 93


def read(content: bytes, kind: Kind) -> list[Transcript]:
    """All transcripts of a file with this content."""
    return list(transcripts_of(io.BytesIO(content), kind, "some.file"))


def zipped(members: Iterable[tuple[str, object]], method: int = ZSTD, **wrong: int) -> bytes:
    """A zip file; what is not bytes is written as JSON. `wrong` sizes and flags lie in its directory."""
    body, directory, count = b"", b"", 0
    for name, value in members:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        packed, raw = _packed(content, method), name.encode()
        size, flags = wrong.get("size", len(content)), wrong.get("flags", 0x800)
        common = struct.pack(
            "<HHHHHIIIHH", 63, flags, method, 0, 0x21, zlib.crc32(content), len(packed), size, len(raw), 0
        )
        directory += (
            b"PK\1\2" + struct.pack("<H", 63) + common + struct.pack("<HHHII", 0, 0, 0, 0, len(body)) + raw
        )
        body += b"PK\3\4" + common + raw + packed
        count += 1
    return body + directory + b"PK\5\6" + struct.pack(
        "<HHHHIIH", 0, 0, count, count, len(directory), len(body), 0
    )  # fmt: skip


def _packed(content: bytes, method: int) -> bytes:
    if method == ZSTD:
        packed: bytes = pa.compress(content, "zstd", asbytes=True)
        return packed
    if method == DEFLATE:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return deflate.compress(content) + deflate.flush()
    return content


def lines(*values: Mapping[str, Any]) -> bytes:
    """JSON, one value a line."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)
