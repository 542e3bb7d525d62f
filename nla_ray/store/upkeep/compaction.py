"""A compaction: the larger files that hold the rows of a committed run's many small ones, and who vouches."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import StringConstraints, ValidationError

from nla_ray.errors import DamagedTablesError, InputError
from nla_ray.store.catalog.files import StoredFile
from nla_ray.store.places.objects import Store
from nla_ray.store.record import Record
from nla_ray.store.runs.layout import COMPACTIONS, compaction_key, is_key_of, run_of
from nla_ray.store.runs.manifest import Stored, files_of
from nla_ray.store.runs.plan import Count, Name, first_problem, require_version

VERSION: Literal[1] = 1
_LINK = ".compacted"
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class CompactedFile(Record):
    """A file that readers take instead of those in the manifest."""

    table: Name
    key: str
    sha256: Sha256
    bytes: Count
    rows: Count


class Compaction(Record):
    """Files with the rows of a committed run. It is written once; the manifest stays what it was."""

    version: Literal[1] = VERSION
    run_id: Name
    manifest_sha256: Sha256
    """The manifest whose rows they hold."""
    files: tuple[CompactedFile, ...]
    """All files of the run, table by table in the order of their rows."""

    def objects(self, table: str) -> list[StoredFile]:
        """The files of one table."""
        return [StoredFile(one.key, one.sha256, one.bytes) for one in self.files if one.table == table]


class StoredCompaction(NamedTuple):
    """A compaction as it lies in the store, with the digest of its bytes."""

    compaction: Compaction
    sha256: str


def get_compaction(store: Store, run_id: str) -> StoredCompaction | None:
    """The compaction of a run, None where there is none. Raises InputError for a corrupt or newer one."""
    key = compaction_key(run_id)
    try:
        data = store.get(key)
    except FileNotFoundError:
        return None
    name = f"{store.url}/{key}"
    require_version(name, data, VERSION)
    try:
        found = Compaction.model_validate_json(data)
    except ValidationError as error:
        raise DamagedTablesError(
            f"{name}: corrupt: {first_problem(error)}; restore it from a backup"
        ) from None
    for file in found.files:
        if found.run_id != run_id or not is_key_of(file.key, file.table, run_id):
            raise InputError(
                f"{name}: names {file.key!r}, which is no file of run {run_id}; restore it from a backup"
            )
    return StoredCompaction(found, hashlib.sha256(data).hexdigest())


def compacted_runs(store: Store) -> frozenset[str]:
    """Ids of the runs that are compacted."""
    return frozenset(map(run_of, store.keys(COMPACTIONS)))


def objects_of(
    store: Store, stored: Stored, tables: Iterable[str], *, compacted: bool, fresh: bool = False
) -> list[list[StoredFile]]:
    """What to read for each of some tables of a run: its files, or where it is `compacted` the larger ones.

    `fresh` is for the list of its files, see `files_of`. Raises InputError where the compaction is that of
    another manifest.
    """
    found = get_compaction(store, stored.manifest.run_id) if compacted else None
    if found is None:
        return list(files_of(store, stored.manifest, fresh=fresh).objects(tables).values())
    if found.compaction.manifest_sha256 != stored.sha256:
        raise InputError(
            f"{store.url}/{compaction_key(stored.manifest.run_id)}: holds the rows of another manifest of "
            "this run; restore both from a backup"
        )
    return [found.compaction.objects(table) for table in tables]


def links(store: Store, named: Collection[str]) -> dict[str, str]:
    """Digests of the compactions that no manifest names yet, by the name under which one is to name them."""
    fresh = sorted(run_id for run_id in compacted_runs(store) if link_name(run_id) not in named)
    found = store.map(lambda run_id: get_compaction(store, run_id), fresh)
    return {link_name(one.compaction.run_id): one.sha256 for one in found if one is not None}


def compacted_by(name: str) -> str | None:
    """The run whose compaction is called so in the chain; None for a run's own id."""
    run_id = name.removesuffix(_LINK)
    return None if run_id == name else run_id


def link_name(run_id: str) -> str:
    """What the compaction of a run is called in the chain of manifests."""
    return f"{run_id}{_LINK}"
