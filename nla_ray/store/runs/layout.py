"""Where everything lies under the root of the tables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nla_ray.errors import InputError
from nla_ray.tables import LABELS

PLANS, COMMITS, QUARANTINE = "plans/", "commits/", "quarantine"
LISTS, INDEX = "manifests/", "index/"
ABANDONED, RETIRED, COMPACTIONS = "abandoned/", "retired/", "compactions/"
CELLS = "cells/"
REVIEWS = "reviews"
"""Table whose units are sittings: until the commit their rows are events."""
PLANNING = "planning/"
"""What was read of corpora to plan runs: a cache that anybody may remove."""
RESERVED = frozenset(
    {"plans", "planning", "commits", "manifests", "index", "abandoned", "retired", "compactions", "events"}
    | {"cells", "probe", QUARANTINE}
)
NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"

_ASSIGNED = re.compile(
    rf"{CELLS}({NAME})/({NAME})/({NAME})/({NAME}|-)/({NAME})/([0-9]{{1,9}})/([0-9]{{10}})-({NAME})\.json"
)
_STATE = re.compile(rf"(?:plans|commits|abandoned|retired|compactions)/({NAME})\.json")
_EVENTS = re.compile(rf"events/({NAME})/{NAME}\.jsonl")
_FILE = re.compile(rf"({NAME})/run_id=({NAME})/(?:unit=({NAME})|compacted-[0-9a-f]{{64}})\.parquet")
_LIST = re.compile(rf"{LISTS}({NAME})-[0-9a-f]{{16}}\.parquet")
_PIECE = re.compile(r"planning/[0-9a-f]{32}-[0-9]\.piece")
_UNIT = re.compile(rf"({NAME})/run_id=({NAME})/unit=({NAME})\.parquet")


def plan_key(run_id: str) -> str:
    """Key of a run's plan."""
    return f"{PLANS}{run_id}.json"


def piece_key(name: str, number: int) -> str:
    """Key of what was read of a corpus file; one that is damaged is followed by another."""
    return f"{PLANNING}{name}-{number}.piece"


def is_piece(key: str) -> bool:
    """Whether a key is that of what was read of a corpus file."""
    return _PIECE.fullmatch(key) is not None


def commit_key(run_id: str) -> str:
    """Key of a run's manifest, whose existence is its commit."""
    return f"{COMMITS}{run_id}.json"


def cell_key(labels: Mapping[str, str], order: int, run_id: str) -> str:
    """Key of what makes a run that of a cell; it says all, so that a listing of many is enough."""
    names = [labels.get(name, "-") for name in LABELS]
    return f"{CELLS}{'/'.join(names)}/{order:010d}-{run_id}.json"


def cell_of(key: str) -> tuple[dict[str, str], int, str] | None:
    """Labels, order and run id of such a key; None for any other key."""
    match = _ASSIGNED.fullmatch(key)
    if match is None:
        return None
    *names, order, run_id = match.groups()
    labels = {label: name for label, name in zip(LABELS, names, strict=True) if name != "-"}
    return labels, int(order), run_id


def events_key(run_id: str, part: str) -> str:
    """Key of a part of what befell a run while it was made."""
    return f"{events_prefix(run_id)}{part}.jsonl"


def events_prefix(run_id: str) -> str:
    """What the keys of all that befell a run start with."""
    return f"events/{run_id}/"


def run_of_events(key: str) -> str | None:
    """Run that a part of events under this key tells of; None for any other key."""
    match = _EVENTS.fullmatch(key)
    return None if match is None else match[1]


def list_key(run_id: str, sha256: str) -> str:
    """Key of a list of a run's files, named by its content."""
    return f"{LISTS}{run_id}-{sha256[:16]}.parquet"


def run_of_list(key: str) -> str | None:
    """Run whose files a list under this key names; None for any other key."""
    match = _LIST.fullmatch(key)
    return None if match is None else match[1]


def index_key(order: int, sha256: str) -> str:
    """Key of an index of runs, named by the latest commit in it and by its content: the last is newest."""
    return f"{INDEX}{order:010d}-{sha256}.parquet"


def compaction_key(run_id: str) -> str:
    """Key of what says which larger files hold a run's rows."""
    return f"{COMPACTIONS}{run_id}.json"


def run_of(key: str) -> str:
    """Run id of the key of a plan, a manifest, or of how a run ended."""
    return key.rpartition("/")[2].removesuffix(".json")


def is_state(key: str) -> bool:
    """Whether it is the key of what is written once for a run: its plan, its manifest, how it ended."""
    return _STATE.fullmatch(key) is not None


def file_of(key: str) -> tuple[str, str, str | None] | None:
    """Table, run id and unit id (None where it holds several) of the key of a file of rows."""
    match = _FILE.fullmatch(key)
    return None if match is None else (match[1], match[2], match[3])


def unit_prefix(table: str, run_id: str) -> str:
    """What the keys of a run's files in one table start with."""
    return f"{table}/run_id={run_id}/"


def unit_key(table: str, run_id: str, unit_id: str) -> str:
    """Key of one unit's rows in one table; `table` is `quarantine` for its quarantined ones."""
    return f"{unit_prefix(table, run_id)}unit={unit_id}.parquet"


def compacted_key(table: str, run_id: str, sha256: str) -> str:
    """Key of a file that holds the rows of several units, named by its content."""
    return f"{unit_prefix(table, run_id)}compacted-{sha256}.parquet"


def is_key_of(key: str, table: str, run_id: str) -> bool:
    """Whether a key is one that a file of this run has in this table."""
    made = file_of(key)
    return made is not None and made[:2] == (table, run_id)


def table_of_key(key: str) -> str:
    """Table that a file's key lies in."""
    return key.partition("/")[0]


def unit_of(key: str) -> str:
    """Unit id of a unit's key. Raises InputError for any other key."""
    match = _UNIT.fullmatch(key)
    if match is None:
        raise InputError(f"{key}: is not a file of these tables; move it elsewhere")
    return match[3]
