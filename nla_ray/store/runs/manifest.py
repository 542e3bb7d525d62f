"""The manifest of a committed run: what is committed in how many files, and the manifests before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, JsonValue, StringConstraints, ValidationError

from nla_ray.errors import InputError
from nla_ray.store.catalog.files import FileList, FileRecord
from nla_ray.store.places.objects import Store
from nla_ray.store.record import Record
from nla_ray.store.runs.layout import COMMITS, commit_key, is_state, list_key, run_of
from nla_ray.store.runs.plan import Count, LabelText, Name, first_problem, require_version

VERSION: Literal[2] = 2
"""Version of manifests. In version 1 the manifest itself lists its files."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Manifest(Record):
    """A committed run. It is complete: its units are those of the plan, and so are its rows."""

    version: Literal[1, 2] = VERSION
    run_id: Name
    table: Name
    sides: tuple[Name, ...] = Field(description="Tables beside it, of which every unit has a file too.")
    plan_sha256: Sha256
    labels: dict[str, LabelText] = Field(
        default={},
        description="What the run was committed as, which the plan's digest does not cover; see "
        "`catalog.cells`.",
    )
    recipe: str | None = Field(
        default=None,
        description="Digest of what a unit's rows follow from beside its documents, where the plan says.",
    )
    order: Count = Field(
        default=0,
        description="One more than that of any manifest known at its commit: a later commit has a greater "
        "one.",
    )
    units: Count
    rows: Count
    quarantined: Count
    files: Count = Field(description="How many files they are in, tables beside it and quarantine included.")
    bytes: Count = Field(description="Size of these files.")
    files_sha256: Sha256 | None = Field(
        default=None,
        description="Digest of the list of these files, which was written before; None in version 1.",
    )
    previous: dict[Name, Sha256] = Field(
        description="Digests of the manifests, by run id, that no other one named before: the links of the "
        "chain."
    )
    record: dict[str, JsonValue] = Field(
        description="What became known by running: FVE baseline, counts, seconds, versions."
    )


class Stored(NamedTuple):
    """A manifest as it lies in the store, with the digest of its bytes."""

    manifest: Manifest
    sha256: str


def get_manifest(store: Store, run_id: str) -> Stored | None:
    """The manifest of a run, None where it is not committed. Raises InputError for a corrupt or newer one."""
    try:
        data = store.get(commit_key(run_id))
    except FileNotFoundError:
        return None
    name = f"{store.url}/{commit_key(run_id)}"
    values = require_version(name, data, VERSION)
    try:
        manifest = Manifest.model_validate(_summed_up(values) if values["version"] == 1 else values)
    except ValidationError as error:
        raise InputError(
            f"{name}: corrupt manifest: {first_problem(error)}; restore it from a backup"
        ) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name}: corrupt manifest: {error!r}; restore it from a backup") from None
    if manifest.run_id != run_id:
        raise InputError(f"{name}: corrupt manifest: it is that of run {manifest.run_id}")
    return Stored(manifest, hashlib.sha256(data).hexdigest())


def files_of(store: Store, manifest: Manifest, *, fresh: bool = False) -> FileList:
    """The files that a manifest commits, whose keys are sure to be this run's.

    `fresh` reads their list even where a copy or its digest is at hand. Raises InputError where it is
    missing, changed or names another place.
    """
    if manifest.version == 1:
        return _files_within(store, manifest.run_id)
    key = list_key_of(manifest)
    try:
        path = store.local(key, manifest.files_sha256 or "", fresh=fresh)
    except FileNotFoundError:
        raise InputError(
            f"{store.url}/{key}: is the list of a committed run's files and missing; restore it from a backup"
        ) from None
    return FileList.read(manifest.run_id, path, f"{store.url}/{key}")


def list_key_of(manifest: Manifest) -> str:
    """Key of what lists a manifest's files; in version 1 it does so itself."""
    if manifest.files_sha256 is None:
        return commit_key(manifest.run_id)
    return list_key(manifest.run_id, manifest.files_sha256)


def committed_runs(store: Store) -> list[str]:
    """Ids of all committed runs; what lies there under no key of a manifest is somebody else's."""
    return [run_of(key) for key in store.keys(COMMITS) if is_state(key)]


def get_manifests(store: Store, run_ids: Collection[str] | None = None) -> list[Stored]:
    """The manifests of these runs, or of all in the order of their ids; see `catalog.index` for many."""
    chosen = committed_runs(store) if run_ids is None else run_ids
    found = store.map(lambda run_id: get_manifest(store, run_id), chosen)
    return [stored for stored in found if stored is not None]


def _summed_up(values: dict[str, Any]) -> dict[str, Any]:
    """A manifest of version 1 with sums in the place of its files."""
    rest = {name: value for name, value in values.items() if name not in ("files", "quarantine", "sides")}
    every = list(_listed(values))
    sums = {"files": len(every), "bytes": sum(file["bytes"] for file in every)}
    return rest | sums | {"sides": tuple(sorted(values["sides"]))}


def _listed(values: dict[str, Any]) -> list[dict[str, Any]]:
    beside = [file for files in values["sides"].values() for file in files]
    return [*values["files"], *values["quarantine"], *beside]


def _files_within(store: Store, run_id: str) -> FileList:
    key = commit_key(run_id)
    try:
        files = [FileRecord(**file) for file in _listed(json.loads(store.get(key)))]
        return FileList.of(run_id, files).require_own(f"{store.url}/{key}")
    except FileNotFoundError:
        raise InputError(f"{store.url}/{key}: was there a moment ago and is gone; restore it") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{store.url}/{key}: corrupt manifest: {error!r}; restore it from a backup"
        ) from None
