"""Digests of local files; those of large ones are taken once per machine while a file stays as it was."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
import uuid
from contextlib import suppress
from functools import cache
from pathlib import Path

from nla_ray.cache import cache_folder
from nla_ray.ids import digest

LEAST_BYTES = 1 << 20
"""A smaller file is read as fast as what is noted of it."""
SETTLED_S = 60.0
"""A file that was changed so shortly before it was read may change again without another time: clocks are
coarse, and a mapped page that is written again gets one only after its writeback (Linux: 35 s at most)."""
KEPT_S = 30 * 86_400.0
"""A note is dropped after so long, and the file read again."""


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """Hex sha256 of a file, which is read unless it was before and is the same file.

    The same has the same path, device, inode, size and times, to the nanosecond: of its content (mtime) and
    of any change at all (ctime, which nobody can set back). What it was is noted in the cache folder, and
    believed of a note that nobody else can write. Other bytes with the same times, of a faulty disk or by a
    mapping of the file that is written to for long, are found by `nla-ray verify`, which reads everything.
    """
    state = path.stat()
    if state.st_size < LEAST_BYTES:
        return file_sha256(path)
    note = _note(path, state)
    if (known := _noted(note)) is not None:
        return known
    found = file_sha256(path)
    settled = time.time() - max(state.st_mtime, state.st_ctime) > SETTLED_S
    if settled and _note(path, path.stat()) == note:
        _keep(note, found)
    return found


def _note(path: Path, state: os.stat_result) -> Path:
    same = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return cache_folder() / "sums" / digest("sum", os.fsencode(path.absolute()).hex(), *same)


def _noted(note: Path) -> str | None:
    """The digest that a note tells of the state it is named by; None where it cannot be believed."""
    with suppress(OSError, ValueError):
        handle = os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, encoding="ascii") as file:
            name, _, found = file.read(256).partition(" ") if _own(os.fstat(handle)) else ("", "", "")
        if name == note.name and _SHA256.fullmatch(found):
            return found
    return None


_SHA256 = re.compile("[0-9a-f]{64}")


def _own(state: os.stat_result) -> bool:
    """Whether it is a file that nobody but this user can write."""
    mine = stat.S_ISREG(state.st_mode) and state.st_uid == os.getuid()
    return mine and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _keep(note: Path, found: str) -> None:
    """Note a digest; where that cannot be, the file is read again the next time."""
    part = note.with_name(f".{uuid.uuid4().hex}.part")
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        _drop_old(note.parent)
        part.write_text(f"{note.name} {found}", encoding="ascii")
        part.chmod(0o600)
        part.replace(note)


@cache
def _drop_old(folder: Path) -> None:
    """Drop notes of long ago, and what was to become one; once in a process."""
    with os.scandir(folder) as entries:
        for one in entries:
            with suppress(OSError):
                if one.stat(follow_symlinks=False).st_mtime < time.time() - KEPT_S:
                    Path(one).unlink()
