"""Rows of text and JSON files, plain, packed or in another encoding, with their places."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

import pyarrow as pa

from nla_ray.corpus.files.encodings import PACKED, UTF8_MARK, Encoding, Recoded, encoding_of, foreign
from nla_ray.corpus.files.json_rows import BrokenError, is_lines, json_values, parse_json
from nla_ray.corpus.files.places import START, Place, Placed, Row
from nla_ray.corpus.files.sources import Source
from nla_ray.errors import InputError

_HEAD = 256 << 10
"""Bytes that show how a file is written."""

Lines = Iterator[tuple[Place, bytes]]


def text_rows(source: Source, file: BinaryIO, start: Place, per: str) -> Placed:
    """The lines of a text file that are not blank, or all of it, as rows with `text` and `file`."""
    lines = _lines(source, file, start)
    if per == "file":
        lines = iter([(START, b"".join(line for _, line in lines))])
    for place, line in lines:
        if not line.strip():
            continue
        try:
            text = line.decode() if per == "file" else line.decode().rstrip("\r\n")
            yield place, {"text": text, "file": source.title}
        except UnicodeDecodeError as error:
            yield place, f"not UTF-8: {error.reason} at byte {error.start}"


def json_lines(source: Source, file: BinaryIO, start: Place) -> Placed:
    """The objects of a file of JSON: one a line, or those of an array, or one after the other."""
    return ((place, _json_object(line)) for place, line in _lines(source, file, start) if line.strip())


def _json_object(line: bytes) -> Row:
    try:
        row = parse_json(line)
    except ValueError as error:
        return f"not a line of JSON: {error}"
    return row if isinstance(row, dict) else f"found {type(row).__name__} where an object belongs"


def _lines(source: Source, file: BinaryIO, start: Place) -> Lines:
    """Lines or values with their places. Raises InputError: the file is damaged, or is no text at all."""
    if start.offset:
        return _plain(file, start)
    head, stream = _opened(source, file)
    if (found := foreign(head)) is not None:
        raise InputError(f"{source.label}: it is {found}, not what its name says; name it by what it is")
    encoding = encoding_of(head)
    text: BinaryIO | Recoded = stream if encoding.plain else Recoded(stream, encoding)
    if source.format == "jsonl" and not is_lines(head if encoding.plain else _as_utf8(head, encoding)):
        return _counted(source, json_values(text.read), start)
    if source.compression is None and encoding.plain:
        return _plain(file, start)
    return _counted(source, text, start)


def _opened(source: Source, file: BinaryIO) -> tuple[bytes, BinaryIO]:
    """The first bytes of a file as they are unpacked, and the file from its start."""
    head = file.read(_HEAD)
    file.seek(0)
    if source.compression is None:
        return head, file
    if head and not head.startswith(PACKED[source.compression]):
        raise InputError(f"{source.label}: no {source.compression} data, only named so")
    # Its destructor closes the file, so there is one stream and not another for the head.
    stream = io.BufferedReader(pa.CompressedInputStream(file, source.compression), _HEAD)
    try:
        return stream.peek(_HEAD), cast(BinaryIO, stream)
    except OSError as error:
        raise _damaged(source, 0, error) from None


def _as_utf8(head: bytes, encoding: Encoding) -> bytes:
    text = head.decode(encoding.codec, "ignore").encode(errors="ignore")
    return text.replace(b"\r", b"\n") if encoding.returns else text


def _plain(file: BinaryIO, start: Place) -> Lines:
    offset = file.seek(start.offset)
    for number, line in enumerate(file, start=start.number):
        yield Place(number, offset, 0), line if offset else line.removeprefix(UTF8_MARK)
        offset += len(line)


def _counted(source: Source, lines: Iterable[bytes], start: Place) -> Lines:
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if number >= start.number:
                yield Place(number, 0, number - 1), line
    except OSError as error:
        raise _damaged(source, number, error) from None
    except (UnicodeDecodeError, BrokenError) as error:
        raise InputError(f"{source.label}: damaged after line or value {number}: {error}") from None


def _damaged(source: Source, number: int, error: OSError) -> InputError:
    return InputError(f"{source.label}: damaged {source.compression} data after line {number}: {error}")
