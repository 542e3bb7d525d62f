"""How a text file is written: byte order marks, UTF-16, old ends of line, the bytes of another format."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_CHUNK = 1 << 20
UTF8_MARK = b"\xef\xbb\xbf"
_MARKS = {
    UTF8_MARK: "utf-8-sig",
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
PACKED = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bz2": b"BZh"}
"""The first bytes of what is packed."""
_OTHERS = {b"PAR1": "Parquet", b"ARROW1": "Arrow", b"PK\x03\x04": "a zip archive", b"SQLite format": "SQLite"}


@dataclass(frozen=True)
class Encoding:
    """The codec of a text file, and whether its lines end with a carriage return alone."""

    codec: str = "utf-8"
    returns: bool = False

    @property
    def plain(self) -> bool:
        """Whether lines can be found by the bytes of the file."""
        return self.codec.startswith("utf-8") and not self.returns


def encoding_of(head: bytes) -> Encoding:
    """The encoding of a text file that begins so."""
    codec = next((name for mark, name in _MARKS.items() if head.startswith(mark)), None)
    if codec is None:
        codec = "utf-16-le" if head[1:2] == b"\0" else "utf-16-be" if head[:1] == b"\0" else "utf-8"
    ends = head.replace(b"\0", b"")
    return Encoding(codec, b"\r" in ends[:-1] and b"\n" not in ends)


def foreign(head: bytes) -> str | None:
    """What a file is that begins so and is no text; None for text."""
    magic = {first: f"{name} data" for name, first in PACKED.items()} | _OTHERS
    return next((what for first, what in magic.items() if head.startswith(first)), None)


class Recoded:
    """A file in another encoding, as lines or chunks of UTF-8; lines end by any end of line.

    What cannot be written in UTF-8 stays as it is, to be refused with its line.
    """

    def __init__(self, file: BinaryIO, encoding: Encoding) -> None:
        self._errors = "surrogateescape" if encoding.codec.startswith("utf-8") else "surrogatepass"
        self._file, self._decoder = file, codecs.getincrementaldecoder(encoding.codec)(self._errors)

    def read(self, size: int) -> bytes:
        """The next bytes, about so many; none at the end."""
        text, chunk = "", b"start"
        while chunk and not text:
            chunk = self._file.read(size)
            text = self._decoder.decode(chunk, not chunk)
        return text.encode(errors=self._errors)

    def __iter__(self) -> Iterator[bytes]:
        left = b""
        while chunk := self.read(max(_CHUNK, len(left))):
            *lines, left = (left + chunk).splitlines(keepends=True)
            yield from lines
        if left:
            yield left
