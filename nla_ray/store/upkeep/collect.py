"""Garbage: what nobody reads any more is listed with its size and, if asked for, removed."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nla_ray.store.places.objects import Store
from nla_ray.store.runs.layout import ABANDONED, PLANS, run_of
from nla_ray.store.runs.manifest import files_of, get_manifests
from nla_ray.store.runs.plan import get_plan, planned_runs
from nla_ray.store.upkeep.damaged import damaged_files
from nla_ray.store.upkeep.ended import retire
from nla_ray.store.upkeep.strays import Known, Leftover, is_ours, leftovers

DAY = 86_400.0


@dataclass(frozen=True)
class Rules:
    """What may be removed: strays and abandoned runs after `days`, when whoever worked on them has ended.

    `superseded` are ids of committed runs that newer ones replace. `damaged` reads all units of runs under
    way, and takes those that are not as they were written; nobody may work on these runs meanwhile.
    """

    days: float = 1.0
    superseded: Collection[str] = ()
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
    given_up = {run_of(one.key): one.modified for one in store.entries(ABANDONED)}
    before = time.time() - rules.days * DAY
    found = [one for one in leftovers(store, known) if is_ours(one) and _since(one, given_up) <= before]
    found += _superseded(store, known, rules.superseded)
    if rules.damaged:
        under_way = [plan for run_id, plan in known.plans.items() if run_id not in {*manifests, *known.ended}]
        found += [one for plan in under_way for one in damaged_files(store, plan)]
    return sorted(found, key=_phase)


def remove(store: Store, found: Sequence[Leftover]) -> None:
    """Remove what `garbage` found; killed anywhere, the rest is found the next time.

    A committed run is first said to be retired, so that nobody misses its files.
    """
    for run_id in sorted({str(one.run_id) for one in found if one.kind == "superseded"}):
        retire(store, run_id, "a newer run of the same cell replaces it")
    for phase in sorted({_phase(one) for one in found}):
        store.map(store.remove, [one.key for one in found if _phase(one) == phase])


def _phase(one: Leftover) -> int:
    """When to remove it: a unit's own file before one beside it, a plan after all that it names."""
    return 2 if one.key.startswith(PLANS) else int(one.beside)


def _since(one: Leftover, given_up: Mapping[str, float]) -> float:
    """Since when it has been garbage: its run may have been at work until it was given up."""
    return 0.0 if one.kind == "retired" else max(one.modified, given_up.get(one.run_id or "", 0.0))


def _superseded(store: Store, known: Known, run_ids: Collection[str]) -> Iterator[Leftover]:
    for run_id in run_ids:
        if run_id in known.manifests and run_id not in known.ended:
            for file in files_of(store, known.manifests[run_id].manifest).records():
                detail = f"is of run {run_id}, which a newer one replaces"
                yield Leftover("superseded", file.key, file.bytes, 0.0, detail, run_id)
