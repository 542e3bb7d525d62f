"""Whole objects of S3 as local files while they are read, compared with what the store knows of them."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from nla_ray.errors import InputError, UnreachableError
from nla_ray.store.places.remote.asking import agreed
from nla_ray.store.places.remote.ranges import Head, fetch, look, split

TRIES = 5
_CHUNK = 8 << 20
_BLOCK = 1 << 20


@contextmanager
def spooled(path: str) -> Iterator[tuple[Head, str]]:
    """An object and the path of a local copy that has its checksum; else its own path.

    An object is not copied where the store tells no checksum, or where it would take more than half of the
    free disk: the reader fetches every range of it twice, which needs no room and sees what copying would,
    except for a fault that always comes in the same way. Raises UnreachableError, InputError.
    """
    head, checksum = checksum_of(path)
    if checksum is None or head.size > shutil.disk_usage(tempfile.gettempdir()).free // 2:
        yield head, path
        return
    with tempfile.NamedTemporaryFile(prefix="nla_ray-", suffix=PurePosixPath(path).name[-80:]) as copy:
        try:
            fill(cast(BinaryIO, copy), head, checksum)
        except OSError as error:
            raise InputError(
                f"{path}: cannot keep a copy while it is read: {error.strerror or error}; make room, or "
                "name another folder in TMPDIR"
            ) from None
        yield head, copy.name


def fill(file: BinaryIO, head: Head, checksum: Checksum | None) -> None:
    """Write an object into a file that is open for both; without a checksum every range is fetched twice.

    Raises UnreachableError where the checksum never fits, InputError, and OSError as the disk does.
    """
    for _ in range(TRIES):
        file.seek(0)
        for start in range(0, head.size, _CHUNK):
            question = partial(fetch, head, start, min(start + _CHUNK, head.size))
            file.write(agreed(head.path, question) if checksum is None else question())
        file.flush()
        if checksum is None or checksum.fits(file):
            return
    raise UnreachableError.at(head.path, f"what came {TRIES} times has not the checksum that the store tells")


class _Crc32:
    """CRC-32 in the manner of hashlib."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Any) -> None:
        """Go on with more bytes."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Four bytes."""
        return self._value.to_bytes(4, "big")


_NAMED: dict[str, Callable[[], Any]] = {
    "ChecksumSHA256": hashlib.sha256,
    "ChecksumSHA1": hashlib.sha1,
    "ChecksumCRC32": _Crc32,
}


@dataclass(frozen=True)
class Checksum:
    """The digest of an object; of one that was written in parts, the MD5 of the MD5s of its parts."""

    algorithm: Callable[[], Any]
    digest: bytes
    parts: tuple[int, ...] = ()

    def fits(self, file: BinaryIO) -> bool:
        """Whether the file, read from its start, has this digest."""
        file.seek(0)
        if not self.parts:
            return _digest(file, None, self.algorithm) == self.digest
        parts = b"".join(_digest(file, size, self.algorithm) for size in self.parts)
        return hashlib.md5(parts).digest() == self.digest and not file.read(1)


def checksum_of(path: str) -> tuple[Head, Checksum | None]:
    """An object and the checksum of all its bytes that the store tells; None where it tells none.

    Raises as `look` does.
    """
    head = look(path, ChecksumMode="ENABLED")
    for name, algorithm in _NAMED.items():
        told = head.said.get(name, "")
        if told and "-" not in told:
            return head, Checksum(algorithm, base64.b64decode(told))
    tag = re.fullmatch(r'"?([0-9a-f]{32})(?:-(\d+))?"?', head.etag)
    if tag is None or not _is_md5(head):
        return head, None
    digest, parts = bytes.fromhex(tag[1]), int(tag[2] or 0)
    if not parts:
        return head, Checksum(hashlib.md5, digest)
    sizes = _sizes(head, parts)
    return head, None if sizes is None else Checksum(hashlib.md5, digest, sizes)


def _is_md5(head: Head) -> bool:
    """Objects under keys of KMS or of the customer, and those of directory buckets, have other ETags."""
    encrypted = str(head.said.get("ServerSideEncryption", "AES256")) != "AES256"
    return not (encrypted or "SSECustomerAlgorithm" in head.said or split(head.path)[0].endswith("--x-s3"))


def _sizes(head: Head, parts: int) -> tuple[int, ...] | None:
    """Bytes of each part, which need not be equal; None where the store does not tell."""
    sizes = tuple(look(head.path, PartNumber=number).size for number in range(1, parts + 1))
    return sizes if sum(sizes) == head.size else None


def _digest(file: BinaryIO, size: int | None, algorithm: Callable[[], Any]) -> bytes:
    """Digest of the next `size` bytes, or of all that follow."""
    found, left = algorithm(), size
    while data := file.read(_BLOCK if left is None else min(left, _BLOCK)):
        found.update(data)
        left = None if left is None else left - len(data)
    return bytes(found.digest())
