"""What a place for tables must be able to do: write an object once, read it, list it."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from nla_ray.errors import DamagedTablesError, InputError

T = TypeVar("T")
R = TypeVar("R")


class ChangedError(DamagedTablesError):
    """An object has not the content that was committed."""


PROBE = "probe/write-once"
"""Key of the object that shows that a store honours conditional writes."""


_UNDER_WAY = 1024


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing shows it; `modified` is when it was written, in seconds since 1970."""

    key: str
    bytes: int
    modified: float = 0.0


def require_key(where: str, key: str) -> str:
    """A key, unless it leads elsewhere than to an object below the root: then raises InputError."""
    if "\0" in key or "\\" in key or any(part in ("", ".", "..") for part in key.split("/")):
        raise InputError(f"{where}: {key!r} is no key of an object below it; a key is names joined by /")
    return key


def require_prefix(where: str, prefix: str) -> str:
    """The folder that a prefix of keys lies in, unless it leads out of the root: then raises InputError."""
    within = prefix.rpartition("/")[0]
    return require_key(where, within) if within else within


class Store(ABC):
    """Objects under one root; keys are relative, with `/`. Pickles to its address, never to credentials.

    Every method raises InputError where the place itself fails: absent, denied, full, unreachable; and for a
    key that would lead out of the root.
    """

    threads = 4
    """Requests that are worth making at once."""

    def __init__(self, url: str, *, overwrites: bool = False) -> None:
        self.url = url
        self.overwrites = overwrites

    @abstractmethod
    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object that is not there yet: whole or not at all, and durable on return.

        False where another object was there first; it stays as it is.
        """

    @abstractmethod
    def get(self, key: str) -> bytes:
        """A whole object. Raises FileNotFoundError."""

    @abstractmethod
    def tail(self, key: str, n: int) -> bytes:
        """The last `n` bytes of an object, or all there are. Raises FileNotFoundError."""

    @abstractmethod
    def identify(self, key: str) -> tuple[int, str]:
        """Bytes and hex sha256 of an object as it was written. Raises FileNotFoundError."""

    @abstractmethod
    def entries(self, prefix: str) -> list[Listed]:
        """All objects whose key starts with `prefix`, in the order of their keys."""

    def keys(self, prefix: str) -> list[str]:
        """Their keys alone, in order."""
        return [one.key for one in self.entries(prefix)]

    @abstractmethod
    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly below `prefix`, which ends in `/`, in order; no key in them is read.

        A folder is there while an object lies in it.
        """

    @abstractmethod
    def remove(self, key: str) -> None:
        """Remove an object, if it is there; a bucket with versions keeps the old one by its own rules."""

    def unfinished(self) -> list[Listed]:
        """What writers that died left half written; `remove` takes these keys too."""
        return []

    @abstractmethod
    def local(self, key: str, sha256: str, *, fresh: bool = False) -> Path:
        """A local file with the object's content; `fresh` reads the object even where a copy is at hand.

        Raises ChangedError where the content has another digest, FileNotFoundError.
        """

    def place(self, key: str) -> str:
        """Path or URL by which `nla_ray.store.places.files` reads parts of an object."""
        return f"{self.url}/{require_key(self.url, key)}"

    def free(self) -> int | None:
        """Bytes that can still be written there; None where nobody can tell."""
        return None

    def require_room(self, needed: int) -> None:
        """Raise InputError where so many bytes will hardly fit."""
        free = self.free()
        if free is None or needed <= free:
            return
        if not free:
            raise InputError(f"{self.url}: cannot be written, or is full; name another output")
        raise InputError(
            f"{self.url}: about {needed / 2**30:.1f} GiB are needed and {free / 2**30:.1f} GiB are free; "
            "make room or name another output"
        )

    def probe(self) -> None:
        """Raise InputError where a second write of one object succeeds, unless that was allowed by name.

        One small object stays behind; when it is there already, a single refused write is the proof.
        """
        if self.overwrites or not self.put_new(PROBE, uuid.uuid4().bytes):
            return
        if self.put_new(PROBE, uuid.uuid4().bytes):
            raise InputError(
                f"{self.url}: this store overwrites objects although asked not to (If-None-Match), so two "
                "writers could mix their results; use another store, or allow it by name (overwrites: true)"
            )

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """`function` of every item, several at a time; results in order, the first error is raised."""
        return list(self.stream(function, items))

    def stream(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """The same one by one; of a million items only some are under way."""
        left = iter(items)
        with ThreadPoolExecutor(self.threads) as pool:
            while some := list(islice(left, _UNDER_WAY)):
                yield from pool.map(function, some)
