"""Garbage: what nobody reads any more is listed with its size and, if asked for, removed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nla_ray.store.catalog.cells import called, superseded_runs
from nla_ray.store.catalog.index import known_runs
from nla_ray.store.places.objects import Listed, Store
from nla_ray.store.runs.layout import (
    ABANDONED,
    CELLS,
    COMMITS,
    COMPACTIONS,
    PLANNING,
    PLANS,
    QUARANTINE,
    REVIEWS,
    cell_of,
    events_prefix,
    is_piece,
    run_of,
    unit_prefix,
)
from nla_ray.store.runs.manifest import get_manifests
from nla_ray.store.runs.plan import Plan, get_plan, planned_runs
from nla_ray.store.upkeep.compact import require_compacted
from nla_ray.store.upkeep.damaged import damaged_files
from nla_ray.store.upkeep.ended import abandon, retire, take_back
from nla_ray.store.upkeep.strays import Known, Leftover, is_ours, leftovers

DAY = 86_400.0


@dataclass(frozen=True)
class Rules:
    """What may be removed: strays and abandoned runs after `days`, when whoever worked on them has ended.

    Original files of a compacted run stay for `compacted_days`, for next week's run may take units from them.
    A superseded run goes `superseded_days` after newer ones took its cells, None: never. A run that is not
    committed and to which nothing was written for `stale_days` is abandoned, None: never; a sitting of a
    review in which something was said is not. What was read of corpora to plan runs goes after `cache_days`.
    `damaged` reads all units of runs under way, and takes those that are not as they were written; nobody may
    work on these runs meanwhile.
    """

    days: float = 1.0
    compacted_days: float = 15.0
    superseded_days: float | None = None
    stale_days: float | None = None
    cache_days: float = 60.0
    damaged: bool = False


def garbage(store: Store, rules: Rules) -> list[Leftover]:
    """What may be removed under these rules, in the order in which it is to be.

    What only somebody else can have put there is not garbage: `verify` names it. Raises InputError where a
    plan or a manifest cannot be read, for what it names would look like a stray.
    """
    ids = planned_runs(store)
    plans = dict(zip(ids, store.map(lambda run_id: get_plan(store, run_id), ids), strict=True))
    manifests = {one.manifest.run_id: one for one in get_manifests(store)}
    known = Known.of(store, {run_id: plan for run_id, plan in plans.items() if plan}, manifests)
    under_way = [plan for run_id, plan in known.plans.items() if run_id not in {*manifests, *known.ended}]
    since = {run_of(one.key): one.modified for one in store.entries(ABANDONED)}
    merged = {run_of(one.key): one.modified for one in store.entries(COMPACTIONS)}
    now = time.time()

    def is_old(one: Leftover) -> bool:
        """Its run may have been at work until it was given up, or read until it was compacted."""
        if one.kind == "replaced" and one.run_id is not None:
            return merged.get(one.run_id, now) <= now - rules.compacted_days * DAY
        latest = max(one.modified, since.get(one.run_id or "", 0.0))
        return one.kind == "retired" or latest <= now - rules.days * DAY

    found = [one for one in leftovers(store, known) if is_ours(one) and is_old(one)]
    found += _caches(store, now - rules.cache_days * DAY)
    if rules.superseded_days is not None:
        found += _superseded(store, known, now - rules.superseded_days * DAY)
    if rules.stale_days is not None:
        found += _stale(store, under_way, now - rules.stale_days * DAY)
    if rules.damaged:
        found += [one for plan in under_way for one in damaged_files(store, plan)]
    return sorted(found, key=_phase)


def remove(store: Store, found: Sequence[Leftover]) -> list[Leftover]:
    """Remove what `garbage` found, and return what was done; killed anywhere, the rest is found later.

    A committed run is first said to be retired, so that nobody misses its files. A stale one is abandoned
    now, and its files are found the next time, when whoever still works on it has noticed. Raises InputError
    where the files that replace some are not sound; nothing is removed then.
    """
    for run_id in _runs(found, "replaced"):
        require_compacted(store, run_id)
    for run_id in _runs(found, "stale"):
        abandon(store, run_id, "nothing was written to it for a long time")
    kept = _kept(store, _runs(found, "superseded"))
    done = [one for one in found if one.run_id not in kept]
    going = [one for one in done if one.kind != "stale"]
    for phase in sorted(set(map(_phase, going))):
        store.map(store.remove, [one.key for one in going if _phase(one) == phase])
    return done


def _kept(store: Store, superseded: Sequence[str]) -> set[str]:
    """Retire superseded runs; those of them that are not to be removed now.

    A cell may have been given one of them after `garbage` looked: whoever does so sees that it is retired, or
    is seen here. One that was retired by somebody else is theirs.
    """
    mine = [one for one in superseded if retire(store, one, "no cell needs it: newer runs replace it")]
    needed = set(mine) - superseded_runs(called(known_runs(store))).keys() if mine else set[str]()
    for run_id in needed:
        take_back(store, run_id)
    return needed | (set(superseded) - set(mine))


def _runs(found: Sequence[Leftover], kind: str) -> list[str]:
    return sorted({one.run_id for one in found if one.kind == kind and one.run_id is not None})


def _phase(one: Leftover) -> int:
    """When to remove it: a unit's own file before one beside it, a plan after all that it names."""
    return 2 if one.key.startswith(PLANS) else int(one.beside)


def _caches(store: Store, before: float) -> Iterator[Leftover]:
    for one in store.entries(PLANNING):
        if is_piece(one.key) and one.modified <= before:
            yield Leftover("cache", one.key, one.bytes, one.modified, "is made again where a plan needs it")


def _superseded(store: Store, known: Known, before: float) -> Iterator[Leftover]:
    named, taken = called(known_runs(store), known.ended), _taken(store)
    for run_id, by in superseded_runs(named).items():
        stored = known.manifests.get(run_id)
        since = max(taken[one.superseded_by] for one in named[run_id] if one.superseded_by)
        if stored is not None and since <= before:
            tables = (stored.manifest.table, QUARANTINE, *stored.manifest.sides)
            for one in _files(store, run_id, tables):
                detail = f"is of run {run_id}, which no cell needs: run {by} supersedes it"
                yield Leftover("superseded", one.key, one.bytes, one.modified, detail, run_id)


def _taken(store: Store) -> dict[str, float]:
    """When each run was committed, or was last given a cell."""
    taken = {run_of(one.key): one.modified for one in store.entries(COMMITS)}
    for one in store.entries(CELLS):
        if (said := cell_of(one.key)) and said[2] in taken:
            taken[said[2]] = max(taken[said[2]], one.modified)
    return taken


def _stale(store: Store, under_way: Sequence[Plan], before: float) -> Iterator[Leftover]:
    begun: Mapping[str, Listed] = {run_of(one.key): one for one in store.entries(PLANS)}
    for plan in under_way:
        if plan.table == REVIEWS and store.keys(events_prefix(plan.run_id)):
            continue  # verdicts wait for the review to be opened again
        files = [begun[plan.run_id], *_files(store, plan.run_id, (plan.table, *plan.sides))]
        latest = max(one.modified for one in files)
        if latest <= before:
            size = sum(one.bytes for one in files)
            detail = f"run {plan.run_id} is not committed and stands still; it is to be abandoned"
            yield Leftover("stale", begun[plan.run_id].key, size, latest, detail, plan.run_id)


def _files(store: Store, run_id: str, tables: Sequence[str]) -> list[Listed]:
    return [one for table in tables for one in store.entries(unit_prefix(table, run_id))]
