"""Input files on a local disk or on S3: list them, open them; a failure is one line that names the file."""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from nla_ray.errors import InputError

S3 = "s3://"
_WILD = frozenset("*?[")
_BUFFER = 256 << 10
FOLDER, LINKED_FOLDER = "a folder", "a link to a folder"
_S3_KINDS = {"file": "", "directory": FOLDER}


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


class NoFileError(InputError):
    """Nothing is there; the way out that the message names is a corpus's."""


def exists(path: str) -> bool:
    """Whether there is a file. Raises InputError where that cannot be found out."""
    with _explained(path):
        return bool(_s3().isfile(path)) if path.startswith(S3) else Path(path).is_file()


@contextmanager
def opened(path: str, *, ahead: int = 1 << 20) -> Iterator[BinaryIO]:
    """The file for reading bytes, seekable; what fails while it is read is an InputError too.

    From S3, up to `ahead` bytes more than were asked for are fetched with each request.
    """
    with _explained(path), _open_s3(path, ahead) if path.startswith(S3) else Path(path).open("rb") as file:
        yield file


def read_bytes(path: str) -> bytes:
    """The whole content of a small file."""
    with opened(path) as file:
        return file.read()


def _expand_local(path: str, deep: bool) -> Listing:
    try:
        place = Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such home folder; check corpus.paths") from None
    if place.is_dir():
        entries = place.rglob("*") if deep else place.iterdir()
        return _sorted({str(entry): _kind(entry) for entry in entries}, str(place), folder=True)
    if place.is_file():
        return Listing((str(place),), single=True, base=str(place.parent))
    if not _WILD & set(path):
        raise _nothing(path)
    base = next(parent for parent in place.parents if parent.is_dir())
    matches = base.glob(str(place.relative_to(base)))
    return _matched(path, _sorted({str(entry): _kind(entry) for entry in matches}, str(base)))


def _kind(entry: Path) -> str:
    """What is there; the empty text for a file."""
    if entry.is_file():
        return ""
    if entry.is_dir():
        return FOLDER if not entry.is_symlink() else LINKED_FOLDER
    return "a link to nothing" if entry.is_symlink() else "no regular file"


def _expand_s3(path: str, deep: bool) -> Listing:
    files = _s3()
    if files.isfile(path):
        return Listing((path,), single=True, base=path.rpartition("/")[0])
    base = path.rstrip("/")
    if files.isdir(path):
        if deep:
            return _sorted({S3 + name: "" for name in files.find(path)}, base, folder=True)
        entries = {S3 + entry["name"]: entry["type"] for entry in files.ls(path, detail=True)}
        return _sorted({name: _S3_KINDS.get(kind, kind) for name, kind in entries.items()}, base, folder=True)
    if not _WILD & set(path):
        raise _nothing(path)
    while not files.isdir(base := base.rpartition("/")[0]) and base.count("/") > S3.count("/"):
        pass
    # What is there as it stands is no pattern, whatever its name looks like.
    found = files.glob(glob.escape(base) + path.removeprefix(base), detail=True)
    return _matched(
        path, _sorted({S3 + name: _S3_KINDS.get(entry["type"], "") for name, entry in found.items()}, base)
    )


def _sorted(entries: dict[str, str], base: str, *, folder: bool = False) -> Listing:
    names = sorted(name for name in entries if not name.endswith("/"))
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


def _open_s3(path: str, ahead: int) -> BinaryIO:
    """Buffered: by itself, such a file copies a whole block for each line that is read."""
    return cast(BinaryIO, io.BufferedReader(_s3().open(path, block_size=ahead), min(ahead, _BUFFER)))


def _s3() -> Any:
    """S3 by the usual credential chain and AWS_ENDPOINT_URL; made where it is used, for it holds secrets.

    Imported there too, for it takes longer than all that local files need.
    """
    import s3fs

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return s3fs.S3FileSystem(endpoint_url=endpoint, use_listings_cache=False)


@contextmanager
def _explained(path: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise InputError(f"{path}: access denied; check its permissions or credentials ({error})") from None
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, folder or bucket ({error})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot read this file: {error.strerror or error}") from None
    except Exception as error:
        if path.startswith(S3) and isinstance(error, _s3_errors()):
            raise InputError(f"{path}: cannot read from S3: {error}") from None
        raise


def _s3_errors() -> tuple[type[Exception], ...]:
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError
