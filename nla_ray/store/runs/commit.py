"""The commit of a run: all planned units with all planned rows are there, then one manifest shows them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

from pydantic import JsonValue

from nla_ray.errors import InputError
from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import QUARANTINE, commit_key, unit_key
from nla_ray.store.runs.manifest import FileRecord, Manifest, get_manifest, get_manifests, heads
from nla_ray.store.runs.plan import Plan
from nla_ray.store.runs.unit_file import DamagedError, Footer, to_bytes, unit_facts
from nla_ray.store.runs.units import RunRef, done_units, footer_of, record_of, side_record
from nla_ray.store.upkeep.ended import require_open
from nla_ray.tables import QUARANTINE as QUARANTINE_SCHEMA
from nla_ray.tables import table_of


def commit(
    store: Store, plan: Plan, record: Mapping[str, JsonValue], written: Iterable[FileRecord] = ()
) -> Manifest:
    """Commit a run and return its manifest; a run that is committed already stays as it is.

    `record` is what became known by running (JSON values); `written` are records that writers returned, which
    saves looking at those files again: all others are read as a whole. Raises InputError unless units and
    rows are exactly those of the plan, DamagedError where a file is not as it was written.
    """
    ref = RunRef.of(plan)
    _require_units(store, plan, plan.table, done_units(store, ref))
    for side in plan.sides:
        _require_units(store, plan, side, done_units(store, ref, side))
    known = {file.unit_id: file for file in written}
    units = sorted(plan.units)
    files = _sound(store, lambda unit: known.get(unit) or record_of(store, ref, unit), units)
    _require_rows(store, plan, ref, files)
    sides = {side: _side_files(store, ref, side, units, known) for side in plan.sides}
    aside = [file.unit_id for file in files if file.quarantined]
    quarantine = store.map(lambda unit: _put_quarantine(store, footer_of(store, ref, unit)), aside)
    manifest = Manifest(
        run_id=plan.run_id,
        table=plan.table,
        plan_sha256=ref.plan_sha256,
        units=len(files),
        rows=sum(file.rows for file in files),
        quarantined=sum(file.quarantined for file in files),
        files=tuple(files),
        quarantine=tuple(quarantine),
        sides=sides,
        previous=heads([one for one in get_manifests(store) if one.manifest.run_id != plan.run_id]),
        record=dict(record),
    )
    return _put_manifest(store, manifest)


def _require_units(store: Store, plan: Plan, table: str, done: frozenset[str]) -> None:
    missing, foreign = sorted(plan.units.keys() - done), sorted(done - plan.units.keys())
    where = f"{store.url}: run {plan.run_id} cannot be committed"
    if missing:
        some = f"{', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}"
        found = f"{len(missing)} of {len(plan.units)} units are missing"
        way_out = "run it again" if table == plan.table else f"remove these units from {plan.table}/ first"
        raise InputError(f"{where}: {found} in {table} ({some}); {way_out}")
    if foreign:
        raise InputError(
            f"{where}: {table} holds {len(foreign)} units that were not planned ({', '.join(foreign[:3])}); "
            "move them elsewhere and run it again"
        )


def _side_files(
    store: Store, ref: RunRef, side: str, units: list[str], known: Mapping[str, FileRecord]
) -> tuple[FileRecord, ...]:
    def record(unit: str) -> FileRecord:
        return side_record(store, ref, unit, side, look=unit not in known)

    return tuple(_sound(store, record, units))


def _sound(store: Store, record: Callable[[str], FileRecord], units: list[str]) -> list[FileRecord]:
    """The record of every unit. Raises one DamagedError that names all files that are not as written."""

    def look(unit: str) -> FileRecord | DamagedError:
        try:
            return record(unit)
        except DamagedError as error:
            return error

    found = store.map(look, units)
    damaged = [one for one in found if isinstance(one, DamagedError)]
    if damaged:
        raise DamagedError(
            f"{'; '.join(str(one) for one in damaged[:3])}; {len(damaged)} units are damaged, nothing is "
            "committed: remove their files (`nla-ray sweep gc --damaged --yes` does) and run the same "
            "command again, which makes these units anew"
        )
    return [one for one in found if not isinstance(one, DamagedError)]


def _require_rows(store: Store, plan: Plan, ref: RunRef, files: list[FileRecord]) -> None:
    """Hold rows against the plan, or against what the writer had counted where the plan leaves it open."""
    uncounted = [file.unit_id for file in files if plan.units[file.unit_id] is None]
    footers = store.map(lambda unit: footer_of(store, ref, unit), uncounted)
    planned = plan.units | {footer.unit_id: footer.planned for footer in footers}
    for file in files:
        if file.rows + file.quarantined != planned[file.unit_id]:
            raise InputError(
                f"{store.url}/{file.key}: holds {file.rows} rows and {file.quarantined} in quarantine where "
                f"{planned[file.unit_id]} were planned; remove it and run again"
            )


def _put_quarantine(store: Store, footer: Footer) -> FileRecord:
    """Write the quarantined rows of a unit, which its own file carries, as a file that SQL can read."""
    common = {"run_id": footer.run_id, "unit_id": footer.unit_id}
    table = table_of([common | asdict(row) for row in footer.quarantined], QUARANTINE_SCHEMA)
    facts = unit_facts(footer.plan_sha256, footer.run_id, footer.unit_id, ())
    data = to_bytes(table, facts)
    key = unit_key(QUARANTINE, footer.run_id, footer.unit_id)
    store.put_new(key, data)
    size, sha256 = store.identify(key)
    if sha256 != hashlib.sha256(data).hexdigest():
        raise InputError(f"{store.url}/{key}: is not the quarantine of its unit; remove it and run again")
    return FileRecord(key=key, unit_id=footer.unit_id, sha256=sha256, bytes=size, rows=table.num_rows)


def _put_manifest(store: Store, manifest: Manifest) -> Manifest:
    require_open(store, manifest.run_id)
    if store.put_new(commit_key(manifest.run_id), manifest.canonical().encode()):
        return manifest
    there = get_manifest(store, manifest.run_id)
    if there is None or not there.manifest.same_rows(manifest):
        raise InputError(
            f"{store.url}/{commit_key(manifest.run_id)}: the run is committed already, with other files than "
            "are there now; see `nla-ray verify`"
        )
    return there.manifest
