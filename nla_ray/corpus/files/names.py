"""What the name of a corpus file says: its format, why it is not read, the partition that it is of."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from nla_ray.corpus.files.recognise import INSPECT, WAY_OUT
from nla_ray.errors import InputError
from nla_ray.store.places.files import S3

Format = Literal["jsonl", "text", "parquet", "arrow", "transcript"]
Partition = tuple[tuple[str, str | None], ...]

_FORMATS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".txt": "text",
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
}
_PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2"}
KNOWN = f"{', '.join(_FORMATS)}; JSON and text also as {', '.join(_PACKED)}"
_BESIDE = (".crc", ".nla_meta.yaml")
"""Endings of what belongs to another file."""
_TRANSCRIPTS = (".eval", ".json", ".jsonl", ".ndjson", ".parquet")
_NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def format_of(file: str) -> tuple[Format, str | None] | None:
    """The format by the ending, in capitals too, and how the file is packed; None for an unknown one."""
    name = PurePosixPath(file.lower())
    packed = _PACKED.get(name.suffix)
    kind = _FORMATS.get(PurePosixPath(name.stem).suffix if packed else name.suffix)
    return None if kind is None or (packed and kind not in ("jsonl", "text")) else (kind, packed)


def transcript_format(file: str) -> tuple[Format, str | None] | None:
    """The format of a file that may be whole transcripts; None for one that cannot."""
    return ("transcript", None) if file.lower().endswith(_TRANSCRIPTS) else None


def why_not(file: str) -> str:
    """Why a file of no known format is not read, and the way out."""
    name = file.rpartition("/")[2].lower()
    if name.endswith(".eval"):
        return f"it is {INSPECT}, not rows with columns; {WAY_OUT}"
    if {"csv", "tsv"} & set(name.split(".")[1:]):
        return "a table as text; make Parquet of it, in DuckDB: COPY (FROM 'a.csv') TO 'a.parquet'"
    suffix = name.partition(".")
    return f"unknown corpus format {suffix[1] + suffix[2]!r}; expected {KNOWN}"


def is_hidden(relative: str) -> bool:
    """Whether other readers of folders leave a file out too: `.x`, `_x`, and what lies in such folders."""
    parts = [part for part in relative.split("/") if part not in (".", "..")]
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in parts)


def is_beside(file: str) -> bool:
    """Whether a file says something of another one and holds no documents."""
    return file.endswith(_BESIDE)


def partition_of(relative: str) -> Partition | None:
    """Keys and values of the folders that a file lies in; None where one is not called `key=value`."""
    found = []
    for folder in relative.split("/")[:-1]:
        key, equals, value = folder.partition("=")
        if not key or not equals:
            return None
        found.append((unquote(key), None if value == _NO_VALUE else unquote(value)))
    return tuple(found)


def plain_path(path: str) -> str:
    """A path as it is read: `s3a://` and `s3n://` are S3, `file://` is a local path in the form of a URL.

    Raises InputError for another scheme, and for a file of another host.
    """
    scheme, separator, rest = path.partition("://")
    if not separator or scheme == "s3" or "/" in scheme:
        return path
    if scheme in ("s3a", "s3n"):
        return S3 + rest
    if scheme == "file" and urlsplit(path).netloc in ("", "localhost"):
        return unquote(rest.removeprefix("localhost"))
    raise InputError(f"{path}: cannot be read; write a local path, file:///folder/name or s3://bucket/key")
