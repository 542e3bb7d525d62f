"""What lies under the root of the tables and is read by nobody: strays, and what ended runs left behind."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from nla_ray.errors import InputError
from nla_ray.store.catalog.index import index_keys
from nla_ray.store.places.objects import PROBE, Listed, Store
from nla_ray.store.runs.layout import (
    CELLS,
    INDEX,
    PLANS,
    QUARANTINE,
    cell_of,
    file_of,
    is_piece,
    is_state,
    run_of,
    run_of_events,
    run_of_list,
)  # fmt: skip
from nla_ray.store.runs.manifest import Stored, files_of, list_key_of
from nla_ray.store.runs.plan import Plan
from nla_ray.store.upkeep.compaction import compacted_runs, get_compaction
from nla_ray.store.upkeep.ended import State, ended_runs

Kind = Literal["stray", "part", "abandoned", "retired", "superseded", "stale", "replaced", "damaged", "cache"]
Why = tuple[Kind, str]
Keys = Callable[[str], "tuple[Collection[str], Collection[str]] | None"]
"""Of a run the keys of the files that are read, and of those that larger ones replace."""

_KEPT_INDEXES = 2
"""The newest, and the one to fall back to."""
_PART = re.compile(r"(?:.*/)?\.[^/]+\.[0-9a-f]{32}\.part")


@dataclass(frozen=True)
class Leftover:
    """An object that nobody reads, and why; `run_id` where it is a run's."""

    kind: Kind
    key: str
    bytes: int
    modified: float
    """Seconds since 1970."""
    detail: str
    run_id: str | None = None
    beside: bool = False
    """Whether it is beside a unit's own file, which must be removed before it."""


def is_ours(one: Leftover) -> bool:
    """Whether only nla_ray can have written it: what somebody else put there is theirs."""
    return one.kind != "stray" or file_of(one.key) is not None or run_of_list(one.key) is not None


@dataclass(frozen=True)
class Known:
    """Runs of a root: their plans, their manifests, and how those ended that did so without their rows."""

    plans: Mapping[str, Plan]
    manifests: Mapping[str, Stored]
    ended: Mapping[str, State]

    @classmethod
    def of(cls, store: Store, plans: Mapping[str, Plan], manifests: Mapping[str, Stored]) -> Known:
        """With how runs ended looked up."""
        return cls(plans, manifests, ended_runs(store))


def leftovers(store: Store, known: Known) -> Iterator[Leftover]:
    """Everything under the root that no committed run names and no run under way will."""

    merged = compacted_runs(store)

    @lru_cache(maxsize=4)
    def committed(run_id: str) -> tuple[Collection[str], Collection[str]] | None:
        with suppress(InputError):
            own = {file.key for file in files_of(store, known.manifests[run_id].manifest).records()}
            larger = get_compaction(store, run_id) if run_id in merged else None
            read = own if larger is None else {file.key for file in larger.compaction.files}
            return read, own - read
        return None

    indexes = index_keys(store)[_KEPT_INDEXES:]
    for one in store.entries(""):
        made = file_of(one.key)
        run_id = run_of_events(one.key) or run_of(one.key) if made is None else made[1]
        why = _object(one.key, run_id, known) if made is None else _file(one.key, made, known, committed)
        if one.key in indexes:
            why, run_id = ("replaced", "is an index that a newer one replaces"), ""
        if why is not None:
            yield _left(one, why, run_id or None)
    for one in store.unfinished():
        part = _PART.fullmatch(one.key) is not None
        yield _left(
            one, ("part", "was not finished") if part else ("stray", "is hidden; nothing reads it"), None
        )


def _object(key: str, run_id: str, known: Known) -> Why | None:
    """What is wrong with an object that holds no rows."""
    of_list = run_of_list(key)
    if of_list is not None:
        return _list(key, of_list, known)
    if key.startswith(INDEX):
        return None
    if key.startswith(CELLS):
        return _cell(key, known)
    if not is_state(key):
        if run_of_events(key) is not None:
            return _ended(run_id, known)
        known_object = key == PROBE or is_piece(key)
        return None if known_object else ("stray", "is no object of these tables; nothing reads it")
    if key.startswith(PLANS) and run_id not in known.manifests:
        return _ended(run_id, known)
    return None


def _cell(key: str, known: Known) -> Why | None:
    """What is wrong with what makes a run that of a cell."""
    said = cell_of(key)
    if said is not None and said[2] in known.manifests:
        return None
    if said is None:
        return "stray", "does not say which run a cell is given; nothing reads it"
    return "stray", f"gives a cell run {said[2]}, which is not committed; nothing reads it"


def _list(key: str, run_id: str, known: Known) -> Why | None:
    """What is wrong with a list of files; of a run under way it may be on its way into a manifest."""
    if run_id in known.manifests:
        named = key == list_key_of(known.manifests[run_id].manifest)
        return None if named else ("stray", f"is in no manifest: that of run {run_id} does not name it")
    if run_id in known.plans:
        return _ended(run_id, known)
    return "stray", f"is in no manifest and in no plan: there is none of run {run_id}"


def _file(key: str, made: tuple[str, str, str | None], known: Known, committed: Keys) -> Why | None:
    """What is wrong with a file of rows."""
    table, run_id, unit_id = made
    if run_id in known.ended:
        return _ended(run_id, known)
    if run_id in known.manifests:
        read, replaced = committed(run_id) or ((key,), ())
        if key in replaced:
            return "replaced", f"is merged into a larger file of run {run_id}"
        return None if key in read else ("stray", f"is in no manifest: that of run {run_id} lacks it")
    plan = known.plans.get(run_id)
    if plan is None:
        return "stray", f"is in no manifest and in no plan: there is none of run {run_id}"
    planned = table in (plan.table, QUARANTINE, *plan.sides) and unit_id in plan.units
    return None if planned else ("stray", f"is in no manifest and in no plan: that of {run_id} lacks it")


def _ended(run_id: str, known: Known) -> Why | None:
    state = known.ended.get(run_id)
    return None if state is None else (state, f"is of run {run_id}, which was {state}")


def _left(one: Listed, why: Why, run_id: str | None) -> Leftover:
    return Leftover(why[0], one.key, one.bytes, one.modified, why[1], run_id)
