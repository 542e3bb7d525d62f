"""A local folder with write-once files: a synced temporary file is linked to its name, which must be free."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import attrgetter
from pathlib import Path

from nla_ray.errors import InputError, UnreachableError
from nla_ray.store.places.objects import ChangedError, Listed, Store, require_key, require_prefix
from nla_ray.store.places.sums import file_sha256, known_sha256

_FULL = "free some space or name another output; units that are written stay, and running again continues"
_FORBIDDEN = "check the permissions there, or name another output"
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _FULL,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: _FORBIDDEN,
}
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})


class FolderStore(Store):
    """Files below a folder, which is made by the first write. Names that start with a dot are unfinished."""

    def __init__(self, folder: Path, *, overwrites: bool = False) -> None:
        super().__init__(str(folder), overwrites=overwrites)
        self.folder = folder.absolute()

    def put_new(self, key: str, data: bytes) -> bool:
        """See Store."""
        path = self._path(key)
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        with self._explained(key, writing=True):
            _make_folder(path.parent)
            if path.exists():
                return False
            try:
                with part.open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                return self._publish(part, path)
            finally:
                part.unlink(missing_ok=True)

    def _publish(self, part: Path, path: Path) -> bool:
        try:
            os.link(part, path)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if not self.overwrites:
                raise InputError(
                    f"{self.url}: this file system has no hard links, so a file cannot be written only once; "
                    f"use another one, or allow it by name (overwrites: true) ({error.strerror})"
                ) from None
            part.replace(path)
        _sync_folder(path.parent)
        return True

    def get(self, key: str) -> bytes:
        """See Store."""
        with self._explained(key):
            return self._path(key).read_bytes()

    def tail(self, key: str, n: int) -> bytes:
        """See Store."""
        with self._explained(key), self._path(key).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - n))
            return file.read()

    def identify(self, key: str) -> tuple[int, str]:
        """See Store; the file is read."""
        with self._explained(key):
            path = self._path(key)
            return path.stat().st_size, file_sha256(path)

    def entries(self, prefix: str) -> list[Listed]:
        """See Store."""
        with self._explained(prefix):
            return self._files(prefix, hidden=False)

    def keys(self, prefix: str) -> list[str]:
        """See Store; of no file more than its name is asked, which counts among a million."""
        with self._explained(prefix):
            return sorted(key for key, _ in self._named(prefix, hidden=False))

    def unfinished(self) -> list[Listed]:
        """See Store; temporary files, and others that no listing shows."""
        with self._explained(""):
            return self._files("", hidden=True)

    def folders(self, prefix: str) -> list[str]:
        """See Store; one whose objects were all removed is named too."""
        with self._explained(prefix):
            start = self._start(prefix)
            with suppress(FileNotFoundError, NotADirectoryError), os.scandir(start) as entries:
                return sorted(one.name for one in entries if one.is_dir() and not one.name.startswith("."))
            return []

    def _files(self, prefix: str, *, hidden: bool) -> list[Listed]:
        found = []
        for key, entry in self._named(prefix, hidden=hidden):
            with suppress(FileNotFoundError):
                state = entry.stat()
                found.append(Listed(key, state.st_size, state.st_mtime))
        return sorted(found, key=attrgetter("key"))

    def _start(self, prefix: str) -> Path:
        within = require_prefix(self.url, prefix)
        if self.folder.exists() and not self.folder.is_dir():
            raise NotADirectoryError(20, "is a file; name a folder")
        return self.folder / within

    def _named(self, prefix: str, *, hidden: bool) -> Iterator[tuple[str, os.DirEntry[str]]]:
        root = len(str(self.folder)) + 1
        for entry in _below(self._start(prefix)):
            key = entry.path[root:]
            if key.startswith(prefix) and entry.name.startswith(".") == hidden:
                yield key, entry

    def remove(self, key: str) -> None:
        """See Store."""
        path = self._path(key)
        with self._explained(key, writing=True):
            path.unlink(missing_ok=True)
            if path.parent.is_dir():
                _sync_folder(path.parent)

    def local(self, key: str, sha256: str, *, fresh: bool = False) -> Path:
        """See Store; it is the file itself. Unless `fresh`, its digest may be known from before."""
        path = self._path(key)
        with self._explained(key):
            found = file_sha256(path) if fresh else known_sha256(path)
            require_digest(f"{self.url}/{key}", found, sha256)
        return path

    def place(self, key: str) -> str:
        """See Store."""
        return str(self._path(key))

    def free(self) -> int | None:
        """See Store."""
        with self._explained(""):
            there = next(path for path in (self.folder, *self.folder.parents) if path.exists())
            usage = shutil.disk_usage(there)
        return usage.free if os.access(there, os.W_OK) else 0

    def _path(self, key: str) -> Path:
        return self.folder / require_key(self.url, key)

    @contextmanager
    def _explained(self, key: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not writing:
                raise
            advice = _ADVICE.get(error.errno or 0, "")
            what = f"{self.url}: {key}: {error.strerror or error}"
            kind = UnreachableError if error.errno in _PASSING else InputError
            raise kind(f"{what}; {advice}" if advice else what) from None


def _below(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All files below a folder, which need not be there."""
    left = [str(folder)]
    while left:
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(left.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(entry.path)
                elif entry.is_file():
                    yield entry


def require_digest(name: str, found: str, committed: str) -> None:
    """Raise ChangedError where a file's content is not the committed one."""
    if found != committed:
        raise ChangedError(
            f"{name}: its content changed after it was committed (sha256 {found[:16]}, committed "
            f"{committed[:16]}); restore it from a backup, see `nla-ray verify` for everything that is wrong"
        )


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, each one durable."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
