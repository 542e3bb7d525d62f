"""Some local files under names of their own, for reading only: all that a fenced DuckDB sees of any disk."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from fsspec import AbstractFileSystem

SCHEME = "tables"
_UNCHANGED = datetime(2000, 1, 1)


class ReadOnlyFiles(AbstractFileSystem):  # type: ignore[misc]
    """Files by name, where the name `x` is `tables://x` to DuckDB.

    DuckDB's own list of allowed paths does not tell reading from writing, and `WITH x AS (COPY ... TO ...)`
    passes for a SELECT.
    """

    protocol = SCHEME
    cachable = False

    def __init__(self, paths: Mapping[str, Path]) -> None:
        super().__init__()
        self._paths = paths

    def info(self, path: str, **_: object) -> dict[str, object]:
        """Name and size of a file."""
        return {"name": path, "size": self._local(path).stat().st_size, "type": "file"}

    def modified(self, path: str) -> datetime:
        """Always the same: what is committed does not change."""
        return _UNCHANGED

    def glob(self, path: str, **_: object) -> list[str]:
        """A name stands for itself, whatever is in it."""
        return [self._strip_protocol(path)]

    def open(self, path: str, mode: str = "rb", *_: object, **__: object) -> ReadOnlyFile:
        """A file for reading. Raises PermissionError for any other mode."""
        if mode != "rb":
            raise PermissionError("the files of tables can only be read")
        return ReadOnlyFile(self._local(path))

    def _local(self, path: str) -> Path:
        return self._paths[self._strip_protocol(path)]


class ReadOnlyFile:
    """A file with a position per thread: DuckDB seeks and then reads, in several threads at once."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY)
        self._here = threading.local()

    def seek(self, offset: int) -> int:
        """Move this thread's position."""
        self._here.at = offset
        return offset

    def read(self, size: int) -> bytes:
        """Up to `size` bytes from this thread's position on."""
        at = getattr(self._here, "at", 0)
        data = os.pread(self._file, size, at)
        self._here.at = at + len(data)
        return data

    def close(self) -> None:
        """Give the file back."""
        os.close(self._file)
