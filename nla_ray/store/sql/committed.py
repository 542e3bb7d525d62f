"""What is committed: verified local files of every table, and a row per run and cell."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_ray.errors import DamagedTablesError, InputError, NoFileError
from nla_ray.store.catalog.cells import Called, called, superseded_runs
from nla_ray.store.catalog.files import StoredFile
from nla_ray.store.catalog.index import Known, known_runs
from nla_ray.store.places.address import open_store
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import unit_prefix
from nla_ray.store.runs.manifest import Stored, get_manifests
from nla_ray.store.runs.plan import EXPLANATIONS_TABLE, Plan, get_plan, planned_runs, some_of
from nla_ray.store.upkeep.compaction import compacted_runs, objects_of
from nla_ray.store.upkeep.ended import ended_runs, require_open
from nla_ray.tables import LABELS, SCHEMAS

Row = dict[str, Any]

LARGE = {"activations": ("activations",), "documents": ("documents", "document_rates", "against_controls")}
"""Tables that are many times the others' size, and which views and macros need them: few questions do."""


@dataclass(frozen=True)
class Committed:
    """What manifests vouch for: verified local files of each table not left out, a row per run and cell."""

    files: dict[str, list[Path]]
    runs: list[Row]
    """With the columns of `COMMITTED_RUNS`."""
    cells: list[Row]
    """With the columns of `COMMITTED_CELLS`."""


def committed(
    path: str | Path,
    *,
    runs: Collection[str] | None = None,
    labels: Mapping[str, str] = {},
    without: Collection[str] = (),
) -> Committed:
    """Find and verify what is committed at a folder or `s3://bucket/prefix`; raises as `connect` does."""
    store = open_store(path)
    known = known_runs(store)
    ended = ended_runs(store)
    readable, every = _readable_runs(store, known, ended, runs or ()), called(known, ended)
    named = {one: [each for each in every.get(one, ()) if each.labelled(labels)] for one in readable}
    chosen = [one for one in readable if (runs is None or one in runs) and (named[one] or not labels)]
    if not chosen:
        raise NoFileError(_nothing_chosen(store, named, every, labels))
    named = {one: named[one] for one in chosen if named[one]}
    manifests = get_manifests(store, chosen)
    rows = _run_rows(store, manifests, hidden=superseded_runs(named) if runs is None else ())
    read = {row["run_id"] for row in rows if row["read"]}
    names, merged = [name for name in SCHEMAS if name not in without], compacted_runs(store)

    def objects(stored: Stored) -> list[list[StoredFile]]:
        return objects_of(store, stored, names, compacted=stored.manifest.run_id in merged)

    found = store.map(objects, [one for one in manifests if one.manifest.run_id in read])
    local = {
        name: local_files(store, [file for one in found for file in one[at]]) for at, name in enumerate(names)
    }
    return Committed(local, rows, _cell_rows(named, {one.run_id: one.table_name for one in known.entries}))


def _readable_runs(store: Store, known: Known, ended: Collection[str], named: Collection[str]) -> list[str]:
    """Runs whose rows are there. Raises InputError unless the named ones are among them."""
    for run_id in named:
        require_open(store, run_id)
    entries = [one for one in known.entries if one.run_id not in ended]
    unknown = sorted(set(named) - {one.run_id for one in entries})
    if entries and unknown:
        there = [one.run_id for one in entries if one.table_name == EXPLANATIONS_TABLE]
        raise NoFileError(
            f"{store.url}: has no run {unknown[0]}; there are {some_of(there) or 'only audits'}"
        )
    return [one.run_id for one in entries]


def local_files(store: Store, records: Sequence[StoredFile]) -> list[Path]:
    """Local files with exactly the committed content. Raises DamagedTablesError where one has not."""

    def local(file: StoredFile) -> Path:
        try:
            return store.local(file.key, file.sha256)
        except FileNotFoundError:
            raise DamagedTablesError(
                f"{store.url}/{file.key}: is committed but missing; restore it from a backup"
            ) from None

    return store.map(local, records)


def _run_rows(store: Store, manifests: Sequence[Stored], hidden: Collection[str]) -> list[Row]:
    """One row per manifest, with the facts of its plan. Raises InputError where the plan is another one."""

    def row(stored: Stored) -> Row:
        return _run_row(store, stored) | {"read": stored.manifest.run_id not in hidden}

    return store.map(row, manifests)


def _cell_rows(named: Mapping[str, Sequence[Called]], tables: Mapping[str, str]) -> list[Row]:
    """One row per run and what it is called by. A run that some cell needs shows the names of such alone."""
    return [
        {"run_id": one.run_id, "table_name": tables[one.run_id], "superseded_by": one.superseded_by}
        | {label: one.labels.get(label) for label in LABELS}
        | {"shown": (one.superseded_by is None) == any(each.superseded_by is None for each in cells)}
        for cells in named.values()
        for one in cells
    ]


def _run_row(store: Store, stored: Stored) -> Row:
    manifest = stored.manifest
    plan = get_plan(store, manifest.run_id)
    if plan is None or plan.sha256() != manifest.plan_sha256:
        raise InputError(
            f"{store.url}: the plan of run {manifest.run_id} is not the committed one; restore it"
        )
    return {
        "run_id": manifest.run_id,
        "table_name": manifest.table,
        "units": manifest.units,
        "rows": manifest.rows,
        "quarantined": manifest.quarantined,
        "bytes": manifest.bytes,
        "commit_order": manifest.order,
        "plan_sha256": manifest.plan_sha256,
        "manifest_sha256": stored.sha256,
        "facts": json.dumps(plan.facts),
        "record": json.dumps(manifest.record),
    }


def _nothing_chosen(
    store: Store, readable: Collection[str], named: Mapping[str, Sequence[Called]], labels: Mapping[str, str]
) -> str:
    """Why there is nothing to read."""
    if readable:
        every = [one.labels for run_id in readable for one in named.get(run_id, ())]
        return f"{store.url}: none of {len(readable)} runs has {_wanted(every, labels)}"
    planned = planned_runs(store)
    if not planned:
        return f"{store.url}: holds no tables (no commits/); name the folder that a run wrote its tables to"
    plans = [plan for plan in (get_plan(store, run_id) for run_id in planned) if plan is not None]
    progress = ", ".join(f"{plan.run_id}: {_done(store, plan)} of {len(plan.units)} units" for plan in plans)
    return f"{store.url}: no run is committed yet ({progress}); run it again until it is finished"


def _wanted(known: Sequence[Mapping[str, str]], labels: Mapping[str, str]) -> str:
    """What no run is, and what of it there is instead."""
    for label, value in labels.items():
        there = sorted({one[label] for one in known if label in one})
        if value not in there:
            return f"{label} {value}; there are {some_of(there) or 'none with this label'}"
    return " and ".join(f"{label} {value}" for label, value in labels.items())


def _done(store: Store, plan: Plan) -> int:
    return len(store.keys(unit_prefix(plan.table, plan.run_id)))
