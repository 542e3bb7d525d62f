"""Whole objects of S3 as local files for as long as they are read, their content checked first."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import BinaryIO, cast

from nla_ray.errors import InputError, UnreachableError
from nla_ray.store.places.checksums import checksum_of
from nla_ray.store.places.ranges import Head, fetch

TRIES = 5
_CHUNK = 8 << 20


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
        file = cast(BinaryIO, copy)
        for _ in range(TRIES):
            _copy(head, file)
            if checksum.fits(file):
                break
        else:
            raise UnreachableError.at(
                path, f"what came {TRIES} times has not the checksum that the store tells"
            )
        yield head, copy.name


def _copy(head: Head, file: BinaryIO) -> None:
    file.seek(0)
    for start in range(0, head.size, _CHUNK):
        content = fetch(head, start, min(start + _CHUNK, head.size))
        try:
            file.write(content)
        except OSError as error:
            raise InputError(
                f"{head.path}: cannot keep a copy while it is read: {error.strerror or error}; make room, or "
                "name another folder in TMPDIR"
            ) from None
    file.flush()
