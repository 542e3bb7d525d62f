"""Pieces beside the tables, so that a corpus is read once for all runs that read it in the same way."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Self

from nla_ray.errors import InputError
from nla_ray.pipelines.decode.pieces.piece import checked_content, to_object
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import PLANNING, piece_key

TRIES = 3
"""Objects that one piece may have: after a damaged one, another is written beside it."""


class Cache:
    """Looks for pieces in a store, and keeps there what was made: at once, or when it is told to.

    Without a store, nothing is found and nothing kept. `folder` is a place on this machine for as long as
    the cache is open.
    """

    def __init__(self, store: Store | None = None, *, at_once: bool = False) -> None:
        self.store, self._at_once, self._exit = store, at_once, ExitStack()
        self._made: dict[str, Path] = {}

    def __enter__(self) -> Self:
        """Make the folder."""
        self.folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(self, *_: object) -> None:
        """Remove it."""
        self._exit.close()

    @cached_property
    def keys(self) -> frozenset[str]:
        """Those that were there when this process first looked."""
        entries = [] if self.store is None else self.store.entries(PLANNING)
        return frozenset(listed.key for listed in entries)

    def may_have(self, name: str) -> bool:
        """Whether a piece was there then."""
        return piece_key(name, 0) in self.keys

    def get(self, name: str) -> bytes | None:
        """The content of a piece that is sound; None where there is none."""
        for number in range(0 if self.store is None else TRIES):
            content = self._content(piece_key(name, number))
            if content is None or content:
                return content
        return None

    def made(self, name: str, path: Path) -> None:
        """A piece that was made, as a file in `folder`.

        Who may not write can plan all the same: that nothing can be kept is for `keep` to say.
        """
        self._made[name] = path
        if self._at_once:
            try:
                self.keep()
            except InputError:
                self._at_once = False

    def keep(self) -> None:
        """Write what was made; one that is there stays, unless it is damaged."""
        for name, path in self._made.items():
            self._put(name, to_object(path.read_bytes()))
        self._made = {}

    def _put(self, name: str, data: bytes) -> None:
        for number in range(0 if self.store is None else TRIES):
            key = piece_key(name, number)
            if self.store is None or self.store.put_new(key, data) or self._content(key):
                return

    def _content(self, key: str) -> bytes | None:
        """The content of an object, none of it where it is damaged; None where there is no object."""
        try:
            data = b"" if self.store is None else self.store.get(key)
        except FileNotFoundError:
            return None
        return checked_content(data) or b""
