"""A folder or S3 prefix for files that are replaced and removed again, such as checkpoints under way."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nla_ray.errors import InputError, UnreachableError
from nla_ray.store.places.address import open_store
from nla_ray.store.places.folder import FolderStore

OWNER = "owner"
_SETTINGS = frozenset({"NoCredentialsError", "PartialCredentialsError", "ParamValidationError"})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class Tree:
    """Files below one root; names are relative, with `/`. Pickles to its address, never to credentials.

    Every method raises InputError where the place itself fails (denied, full), UnreachableError where S3 does
    not answer, or not rightly, for that may pass.
    """

    def __init__(self, url: str, owner: str | None = None) -> None:
        """For an owner (see `take_over`), what changes the tree raises InputError once another has taken it.

        Raises InputError for what is neither a folder nor `s3://bucket/prefix`; nothing is touched yet.
        """
        store = open_store(url)
        self.owner = owner
        self.url = store.url
        self.folder = store.folder if isinstance(store, FolderStore) else None
        """The local folder; None on S3."""

    def take_over(self) -> str:
        """Make a new owner, which alone may change the tree from now on.

        Nothing is locked: an owner that died holds nobody up, one that lives on finds out when it writes.
        """
        self.owner = secrets.token_hex(8)
        self._put(OWNER, self.owner.encode())
        return self.owner

    def require_owner(self) -> None:
        """Raise InputError where another owner has taken the tree over."""
        if self.owner is not None and self.read(OWNER) != self.owner.encode():
            raise InputError(
                f"{self.url}: another training was started into this output and goes on from its newest "
                "checkpoint; this one has stopped: leave it to the other, or name another output"
            )

    def read(self, name: str) -> bytes | None:
        """A whole file, None where there is none."""
        with self._explained(name):
            try:
                if self.folder is not None:
                    return (self.folder / name).read_bytes()
                return bytes(self._s3().cat_file(self._key(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, data: bytes) -> None:
        """Put a file in place, whole or not at all; one that is there is replaced."""
        self.require_owner()
        self._put(name, data)

    def _put(self, name: str, data: bytes) -> None:
        with self._explained(name):
            if self.folder is None:
                self._s3().pipe_file(self._key(name), data)
                return
            path = self.folder / name
            part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with part.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def names(self, folder: str) -> list[str]:
        """Last names of the files directly in a folder below the root, sorted; none where it is not there."""
        return self._listed(folder, "file")

    def folders(self, folder: str) -> list[str]:
        """Folders directly in a folder below the root, in the same way."""
        return self._listed(folder, "directory")

    def _listed(self, folder: str, kind: str) -> list[str]:
        with self._explained(folder):
            if self.folder is not None:
                there = self.folder / folder
                paths = (
                    [path for path in there.iterdir() if not path.name.startswith(".")]
                    if there.is_dir()
                    else []
                )
                return sorted(path.name for path in paths if path.is_dir() == (kind == "directory"))
            try:
                entries = self._s3().ls(self._key(folder), detail=True)
            except FileNotFoundError:
                return []
            return sorted(entry["name"].rpartition("/")[2] for entry in entries if entry["type"] == kind)

    def upload(self, source: Path, name: str) -> None:
        """Copy a local file, or the files of a local folder, to S3; a local tree has it in place already."""
        self.require_owner()
        with self._explained(name):
            if self.folder is None:
                files = sorted(source.iterdir()) if source.is_dir() else [source]
                keys = [f"{name}/{file.name}" if source.is_dir() else name for file in files]
                for file, key in zip(files, keys, strict=True):
                    self._s3().put_file(str(file), self._key(key))

    def fetch(self, name: str, into: Path) -> Path:
        """A local folder with the files of a folder below the root: that folder, else a copy in `into`."""
        if self.folder is not None:
            return self.folder / name
        into.mkdir(parents=True, exist_ok=True)
        for file in self.names(name):
            with self._explained(f"{name}/{file}"):
                self._s3().get_file(self._key(f"{name}/{file}"), str(into / file))
        return into

    def remove(self, name: str) -> None:
        """Remove a file or a folder with all that is in it; nothing happens where it is not there."""
        self.require_owner()
        with self._explained(name):
            if self.folder is None:
                if self._s3().exists(self._key(name)):
                    self._s3().rm(self._key(name), recursive=True)
            elif (path := self.folder / name).is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _key(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _s3(self) -> Any:
        """By the usual credential chain; made where it is used, for it holds secrets (and caches itself)."""
        import s3fs

        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return s3fs.S3FileSystem(endpoint_url=endpoint, use_listings_cache=False)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        where = f"{self.url}: {name}"
        try:
            yield
        except OSError as error:
            said = full(where, error) or f"{where}: {error.strerror or error}"
            lasting = self.folder is not None or isinstance(error, PermissionError | FileNotFoundError)
            raise (InputError if lasting else UnreachableError)(said) from None
        except Exception as error:
            if self.folder is None and type(error).__module__.startswith("botocore"):
                lasting = type(error).__name__ in _SETTINGS
                raise (InputError if lasting else UnreachableError)(
                    f"{where}: {error}; check AWS_ENDPOINT_URL, AWS_REGION and the credentials"
                ) from None
            raise


def full(where: object, error: BaseException) -> str | None:
    """What to say where an error means that the disk is full; None for another error."""
    if getattr(error, "errno", None) in _FULL or "No space left" in str(error):
        return (
            f"{where}: the disk is full; free some space and run the same command again: it goes on from the "
            "last complete checkpoint"
        )
    return None
