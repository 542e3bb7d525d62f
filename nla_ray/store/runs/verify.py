"""Look at everything again: plans, manifests and their chain, every file's digest, every row's key."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from nla_ray.errors import InputError, NoFileError
from nla_ray.store.catalog.files import FileList, FileRecord
from nla_ray.store.catalog.index import Entry, heads, index_keys, read_index
from nla_ray.store.parquet import read_some, spilling
from nla_ray.store.places.address import open_store
from nla_ray.store.places.objects import ChangedError, Store
from nla_ray.store.runs.layout import (
    QUARANTINE,
    REVIEWS,
    commit_key,
    compaction_key,
    events_prefix,
    file_of,
    plan_key,
    unit_prefix,
)
from nla_ray.store.runs.manifest import (
    Manifest,
    Stored,
    committed_runs,
    files_of,
    get_manifest,
    list_key_of,
)
from nla_ray.store.runs.plan import Plan, get_plan, planned_runs, some_of
from nla_ray.store.runs.unit_file import read_footer
from nla_ray.store.runs.units import KEYS
from nla_ray.store.upkeep.compact import same_rows
from nla_ray.store.upkeep.compaction import (
    CompactedFile,
    Compaction,
    StoredCompaction,
    compacted_by,
    compacted_runs,
    get_compaction,
    link_name,
)
from nla_ray.store.upkeep.strays import Kind as LeftKind
from nla_ray.store.upkeep.strays import Known, leftovers

T = TypeVar("T")
Checked = tuple[str, Path | None, "list[Problem]"]
"""Table, local copy if it is sound, and problems of a file."""

_WRITING_S = 86_400.0
"""Seconds in which a file that is not finished may still be being written."""
Kind = (
    Literal["corrupt", "plan", "chain", "index", "missing", "digest", "rows", "duplicate", "unfinished"]
    | LeftKind
)


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

    Raises NoFileError where there are no tables, InputError where the place cannot be read.
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
        raise NoFileError(f"{store.url}: holds no tables; name the folder that a run wrote its tables to")
    manifests = list(stored.values())
    merged = _readable(
        sorted(compacted_runs(store)), lambda run_id: get_compaction(store, run_id), compaction_key, problems
    )
    problems += _chain(manifests, list(merged.values()))
    problems += _index(store, stored)
    sound = defaultdict[str, list[Path]](list)
    known = Known.of(store, plans, stored)
    readable = [run_id for run_id in stored if run_id not in known.ended]
    lists = _readable(
        readable,
        lambda run_id: files_of(store, stored[run_id].manifest, fresh=True),
        lambda run_id: list_key_of(stored[run_id].manifest),
        problems,
    )
    for run_id, files in lists.items():
        problems += _against_plan(stored[run_id].manifest, files, plans.get(run_id))
        checked = _files(store, stored[run_id].manifest, files)
        if run_id in merged:
            checked = _merged(store, stored[run_id], files, list(checked), merged[run_id].compaction)
        for table, path, wrong in checked:
            problems += wrong
            if path is not None:
                sound[table].append(path)
    for table in KEYS:
        problems += _duplicates(table, sound[table])
    problems += _left(store, known)
    rows = sum(stored[run_id].manifest.rows for run_id in readable)
    count = sum(map(len, lists.values()))
    named = {name for one in manifests for name in one.manifest.previous}
    tips = heads(map(Entry.of, manifests)) | {
        link_name(run_id): one.sha256 for run_id, one in merged.items() if link_name(run_id) not in named
    }
    return Verified(len(readable), count, rows, tips, problems)


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


def _chain(manifests: Sequence[Stored], merged: Sequence[StoredCompaction]) -> Iterator[Problem]:
    digests = {one.manifest.run_id: one.sha256 for one in manifests}
    digests |= {link_name(one.compaction.run_id): one.sha256 for one in merged}
    for one in manifests:
        for run_id, sha256 in one.manifest.previous.items():
            if digests.get(run_id) != sha256:
                found = "is missing" if run_id not in digests else "was changed"
                detail = f"{found}; the manifest of run {one.manifest.run_id} vouches for {sha256[:16]}"
                compacted = compacted_by(run_id)
                yield Problem("chain", compaction_key(compacted) if compacted else commit_key(run_id), detail)


def _index(store: Store, stored: Mapping[str, Stored]) -> Iterator[Problem]:
    """What is wrong with the newest index, held against the manifests; with older ones if it is bad."""
    for key in index_keys(store):
        try:
            entries = read_index(store, key)
        except InputError as error:
            yield Problem("index", key, str(error))
            continue
        wrong = [one for one in entries if one in stored and Entry.of(stored[one]) != entries[one]]
        if wrong:
            detail = f"says of {len(wrong)} runs what their manifests do not: {some_of(wrong)}; remove it"
            yield Problem("index", key, detail)
        return


def _against_plan(manifest: Manifest, files: FileList, plan: Plan | None) -> Iterator[Problem]:
    key = commit_key(manifest.run_id)
    if plan is None:
        yield Problem("plan", plan_key(manifest.run_id), "is missing or corrupt, and the run is committed")
        return
    if plan.sha256() != manifest.plan_sha256:
        yield Problem("plan", plan_key(manifest.run_id), f"is not the plan that {key} commits")
    made, aside = Counter[str](), 0
    for file in files.records(manifest.table):
        made[file.unit_id] += file.rows + file.quarantined
        aside += file.quarantined
    planned = {unit: made.get(unit, 0) if rows is None else rows for unit, rows in plan.units.items()}
    if made != planned or made.keys() != planned.keys():
        units = sorted(unit for unit in {*made, *planned} if made.get(unit) != planned.get(unit))
        yield Problem("rows", key, f"{len(units)} units have not the planned rows: {', '.join(units[:3])}")
    beside = {side: sorted(set(files.units(side).to_pylist())) for side in manifest.sides}
    if beside != {side: sorted(plan.units) for side in plan.sides}:
        yield Problem("rows", key, "its tables beside have not one file for each planned unit")
    sums = (len(made), made.total() - aside, aside, len(files))
    if sums != (manifest.units, manifest.rows, manifest.quarantined, manifest.files):
        yield Problem("rows", key, "its totals are not the sums of its files")
    if aside != sum(file.rows for file in files.records(QUARANTINE)):
        yield Problem("rows", key, "its quarantine files have not the rows that its units set aside")


def _files(
    store: Store, manifest: Manifest, files: FileList
) -> Iterator[tuple[str, Path | None, list[Problem]]]:
    """Table, local copy if it is sound, and problems of each file that a manifest names."""
    for table in (manifest.table, QUARANTINE, *manifest.sides):
        for path, wrong in store.stream(lambda file: _file(store, manifest, file), files.records(table)):
            yield table, path, wrong


def _file(store: Store, manifest: Manifest, file: FileRecord) -> tuple[Path | None, list[Problem]]:
    try:
        path = store.local(file.key, file.sha256, fresh=True)
        footer = read_footer(store, file.key)
    except FileNotFoundError:
        return None, [Problem("missing", file.key, f"is committed by run {manifest.run_id} and not there")]
    except ChangedError as error:
        return None, [Problem("digest", file.key, str(error))]
    if (footer.plan_sha256, footer.run_id) != (manifest.plan_sha256, manifest.run_id):
        return path, [Problem("plan", file.key, f"was written under another plan (run {footer.run_id})")]
    if footer.rows != file.rows:
        return path, [Problem("rows", file.key, f"holds {footer.rows} rows, {file.rows} are committed")]
    if not footer.whole:
        return path, [Problem("rows", file.key, f"has not the {footer.planned} rows it was planned with")]
    return path, []


def _merged(
    store: Store, stored: Stored, files: FileList, small: Sequence[Checked], larger: Compaction
) -> Iterator[Checked]:
    """The larger files of a compacted run in the same way; its small ones may be gone."""
    key, tables = compaction_key(larger.run_id), defaultdict[str, list[Path | None]](list)
    yield from ((table, None, [one for one in wrong if one.kind != "missing"]) for table, _, wrong in small)
    if larger.manifest_sha256 != stored.sha256:
        yield "", None, [Problem("corrupt", key, "holds the rows of another manifest of this run")]
        return
    for one in larger.files:
        path, wrong = _larger(store, one)
        tables[one.table].append(path)
        yield one.table, path, wrong
    for table in dict.fromkeys((stored.manifest.table, QUARANTINE, *stored.manifest.sides)):
        paths = [path for path in tables[table] if path is not None]
        originals = [path for of, path, _ in small if of == table and path is not None]
        if len(paths) == len(tables[table]):
            yield table, None, list(_counted(key, files.only(table), paths, originals))


def _larger(store: Store, one: CompactedFile) -> tuple[Path | None, list[Problem]]:
    try:
        return store.local(one.key, one.sha256, fresh=True), []
    except FileNotFoundError:
        detail = "is named by a compaction and not there"
        return None, [Problem("missing", one.key, detail)]
    except ChangedError as error:
        return None, [Problem("digest", one.key, str(error))]


def _counted(
    key: str, files: FileList, paths: Sequence[Path], originals: Sequence[Path]
) -> Iterator[Problem]:
    """Hold the rows of larger files against what is committed, and the small files while they are there."""
    committed = Counter[str]()
    for file in files.records():
        committed[file.unit_id] += file.rows
    with spilling() as connection:
        made = Counter[str]()
        for some in read_some(paths):
            rows = connection.sql(f"SELECT unit_id, count(*) FROM {some} GROUP BY unit_id").fetchall()
            made.update(dict(rows))
        if +made != +committed:
            units = sorted(unit for unit in {*made, *committed} if made[unit] != committed[unit])
            yield Problem("rows", key, f"{len(units)} units have not the committed rows: {some_of(units, 3)}")
        elif paths and len(originals) == len(files) and not same_rows(connection, originals, paths):
            yield Problem("rows", key, "its files have other rows than those that were committed")


def _duplicates(table: str, paths: Sequence[Path]) -> list[Problem]:
    """Rows whose key another row has too, over all sound files of a table; one problem per run."""
    if not paths:
        return []
    key = ", ".join(KEYS[table])
    with spilling() as connection:
        for number, some in enumerate(read_some(paths)):
            into = "INSERT INTO keys" if number else "CREATE TABLE keys AS"
            connection.execute(f"{into} SELECT {key} FROM {some}")
        found = connection.execute(
            f"""SELECT run_id, count(*), min(({key}))::VARCHAR FROM (
                SELECT {key} FROM keys GROUP BY ALL HAVING count(*) > 1
            ) GROUP BY run_id ORDER BY run_id"""
        ).fetchall()
    return [
        Problem(
            "duplicate", run_id, f"{count} keys ({key}) of {table} are there more than once: {first}, ..."
        )
        for run_id, count, first in found
    ]


def _left(store: Store, known: Known) -> Iterator[Problem]:
    """Runs without a commit, and files that belong to no run at all or to one that ended."""
    for run_id in sorted(known.plans.keys() - known.manifests.keys() - known.ended.keys()):
        yield Problem("unfinished", run_id, _unfinished(store, known.plans[run_id]))
    for one in leftovers(store, known):
        if one.kind == "replaced":
            continue
        if one.kind != "part" or one.modified < time.time() - _WRITING_S:
            yield Problem(one.kind, one.key, one.detail)


def _unfinished(store: Store, plan: Plan) -> str:
    if plan.table == REVIEWS and (said := len(store.keys(events_prefix(plan.run_id)))):
        return f"{said} verdicts of a review are kept and not committed; end it, or open the review again"
    there = map(file_of, store.keys(unit_prefix(plan.table, plan.run_id)))
    done = sum(made is not None and made[2] in plan.units for made in there)
    again = "abandon it" if plan.table == REVIEWS else "run it again"
    return f"{done} of {len(plan.units)} units are written, nothing is committed; {again}"
