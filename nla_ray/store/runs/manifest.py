"""The manifest of a committed run: its files with digests and rows, and the manifests before it."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, NamedTuple

from pydantic import JsonValue, StringConstraints, ValidationError

from nla_ray.config.base import Config
from nla_ray.errors import InputError
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import COMMITS, QUARANTINE, commit_key
from nla_ray.store.runs.plan import VERSION, Count, Name, first_problem, require_version

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class FileRecord(Config):
    """One file of a unit, as it was written."""

    key: str
    unit_id: Name
    sha256: Sha256
    bytes: Count
    rows: Count
    quarantined: Count = 0
    """Rows of the unit that are in the quarantine instead."""


class Manifest(Config):
    """A committed run. It is complete: its units are those of the plan, and so are its rows."""

    version: Literal[1] = VERSION
    run_id: Name
    table: Name
    plan_sha256: Sha256
    units: Count
    rows: Count
    quarantined: Count
    files: tuple[FileRecord, ...]
    """One per unit, in the order of their ids."""
    quarantine: tuple[FileRecord, ...]
    sides: dict[Name, tuple[FileRecord, ...]]
    """Files of each table beside it, one per unit, in the order of their ids."""
    previous: dict[Name, Sha256]
    """Digests of the manifests, by run id, that no other one named before: the links of the chain."""
    record: dict[str, JsonValue]
    """What became known by running: FVE baseline, counts, seconds, versions."""

    def same_rows(self, other: Manifest) -> bool:
        """Whether two manifests commit the same files under the same plan."""
        return (self.plan_sha256, self.all_files()) == (other.plan_sha256, other.all_files())

    def all_files(self) -> tuple[FileRecord, ...]:
        """Every file that the run committed."""
        return (*self.files, *self.quarantine, *(file for files in self.sides.values() for file in files))

    def files_of(self, table: str) -> tuple[FileRecord, ...]:
        """The files of one table, be it the run's own or one beside it."""
        return {self.table: self.files, QUARANTINE: self.quarantine, **self.sides}.get(table, ())


class Stored(NamedTuple):
    """A manifest as it lies in the store, with the digest of its bytes."""

    manifest: Manifest
    sha256: str


def get_manifest(store: Store, run_id: str) -> Stored | None:
    """The manifest of a run, None where it is not committed. Raises InputError for a corrupt or newer one."""
    key = commit_key(run_id)
    try:
        data = store.get(key)
    except FileNotFoundError:
        return None
    name = f"{store.url}/{key}"
    require_version(name, data)
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        raise InputError(
            f"{name}: corrupt manifest: {first_problem(error)}; restore it from a backup"
        ) from None
    if manifest.run_id != run_id:
        raise InputError(f"{name}: corrupt manifest: it is that of run {manifest.run_id}")
    return Stored(manifest, hashlib.sha256(data).hexdigest())


def committed_runs(store: Store) -> list[str]:
    """Ids of all committed runs."""
    return [listed.key.removeprefix(COMMITS).removesuffix(".json") for listed in store.entries(COMMITS)]


def get_manifests(store: Store) -> list[Stored]:
    """All manifests in the order of their run ids."""
    found = store.map(lambda run_id: get_manifest(store, run_id), committed_runs(store))
    return [stored for stored in found if stored is not None]


def heads(manifests: list[Stored]) -> dict[str, str]:
    """Digests by run id of the manifests that no other names as previous: what vouches for all of them."""
    named = {run_id for stored in manifests for run_id in stored.manifest.previous}
    return {
        stored.manifest.run_id: stored.sha256 for stored in manifests if stored.manifest.run_id not in named
    }
