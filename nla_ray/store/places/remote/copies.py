"""Folders of S3 as folders of this machine: fetched once, checked, shared by all processes here."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import BinaryIO, cast

from nla_ray.cache import cache_folder, locked, writing
from nla_ray.errors import InputError, NoFileError
from nla_ray.ids import digest
from nla_ray.store.places.remote.listing import Entry, objects
from nla_ray.store.places.remote.spool import checksum_of, fill

THREADS = 8
"""Files that are fetched at once."""

_LISTING = "listing.json"


def local_copy(
    url: str, wanted: Sequence[str], pin: str | None = None, *, only: Sequence[str] = ("*",)
) -> tuple[Path, str]:
    """A folder here with the files directly in a folder of S3 whose names fit one of `wanted`; and its pin.

    The pin is a digest of the URL and of these files' names, sizes and ETags. With a `pin` the files must be
    those of that pin; where they are here already, nothing is asked. Of them, `only` some are fetched. The
    folder is whole or not there; a second process waits for the first, and what was fetched before an
    interruption is not fetched again.
    Raises NoFileError where there are no such files, InputError where they are not those of the pin or the
    cache cannot be written to, UnreachableError.
    """
    url = url.rstrip("/")
    if pin is not None and (there := _whole(_home(pin, only), url)) is not None:
        return there, pin
    found = [one for one in objects(url) if _fits(one, wanted)]
    now = digest("copy", url, *(f"{_name(one)} {one.size} {one.etag}" for one in found))[:32]
    if not found:
        raise NoFileError(f"{url}: no such model: there is no file {' or '.join(wanted)} directly below it")
    if pin not in (None, now):
        raise InputError(
            f"{url}: its files are not those of {pin}: they changed since it was planned; restore them, or "
            f"run again with what is there now ({now})"
        )
    with locked(_home(now, only)) as home, writing(home.parent):
        return _whole(home, url) or _fetched(home, url, [one for one in found if _fits(one, only)]), now


def _home(pin: str, only: Sequence[str]) -> Path:
    return cache_folder() / "models" / f"{pin}-{digest(*only)[:8]}"


def _fits(entry: Entry, patterns: Sequence[str]) -> bool:
    """Whether a file is wanted; hidden ones never are."""
    name = _name(entry)
    return not name.startswith(".") and any(fnmatchcase(name, pattern) for pattern in patterns)


def _name(entry: Entry) -> str:
    return entry.key.rpartition("/")[2]


def _files(home: Path, url: str) -> Path:
    """The folder of the files; its last name is the model's, for messages name it."""
    return home / "files" / url.rpartition("/")[2]


def _whole(home: Path, url: str) -> Path | None:
    """The folder of a copy that is there with files of the right sizes; None for any other."""
    folder = _files(home, url)
    try:
        sizes: dict[str, int] = json.loads((home / _LISTING).read_bytes())
        return folder if all((folder / name).stat().st_size == n for name, n in sizes.items()) else None
    except (OSError, ValueError):
        return None


def _fetched(home: Path, url: str, found: Sequence[Entry]) -> Path:
    folder = _files(home, url)
    folder.mkdir(parents=True, exist_ok=True)
    left = [one for one in found if not _is_here(folder / _name(one), one.size)]
    needed, free = sum(one.size for one in left), shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{url}: {needed / 2**30:.2f} GiB are to be fetched and {free / 2**30:.2f} GiB are free in "
            f"{cache_folder()}; make room, or name another folder in NLA_RAY_CACHE"
        )
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda one: _fetch(f"{url}/{_name(one)}", one, folder / _name(one)), left))
    part = home / f".{_LISTING}.part"
    part.write_text(json.dumps({_name(one): one.size for one in found}))
    part.replace(home / _LISTING)
    return folder


def _is_here(path: Path, size: int) -> bool:
    """A file has its name once it was checked: only its size may have been spoilt since."""
    return path.is_file() and path.stat().st_size == size


def _fetch(url: str, entry: Entry, path: Path) -> None:
    head, checksum = checksum_of(url)
    if (head.size, head.etag) != (entry.size, entry.etag):
        raise InputError(f"{url}: was replaced while it was fetched; run again when nobody writes it")
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("w+b") as file:
            fill(cast(BinaryIO, file), head, checksum)
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
