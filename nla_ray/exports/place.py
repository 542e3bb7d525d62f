"""The place of one export: claimed first, filled with files that are written once, marked as whole last."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import ValidationError

from nla_ray.errors import InputError
from nla_ray.exports.record import ExportedFile, Record, Request
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.plan import differing_keys, some_of

BEGUN, MARKER = "_begun.json", "export.json"
"""Who has the place, and that all its files are there. Readers of Parquet skip names with `_`."""


@dataclass(frozen=True)
class Made:
    """A file of an export, still in memory; `rows` are counted for its table only."""

    key: str
    data: bytes
    table: str | None = None
    rows: int = 0


def look(store: Store) -> dict[str, int]:
    """Keys and sizes of what is there. Raises InputError where that is no export."""
    there = {listed.key: listed.bytes for listed in store.entries("")}
    if there and BEGUN not in there:
        raise InputError(f"{store.url}: holds files already ({some_of(list(there), 2)}); name an empty place")
    return there


@dataclass(frozen=True)
class Place:
    """A place that was claimed for one request, with the sizes of what was there then."""

    store: Store
    request: Request
    there: dict[str, int]

    @classmethod
    def claim(cls, store: Store, request: Request, there: dict[str, int]) -> Place:
        """Take the place, or take it up again. Raises InputError where another export has it."""
        if BEGUN not in there:
            store.put_new(BEGUN, request.to_json())
        place = cls(store, request, there)
        place._require_claim()
        return place

    def finished(self) -> Record | None:
        """The record of this export where it is whole: a file that is gone is to be written again."""
        if MARKER not in self.there:
            return None
        try:
            record = Record.model_validate_json(self.store.get(MARKER))
        except (ValidationError, ValueError):
            raise InputError(f"{self.store.url}/{MARKER}: is not the end of an export; remove it") from None
        whole = all(self.there.get(file.key) == file.bytes for file in record.files)
        return record if whole else None

    def put(self, made: Made) -> ExportedFile:
        """Write a file, or find it there. Raises InputError for one with another content."""
        sha256 = hashlib.sha256(made.data).hexdigest()
        new = made.key not in self.there and self.store.put_new(made.key, made.data)
        if not new and self.store.identify(made.key)[1] != sha256:
            raise InputError(
                f"{self.store.url}/{made.key}: has another content than this export gives it; "
                "remove the place and export again, or name another one"
            )
        return ExportedFile(
            key=made.key, table=made.table, sha256=sha256, bytes=len(made.data), rows=made.rows
        )

    def finish(self, record: Record) -> None:
        """Mark the export as whole. Raises InputError where files are there that are not its own."""
        self._require_claim()
        ours = {BEGUN, MARKER, *(file.key for file in record.files)}
        strays = sorted({listed.key for listed in self.store.entries("")} - ours)
        if strays:
            raise InputError(
                f"{self.store.url}: holds {some_of(strays, 2)}, which is not its own; move it elsewhere"
            )
        self.put(Made(MARKER, record.to_json()))

    def _require_claim(self) -> None:
        data = self.store.get(BEGUN)
        if data == self.request.to_json():
            return
        raise InputError(
            f"{self.store.url}: holds another export{_difference(data, self.request)}; name an empty place"
        )


def _difference(data: bytes, request: Request) -> str:
    try:
        other = Request.model_validate_json(data)
    except (ValidationError, ValueError):
        return ""
    keys = differing_keys(other.model_dump(mode="json"), request.model_dump(mode="json"))
    return f" (it differs in {some_of(keys, 3)})"
