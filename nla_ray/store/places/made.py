"""Folders of this machine's cache: one process makes them, others wait; whole, or not there."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nla_ray.errors import InputError


def made_once(home: Path, make: Callable[[Path], None]) -> Path:
    """The folder `home`: `make` fills an empty one beside it, which then gets the name.

    Raises what `make` raises, and InputError where nothing can be written there.
    """
    with locked(home):
        if home.is_dir():
            return home
        part = home.with_name(f".{home.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir()
            make(part)
            _sync(part)
            part.rename(home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return home


@contextmanager
def locked(home: Path) -> Iterator[Path]:
    """A folder of the cache for this process alone; a process that dies lets go of it."""
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with home.with_name(f".{home.name}.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield home
    except OSError as error:
        raise InputError(
            f"{home.parent}: cannot keep a copy of a model: {error.strerror or error}; make room, or name "
            "another folder in NLA_RAY_CACHE"
        ) from None


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
