"""Input files on a local disk or on S3: list them, open them; a failure is one line that names the file."""

from __future__ import annotations

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


def _expand_local(path: str) -> Listing:
    try:
        place = Path(path).expanduser()
    except RuntimeError:
        raise InputError(f"{path}: there is no such home folder; check corpus.paths") from None
    if place.is_dir():
        return Listing(tuple(sorted(str(file) for file in place.iterdir() if file.is_file())), folder=True)
    if place.is_file():
        return Listing((path if path == str(place) else str(place),))
    root = Path(place.anchor or ".")
    matches = root.glob(str(place.relative_to(place.anchor))) if _WILD & set(path) else ()
    return _matched(path, [str(file) for file in matches if file.is_file()])


def _expand_s3(path: str) -> Listing:
    files = _s3()
    if files.isfile(path):
        return Listing((path,))
    if files.isdir(path):
        found = [entry["name"] for entry in files.ls(path, detail=True) if entry["type"] == "file"]
        return Listing(tuple(sorted(S3 + name for name in found if not name.endswith("/"))), folder=True)
    return _matched(path, [S3 + name for name in files.glob(path)] if _WILD & set(path) else [])


def _matched(path: str, files: list[str]) -> Listing:
    if not files:
        kind = "no file matches this pattern" if _WILD & set(path) else "no such corpus file"
        raise NoFileError(f"{path}: {kind}; check corpus.paths")
    return Listing(tuple(sorted(files)))


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
