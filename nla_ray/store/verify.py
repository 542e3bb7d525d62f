"""Look at everything again: plans, manifests and their chain, every file's digest, every row's key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import duckdb

from nla_ray.errors import InputError
from nla_ray.store.address import open_store
from nla_ray.store.layout import COMMITS, PLANS, QUARANTINE, commit_key, plan_key, unit_key
from nla_ray.store.manifest import FileRecord, Manifest, Stored, committed_runs, get_manifest, heads
from nla_ray.store.objects import PROBE, ChangedError, Store
from nla_ray.store.plan import Plan, get_plan, planned_runs
from nla_ray.store.read import OFFLINE, read_files
from nla_ray.store.unit_file import read_footer
from nla_ray.store.units import RunRef
from nla_ray.tables import SCHEMAS

T = TypeVar("T")
Kind = Literal["corrupt", "plan", "chain", "missing", "digest", "rows", "duplicate", "stray", "unfinished"]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: what kind, with which object, and how."""

    kind: Kind
    subject: str
    detail: str


@dataclass(frozen=True)
class Verified:
    """What was looked at and what is wrong with it."""

    runs: int
    files: int
    rows: int
    heads: dict[str, str]
    """Digests of the last manifests: who notes them elsewhere can tell later that nothing was exchanged."""
    problems: list[Problem]


def verify(path: str | Path) -> list[Problem]:
    """Everything that is wrong with the tables at a folder or `s3://bucket/prefix`; an empty list is good.

    Raises InputError where there are no tables or the place cannot be read.
    """
    return examine(open_store(path)).problems


def examine(store: Store) -> Verified:
    """Look at all tables of a store, reading every committed file."""
    problems: list[Problem] = []
    plans = _readable(planned_runs(store), lambda run_id: get_plan(store, run_id), plan_key, problems)
    stored = _readable(
        committed_runs(store), lambda run_id: get_manifest(store, run_id), commit_key, problems
    )
    if not plans and not stored and not problems:
        raise InputError(f"{store.url}: holds no tables; name the folder that a run wrote its tables to")
    manifests = list(stored.values())
    problems += _chain(manifests)
    paths: list[Path] = []
    for one in manifests:
        problems += _against_plan(one.manifest, plans.get(one.manifest.run_id))
        for path, wrong in _files(store, one.manifest):
            problems += wrong
            paths += [path] if path is not None and one.manifest.table in SCHEMAS else []
    problems += [*_duplicates(paths), *_strays(store, plans, manifests)]
    files = sum(len(one.manifest.files) + len(one.manifest.quarantine) for one in manifests)
    rows = sum(one.manifest.rows for one in manifests)
    return Verified(len(manifests), files, rows, heads(manifests), problems)


def _readable(
    run_ids: Sequence[str], get: Callable[[str], T | None], key: Callable[[str], str], problems: list[Problem]
) -> dict[str, T]:
    """What can be read, by run id; what cannot becomes a problem."""
    found: dict[str, T] = {}
    for run_id in run_ids:
        try:
            one = get(run_id)
        except InputError as error:
            problems.append(Problem("corrupt", key(run_id), str(error)))
            continue
        if one is not None:
            found[run_id] = one
    return found


def _chain(manifests: Sequence[Stored]) -> Iterator[Problem]:
    digests = {one.manifest.run_id: one.sha256 for one in manifests}
    for one in manifests:
        for run_id, sha256 in one.manifest.previous.items():
            if digests.get(run_id) != sha256:
                found = "is missing" if run_id not in digests else "was changed"
                detail = f"{found}; the manifest of run {one.manifest.run_id} vouches for {sha256[:16]}"
                yield Problem("chain", commit_key(run_id), detail)


def _against_plan(manifest: Manifest, plan: Plan | None) -> Iterator[Problem]:
    key = commit_key(manifest.run_id)
    if plan is None:
        yield Problem("plan", plan_key(manifest.run_id), "is missing or corrupt, and the run is committed")
        return
    if plan.sha256() != manifest.plan_sha256:
        yield Problem("plan", plan_key(manifest.run_id), f"is not the plan that {key} commits")
    made = {file.unit_id: file.rows + file.quarantined for file in manifest.files}
    if made != plan.units:
        units = sorted(unit for unit in {*made, *plan.units} if made.get(unit) != plan.units.get(unit))
        yield Problem("rows", key, f"{len(units)} units have not the planned rows: {', '.join(units[:3])}")
    sums = (len(manifest.files), sum(file.rows for file in manifest.files))
    aside = sum(file.quarantined for file in manifest.files)
    if (*sums, aside) != (manifest.units, manifest.rows, manifest.quarantined):
        yield Problem("rows", key, "its totals are not the sums of its files")
    if aside != sum(file.rows for file in manifest.quarantine):
        yield Problem("rows", key, "its quarantine files have not the rows that its units set aside")


def _files(store: Store, manifest: Manifest) -> list[tuple[Path | None, list[Problem]]]:
    """Local copy, if it is sound, and problems of each file that a manifest names."""
    ref = RunRef(manifest.run_id, manifest.table, manifest.plan_sha256)
    return store.map(lambda file: _file(store, ref, file), (*manifest.files, *manifest.quarantine))


def _file(store: Store, ref: RunRef, file: FileRecord) -> tuple[Path | None, list[Problem]]:
    try:
        path = store.local(file.key, file.sha256, fresh=True)
        footer = read_footer(store, file.key)
    except FileNotFoundError:
        return None, [Problem("missing", file.key, f"is committed by run {ref.run_id} and not there")]
    except ChangedError as error:
        return None, [Problem("digest", file.key, str(error))]
    if (footer.plan_sha256, footer.run_id) != (ref.plan_sha256, ref.run_id):
        return path, [Problem("plan", file.key, f"was written under another plan (run {footer.run_id})")]
    if footer.rows != file.rows:
        return path, [Problem("rows", file.key, f"holds {footer.rows} rows, {file.rows} are committed")]
    return path, []


def _duplicates(paths: Sequence[Path]) -> list[Problem]:
    """Rows whose key another row has too, over all sound files; one problem per run."""
    if not paths:
        return []
    connection = duckdb.connect(config=OFFLINE)
    found = connection.execute(
        f"""SELECT run_id, count(*), min(row_id) FROM (
            SELECT run_id, row_id, sample FROM {read_files(paths)} GROUP BY ALL HAVING count(*) > 1
        ) GROUP BY run_id ORDER BY run_id"""
    ).fetchall()
    return [
        Problem("duplicate", run_id, f"{count} keys (row_id, sample) are there more than once: {row_id}, ...")
        for run_id, count, row_id in found
    ]


def _strays(store: Store, plans: Mapping[str, Plan], manifests: Sequence[Stored]) -> Iterator[Problem]:
    """Runs without a commit, and files that belong to no run at all."""
    committed = {one.manifest.run_id for one in manifests}
    known = {file.key for one in manifests for file in (*one.manifest.files, *one.manifest.quarantine)}
    listed = [one.key for one in store.entries("")]
    for run_id in sorted(plans.keys() - committed):
        plan = plans[run_id]
        mine = {unit_key(plan.table, run_id, unit) for unit in plan.units}
        done = mine.intersection(listed)
        known |= mine | {unit_key(QUARANTINE, run_id, unit) for unit in plan.units}
        detail = f"{len(done)} of {len(plan.units)} units are written, nothing is committed; run it again"
        yield Problem("unfinished", run_id, detail)
    for key in listed:
        if key not in known and key != PROBE and not key.startswith((PLANS, COMMITS)):
            yield Problem("stray", key, "is in no manifest and in no plan; nothing reads it")
