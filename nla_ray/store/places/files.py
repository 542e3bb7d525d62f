"""Input files on a local disk or on S3: list them, open them; a failure is one line that names the file."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

from nla_ray.errors import InputError, NoFileError, UnreachableError

S3 = "s3://"
_WILD = frozenset("*?[")
_BUFFER = 256 << 10
_OF_THE_NAME = frozenset({errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})


@dataclass(frozen=True)
class Listing:
    """Files in the order of their names; `folder` where they are all the files of one folder."""

    files: tuple[str, ...]
    folder: bool = False


def expand(path: str) -> Listing:
    """The files that a path, a folder or a glob means; what exists under a name is never a glob.

    Raises InputError: nothing is there, it may not be read, the bucket cannot be reached.
    """
    with _explained(path):
        return _expand_s3(path) if path.startswith(S3) else _expand_local(path)


def exists(path: str) -> bool:
    """Whether there is a file. Raises InputError where that cannot be found out."""
    with _explained(path):
        if not path.startswith(S3):
            return Path(path).is_file()
        from nla_ray.store.places.listing import is_object

        return is_object(path)


@dataclass(frozen=True)
class Stamp:
    """What is another one once a file was changed: its size, and the time of the change or the ETag."""

    size: int
    version: str


def stamp_of(path: str) -> Stamp:
    """The stamp of a file as it is now. Raises InputError, NoFileError where it is not there any more."""
    if path.startswith(S3):
        from nla_ray.store.places.ranges import look

        head = look(path)
        return Stamp(head.size, head.etag)
    with _explained(path):
        found = Path(path).stat()
        return Stamp(found.st_size, str(found.st_mtime_ns))


@contextmanager
def opened(path: str, *, ahead: int = 1 << 20, twice: bool = False) -> Iterator[BinaryIO]:
    """The file for reading bytes, seekable; what fails while it is read is an InputError too.

    It is UnreachableError where the store or the disk failed, whatever a reader made of it. From S3, up to
    `ahead` bytes more than were asked for are fetched with each request; with `twice`, until two answers
    agree: who reads without it must know by other means whether the bytes are right.
    """
    with _explained(path), _open(path, ahead, twice) as file:
        try:
            yield file
        except Exception:
            require_read(file)
            raise
        require_read(file)


def require_read(file: BinaryIO) -> None:
    """Raise what reading an opened file failed with, if it ever did."""
    fault = getattr(getattr(file, "raw", None), "fault", None)
    if fault is not None:
        raise fault from None


@contextmanager
def checked_copy(path: str) -> Iterator[tuple[Stamp, str]]:
    """The stamp of a file and where to read all of it: there, or from a copy with the right checksum."""
    if not path.startswith(S3):
        yield stamp_of(path), path
        return
    from nla_ray.store.places.spool import spooled

    with spooled(path) as (head, copy):
        yield Stamp(head.size, head.etag), copy


def read_bytes(path: str) -> bytes:
    """The whole content of a small file."""
    with opened(path, twice=True) as file:
        return file.read()


def _expand_local(path: str) -> Listing:
    try:
        place = Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such home folder; check corpus.paths") from None
    if place.is_dir():
        return Listing(tuple(sorted(str(file) for file in place.iterdir() if file.is_file())), folder=True)
    if place.is_file():
        return Listing((path if path == str(place) else str(place),))
    root, parts = Path(place.anchor), place.relative_to(place.anchor).parts
    matches = set(_below(root, parts)) if _WILD & set(path) else ()
    return _matched(path, [str(file) for file in matches if file.is_file()])


def _below(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """What a pattern means below a folder; one that cannot be listed is an error, unlike in `Path.glob`."""
    if not parts:
        yield folder
    elif not _WILD & set(parts[0]):
        if (folder / parts[0]).exists():
            yield from _below(folder / parts[0], parts[1:])
    else:
        with os.scandir(folder) as entries:
            there = [(entry.name, entry.is_dir(follow_symlinks=parts[0] != "**")) for entry in entries]
        every, rest = parts[0] == "**", parts[1:]
        if every:
            yield from _below(folder, rest)
        for name, is_folder in there:
            if fnmatchcase(name, parts[0]) and (is_folder or not (rest or every)):
                yield from _below(folder / name, parts if every else rest)


def _expand_s3(path: str) -> Listing:
    """Imported here, for it takes longer than all that local files need."""
    from nla_ray.store.places.listing import folder, is_object, matching

    if is_object(path):
        return Listing((path,))
    there = folder(path)
    if there is not None:
        return Listing(there, folder=True)
    return _matched(path, list(matching(path)) if _WILD & set(path) else [])


def _matched(path: str, files: list[str]) -> Listing:
    if not files:
        kind = "no file matches this pattern" if _WILD & set(path) else "no such corpus file"
        raise NoFileError(f"{path}: {kind}; check corpus.paths")
    return Listing(tuple(sorted(files)))


class _Local(io.FileIO):
    """A local file with a memory of its fault."""

    fault: InputError | None = None

    def readinto(self, buffer: Any) -> int | None:
        try:
            return super().readinto(buffer)
        except OSError as error:
            self.fault = UnreachableError.at(self.name, error.strerror or error)
            raise


def _open(path: str, ahead: int, twice: bool) -> BinaryIO:
    if not path.startswith(S3):
        return io.BufferedReader(_Local(path))
    from nla_ray.store.places.ranges import S3File, look

    return io.BufferedReader(S3File(look(path), ahead=ahead, twice=twice), min(ahead, _BUFFER))


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn errors of the disk into ours; those of S3 are."""
    try:
        yield
    except FileNotFoundError as error:
        raise NoFileError(f"{path}: no such file, folder or bucket ({error})") from None
    except OSError as error:
        if error.errno in _OF_THE_NAME:
            raise InputError(f"{path}: cannot read this file: {error.strerror or error}") from None
        denied = "access denied: " if isinstance(error, PermissionError) else ""
        raise UnreachableError.at(path, f"{denied}{error.strerror or error}") from None
