"""Where everything lies under the root of the tables."""

from __future__ import annotations

import re

from nla_ray.errors import InputError

PLANS, COMMITS, QUARANTINE = "plans/", "commits/", "quarantine"
PLANNING = "planning/"
"""What was read of corpora to plan runs: a cache that anybody may remove."""
RESERVED = frozenset({"plans", "planning", "commits", "probe", QUARANTINE})
NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"

_UNIT = re.compile(rf"({NAME})/run_id=({NAME})/unit=({NAME})\.parquet")


def plan_key(run_id: str) -> str:
    """Key of a run's plan."""
    return f"{PLANS}{run_id}.json"


def piece_key(name: str, number: int) -> str:
    """Key of what was read of a corpus file; one that is damaged is followed by another."""
    return f"{PLANNING}{name}-{number}.piece"


def commit_key(run_id: str) -> str:
    """Key of a run's manifest, whose existence is its commit."""
    return f"{COMMITS}{run_id}.json"


def unit_prefix(table: str, run_id: str) -> str:
    """What the keys of a run's files in one table start with."""
    return f"{table}/run_id={run_id}/"


def unit_key(table: str, run_id: str, unit_id: str) -> str:
    """Key of one unit's rows in one table; `table` is `quarantine` for its quarantined ones."""
    return f"{unit_prefix(table, run_id)}unit={unit_id}.parquet"


def unit_of(key: str) -> str:
    """Unit id of a unit's key. Raises InputError for any other key."""
    match = _UNIT.fullmatch(key)
    if match is None:
        raise InputError(f"{key}: is not a file of these tables; move it elsewhere")
    return match[3]
