"""Objects of S3 as files: seekable, read by ranges of one and the same object, with a memory of faults."""

from __future__ import annotations

import io
import os
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from nla_ray.errors import InputError
from nla_ray.store.places.remote.asking import BrokenAnswerError, agreed, ask

_UNEXPLAINED = (400, 403)


@dataclass(frozen=True)
class Head:
    """An object as it was found: its size in bytes, its ETag, and all else that the store said of it."""

    path: str
    size: int
    etag: str
    said: dict[str, Any]


def split(path: str) -> tuple[str, str]:
    """Bucket and key of an `s3://` URL."""
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, key


def look(path: str, **options: Any) -> Head:
    """An object as it is now. Raises as `ask` does."""
    bucket, key = split(path)

    def question(client: Any) -> Head:
        try:
            said = client.head_object(Bucket=bucket, Key=key, **options)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in _UNEXPLAINED:
                # The answer to a HEAD has no room for a reason; that to a GET has.
                client.get_object(Bucket=bucket, Key=key, Range="bytes=0-0")["Body"].close()
            raise
        return Head(path, int(said["ContentLength"]), said.get("ETag", ""), dict(said))

    return ask(path, question)


def fetch(head: Head, start: int, end: int) -> bytes:
    """Bytes of the object that was found, all that were asked for. Raises as `ask` does."""
    if start >= end:
        return b""
    bucket, key = split(head.path)
    same = {"IfMatch": head.etag} if head.etag else {}

    def question(client: Any) -> bytes:
        answer = client.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end - 1}", **same)
        with closing(answer["Body"]) as body:
            content = bytes(body.read(end - start + 1))
        if len(content) != end - start:
            raise BrokenAnswerError(f"{len(content)} bytes came where {end - start} were asked for")
        return content

    return ask(head.path, question)


class S3File(io.RawIOBase):
    """An object for reading; with each request `ahead` bytes more than were asked for are fetched and kept.

    `twice`: every range is fetched until two answers agree. `fault` is what reading failed with, whatever
    became of that exception on its way.
    """

    def __init__(self, head: Head, *, ahead: int, twice: bool) -> None:
        self._head, self._ahead, self._twice = head, ahead, twice
        self._at, self._held, self._held_from = 0, b"", 0
        self.fault: InputError | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place."""
        self._at = max(0, (0, self._at, self._head.size)[whence] + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, or as much of it as is at hand."""
        wanted = memoryview(buffer).cast("B")
        start, end = self._at, min(self._at + len(wanted), self._head.size)
        if start >= end:
            return 0
        if not self._held_from <= start < self._held_from + len(self._held):
            self._hold(start, min(end + self._ahead, self._head.size))
        found = memoryview(self._held)[start - self._held_from :][: end - start]
        wanted[: len(found)] = found
        self._at += len(found)
        return len(found)

    def _hold(self, start: int, end: int) -> None:
        try:
            if self._twice:
                self._held = agreed(self._head.path, lambda: fetch(self._head, start, end))
            else:
                self._held = fetch(self._head, start, end)
        except InputError as error:
            self.fault = error
            raise
        self._held_from = start
