"""Digests of local files; those of large ones are taken once per machine while a file stays as it was."""

from __future__ import annotations

import hashlib
import os
import stat
import time
import uuid
from contextlib import suppress
from pathlib import Path

from nla_ray.cache import cache_folder
from nla_ray.ids import digest

LEAST_BYTES = 1 << 20
"""A smaller file is read as fast as what is noted of it."""
SETTLED_S = 2.0
"""A file that was changed so shortly before it was read may change again without another time."""


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def known_sha256(path: Path) -> str:
    """Hex sha256 of a file, which is read unless it was before and is the same file.

    The same has the same path, device, inode, size and times, to the nanosecond: of its content (mtime) and
    of any change at all (ctime, which nobody can set back). What it was is noted in the cache folder, and
    believed of a note that nobody else can write. A disk that gives other bytes of an unchanged file is found
    by `nla-ray verify`, which reads everything each time.
    """
    state = path.stat()
    if state.st_size < LEAST_BYTES:
        return file_sha256(path)
    note = _note(path, state)
    with suppress(OSError, ValueError):
        if _own(note.stat()) and len(found := note.read_text(encoding="ascii")) == 64:
            return found
    found = file_sha256(path)
    settled = time.time() - max(state.st_mtime, state.st_ctime) > SETTLED_S
    if settled and _note(path, path.stat()) == note:
        _keep(note, found)
    return found


def _note(path: Path, state: os.stat_result) -> Path:
    same = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return cache_folder() / "sums" / digest("sum", os.fsencode(path.absolute()).hex(), *same)


def _own(state: os.stat_result) -> bool:
    return state.st_uid == os.getuid() and not state.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _keep(note: Path, found: str) -> None:
    """Note a digest; where that cannot be, the file is read again the next time."""
    part = note.with_name(f".{uuid.uuid4().hex}.part")
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(found, encoding="ascii")
        part.chmod(0o600)
        part.replace(note)
