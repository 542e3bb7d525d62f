"""Members of a zip file, also those packed with Zstandard, which `zipfile` reads from Python 3.14 on."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import pyarrow as pa

from nla_ray.corpus.transcripts.values import LARGEST, UnreadableError
from nla_ray.errors import InputError

ZIP_ZSTANDARD = 93
_HEADER = 30
_ENCRYPTED = 1


def members(file: BinaryIO, label: str) -> Mapping[str, ZipInfo]:
    """What the archive holds, by name; of several members with one name the last counts.

    Raises InputError: this is no zip file, or one that was not written to its end.
    """
    try:
        return {info.filename: info for info in ZipFile(file).infolist()}
    except (BadZipFile, EOFError, NotImplementedError, ValueError, struct.error) as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None  # the disk or the network, which zipfile takes for the content
        raise InputError(
            f"{label}: cannot read this zip file: {error}; it is damaged, or was not written to its end"
        ) from None


def member(file: BinaryIO, info: ZipInfo) -> bytes:
    """The content of one member, checked. Raises UnreadableError."""
    if max(info.file_size, info.compress_size) > LARGEST:
        raise UnreadableError(
            f"{info.filename} holds {info.file_size} bytes; up to {LARGEST} ({LARGEST >> 20} MiB) are read"
        )
    if info.flag_bits & _ENCRYPTED:
        raise UnreadableError(f"{info.filename} is encrypted")
    packed = _packed(file, info)
    try:
        content = _unpacked(packed, info)
    except (OSError, zlib.error, pa.ArrowException) as error:
        raise UnreadableError(f"{info.filename} is damaged: {error}") from None
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise UnreadableError(f"{info.filename} is damaged: its checksum is another")
    return content


def _packed(file: BinaryIO, info: ZipInfo) -> bytes:
    file.seek(max(info.header_offset, 0))
    header = file.read(_HEADER)
    if len(header) < _HEADER or not header.startswith(b"PK\x03\x04"):
        raise UnreadableError(f"{info.filename} is not where the zip file's list of members says")
    file.seek(sum(struct.unpack("<HH", header[26:])), 1)
    return file.read(info.compress_size)


def _unpacked(packed: bytes, info: ZipInfo) -> bytes:
    """At most one byte more than the list of members declares."""
    if info.compress_type == ZIP_STORED:
        return packed
    if info.compress_type == ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, info.file_size + 1)
    if info.compress_type == ZIP_ZSTANDARD:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            content: bytes = stream.read(info.file_size + 1)
            return content
    raise UnreadableError(
        f"{info.filename} is packed by method {info.compress_type}; Deflate (8) and Zstandard (93) are read"
    )
