"""An index of committed runs: a cache of what manifests say, so that one run can be found among ten thousand.

The truth is the listing of `commits/`: a run that the index lacks is read from its manifest, one that is
only in the index is not there. An index that is damaged or of another version is passed over, and `verify`
names it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nla_ray.errors import InputError
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import CELLS, INDEX, cell_of, index_key
from nla_ray.store.runs.manifest import Stored, committed_runs, get_manifests
from nla_ray.store.runs.unit_file import to_bytes
from nla_ray.tables import INDEX as INDEX_SCHEMA
from nla_ray.tables import table_of

MOST_LACKING = 64
"""Runs that an index may lack before a commit writes a new one: what a reader fetches one by one."""


@dataclass(frozen=True)
class Entry:
    """What the index knows of a run; fields are columns of `INDEX`."""

    run_id: str
    manifest_sha256: str
    table_name: str
    labels: Mapping[str, str]
    recipe: str | None
    commit_order: int
    plan_sha256: str
    units: int
    rows: int
    quarantined: int
    previous: tuple[str, ...]

    @classmethod
    def of(cls, stored: Stored) -> Entry:
        """What it must know of a manifest."""
        one = stored.manifest
        return cls(
            one.run_id, stored.sha256, one.table, one.labels, one.recipe, one.order, one.plan_sha256,
            one.units, one.rows, one.quarantined, tuple(sorted(one.previous)),
        )  # fmt: skip


@dataclass(frozen=True)
class Assignment:
    """From the commit with this order on, a run is that of the cell with these labels."""

    run_id: str
    labels: Mapping[str, str]
    order: int


@dataclass(frozen=True)
class Known:
    """All committed runs in the order of their ids; the newest index lacks so many of them."""

    entries: tuple[Entry, ...]
    lacking: int
    assigned: tuple[Assignment, ...] = ()
    """Cells that these runs were given beside those that they were committed for."""

    def next_order(self) -> int:
        """Greater than that of every commit and assignment."""
        orders = [one.commit_order for one in self.entries] + [one.order for one in self.assigned]
        return 1 + max(orders, default=0)


def heads(entries: Iterable[Entry]) -> dict[str, str]:
    """Digests by run id of the manifests that no other names as previous: these vouch for all."""
    every = list(entries)
    named = {run_id for one in every for run_id in one.previous}
    return {one.run_id: one.manifest_sha256 for one in every if one.run_id not in named}


def known_runs(store: Store) -> Known:
    """All committed runs. Raises InputError for a manifest that the index lacks and that cannot be read."""
    run_ids = committed_runs(store)
    indexed = newest_index(store)
    lacking = [run_id for run_id in run_ids if run_id not in indexed]
    fresh = {stored.manifest.run_id: Entry.of(stored) for stored in get_manifests(store, lacking)}
    found = indexed | fresh
    entries = tuple(found[run_id] for run_id in run_ids if run_id in found)
    return Known(entries, len(lacking), _assigned(store, {one.run_id for one in entries}))


def _assigned(store: Store, committed: Container[str]) -> tuple[Assignment, ...]:
    """What cells were given after a commit, by one listing; what says nothing of a committed run is left."""
    said = filter(None, (cell_of(listed.key) for listed in store.entries(CELLS)))
    return tuple(Assignment(run_id, labels, order) for labels, order, run_id in said if run_id in committed)


def runs_with(store: Store, *, recipe: str | None = None, table: str | None = None) -> list[Entry]:
    """The committed runs with this recipe and table, the latest commit first."""
    found = [
        one
        for one in known_runs(store).entries
        if recipe in (None, one.recipe) and table in (None, one.table_name)
    ]
    return sorted(found, key=lambda one: (-one.commit_order, one.run_id))


def newest_index(store: Store) -> dict[str, Entry]:
    """The entries of the newest sound index by run id; none where there is none."""
    for key in index_keys(store):
        with suppress(InputError, FileNotFoundError):
            return read_index(store, key)
    return {}


def index_keys(store: Store) -> list[str]:
    """Keys of all indexes, the newest first."""
    return store.keys(INDEX)[::-1]


def read_index(store: Store, key: str) -> dict[str, Entry]:
    """The entries of an index by run id. Raises InputError for a damaged one, or one of another version."""
    data = store.get(key)
    sha256 = hashlib.sha256(data).hexdigest()
    if not key.endswith(f"-{sha256}.parquet"):
        raise InputError(f"{store.url}/{key}: its content changed (sha256 {sha256[:16]}); remove it")
    try:
        table = pq.ParquetFile(pa.BufferReader(data)).read()
        if not table.schema.equals(INDEX_SCHEMA):
            raise InputError(f"{store.url}/{key}: is of another version; upgrade nla_ray or remove it")
        return {row["run_id"]: _entry(row) for row in table.to_pylist()}
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InputError(f"{store.url}/{key}: is no index ({type(error).__name__}); remove it") from None


def keep_index(store: Store, known: Known, committed: Stored) -> None:
    """After a commit: write a new index once the newest one lacks many runs.

    The run is committed whether or not this works; without it, readers fetch what the index lacks.
    """
    if known.lacking + 1 < MOST_LACKING:
        return
    mine = Entry.of(committed)
    entries = [one for one in known.entries if one.run_id != mine.run_id]
    with suppress(InputError):
        put_index(store, [*entries, mine])


def put_index(store: Store, entries: Sequence[Entry]) -> str:
    """Write an index of these runs and return its key."""
    rows = sorted(map(_row, entries), key=lambda row: str(row["run_id"]))
    data = to_bytes(table_of(rows, INDEX_SCHEMA), {})
    order = max((one.commit_order for one in entries), default=0)
    key = index_key(order, hashlib.sha256(data).hexdigest())
    store.put_new(key, data)
    return key


def _row(one: Entry) -> dict[str, object]:
    return asdict(one) | {
        "labels": json.dumps(dict(one.labels), sort_keys=True),
        "previous": list(one.previous),
    }


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(**dict(row) | {"labels": json.loads(row["labels"]), "previous": tuple(row["previous"])})
