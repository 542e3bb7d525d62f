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
FOLDER, LINKED_FOLDER = "a folder", "a link to a folder"


@dataclass(frozen=True)
class Listing:
    """Files in the order of their names; `folder` where they are all the files of one folder.

    `single` where one file was named. `base` is the folder below which they are. `others` is what is there
    too and is no file, with what it is.
    """

    files: tuple[str, ...]
    folder: bool = False
    single: bool = False
    base: str = ""
    others: tuple[tuple[str, str], ...] = ()


def expand(path: str, *, deep: bool = False) -> Listing:
    """The files that a path, a folder or a glob means; what exists under a name is never a glob.

    Of a folder, `deep` takes the files of its sub-folders too. Raises InputError: nothing is there, it may
    not be read, the bucket cannot be reached.
    """
    with _explained(path):
        return _expand_s3(path, deep) if path.startswith(S3) else _expand_local(path, deep)


def exists(path: str) -> bool:
    """Whether there is a file. Raises InputError where that cannot be found out."""
    with _explained(path):
        if not path.startswith(S3):
            return Path(path).is_file()
        from nla_ray.store.places.remote.listing import is_object

        return is_object(path)


@dataclass(frozen=True)
class Stamp:
    """What is another one once a file was changed: its size, and the time of the change or the ETag."""

    size: int
    version: str


def stamp_of(path: str) -> Stamp:
    """The stamp of a file as it is now. Raises InputError, NoFileError where it is not there any more."""
    if path.startswith(S3):
        from nla_ray.store.places.remote.ranges import look

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
    from nla_ray.store.places.remote.spool import spooled

    with spooled(path) as (head, copy):
        yield Stamp(head.size, head.etag), copy


def read_bytes(path: str) -> bytes:
    """The whole content of a small file."""
    with opened(path, twice=True) as file:
        return file.read()


def _expand_local(path: str, deep: bool) -> Listing:
    try:
        place = Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such home folder; check corpus.paths") from None
    if place.is_dir():
        entries = set(_below(place, ("**", "*") if deep else ("*",)))
        return _sorted({str(entry): _kind(entry) for entry in entries}, str(place), folder=True)
    if place.is_file():
        return Listing((str(place),), single=True, base=str(place.parent))
    if not _WILD & set(path):
        raise _nothing(path)
    # What is there as it stands is no pattern, whatever its name looks like.
    base = next(parent for parent in place.parents if parent.is_dir())
    matches = set(_below(base, place.relative_to(base).parts))
    return _matched(path, _sorted({str(entry): _kind(entry) for entry in matches}, str(base)))


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


def _kind(entry: Path) -> str:
    """What is there; the empty text for a file."""
    if entry.is_file():
        return ""
    if entry.is_dir():
        return FOLDER if not entry.is_symlink() else LINKED_FOLDER
    return "a link to nothing" if entry.is_symlink() else "no regular file"


def _expand_s3(path: str, deep: bool) -> Listing:
    """Imported here, for it takes longer than all that local files need."""
    from nla_ray.store.places.remote.listing import below, folder, is_object, matching

    if is_object(path):
        return Listing((path,), single=True, base=path.rpartition("/")[0])
    base, there = path.rstrip("/"), folder(path)
    if there is not None:
        files, folders = (below(path), ()) if deep else there
        return _sorted(dict.fromkeys(files, "") | dict.fromkeys(folders, FOLDER), base, folder=True)
    if not _WILD & set(path):
        raise _nothing(path)
    while folder(base := base.rpartition("/")[0]) is None and base.count("/") > S3.count("/"):
        pass
    files, folders = matching(path, base)
    return _matched(path, _sorted(dict.fromkeys(files, "") | dict.fromkeys(folders, FOLDER), base))


def _sorted(entries: dict[str, str], base: str, *, folder: bool = False) -> Listing:
    names = sorted(entries)
    others = tuple((name, entries[name]) for name in names if entries[name])
    files = tuple(name for name in names if not entries[name])
    return Listing(files, folder, base=base, others=others)


def _matched(path: str, found: Listing) -> Listing:
    if not found.files:
        raise _nothing(path)
    return found


def _nothing(path: str) -> NoFileError:
    kind = "no file matches this pattern" if _WILD & set(path) else "no such corpus file"
    return NoFileError(f"{path}: {kind}; check corpus.paths")


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
    from nla_ray.store.places.remote.ranges import S3File, look

    return io.BufferedReader(S3File(look(path), ahead=ahead, twice=twice), min(ahead, _BUFFER))


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Turn errors of the disk into ours; those of S3 are."""
    try:
        yield
    except FileNotFoundError:
        raise NoFileError(f"{path}: no such file, folder or bucket") from None
    except OSError as error:
        if error.errno in _OF_THE_NAME:
            raise InputError(f"{path}: cannot read this file: {error.strerror or error}") from None
        denied = "access denied: " if isinstance(error, PermissionError) else ""
        raise UnreachableError.at(path, f"{denied}{error.strerror or error}") from None
