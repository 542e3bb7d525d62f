"""What this machine fetched or made from models and tables is kept here; deleted only while nothing runs."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nla_ray.errors import InputError


def cache_folder() -> Path:
    """`$NLA_RAY_CACHE`, else `nla_ray` in the user's cache folder."""
    named = os.environ.get("NLA_RAY_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nla_ray"


def made_once(home: Path, make: Callable[[Path], None], whole: Callable[[Path], bool] = Path.is_dir) -> Path:
    """The folder `home`: `make` fills an empty one beside it, which then gets the name.

    One process makes it while others wait; one that is there and not `whole` is made again. Raises what
    `make` raises, and InputError where nothing can be written there.
    """
    if whole(home):
        return home
    with locked(home):
        if whole(home):
            return home
        part = home.with_name(f".{home.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            with writing(home.parent):
                part.mkdir()
            make(part)
            with writing(home.parent):
                _sync(part)
                shutil.rmtree(home, ignore_errors=True)
                part.rename(home)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return home


@contextmanager
def locked(home: Path) -> Iterator[Path]:
    """A folder of the cache for this process alone; a process that dies lets go of it."""
    with writing(home.parent):
        home.parent.mkdir(parents=True, exist_ok=True)
        lock = home.with_name(f".{home.name}.lock").open("ab")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise InputError where what is written to a folder of the cache cannot be kept."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{folder}: cannot keep a copy of a model: {error.strerror or error}; make room, or name "
            "another folder in NLA_RAY_CACHE"
        ) from None


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                os.fsync(file.fileno())
