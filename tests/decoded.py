"""What decodes left in their tables, read as a user reads it, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nla_ray.store import connect, verify

Row = dict[str, Any]

KEYS = ("run_id", "row_id", "sample", "doc_id", "unit_id")


def select(tables: str | Path, sql: str, *, run: str | None = None) -> list[Row]:
    """Rows of a query over committed tables."""
    with connect(tables, runs=None if run is None else [run]) as connection:
        found: list[Row] = connection.sql(sql).to_arrow_table().to_pylist()
    return found


def rows_of(tables: str | Path, view: str = "all_explanations", *, run: str | None = None) -> list[Row]:
    """All rows of a view, in the order of their keys."""
    found = select(tables, f"FROM {view}", run=run)
    return sorted(found, key=lambda row: tuple(str(row.get(key)) for key in KEYS))


def record_of(tables: str | Path, *, run: str | None = None) -> dict[str, Any]:
    """What the manifest of the only run, or of one of several, records."""
    (found,) = select(tables, "SELECT record FROM runs", run=run)
    record: dict[str, Any] = json.loads(found["record"])
    return record


def runs_of(tables: str | Path) -> list[str]:
    """Ids of the committed runs."""
    return [row["run_id"] for row in select(tables, "SELECT run_id FROM runs ORDER BY finished_at, run_id")]


def sound(tables: str | Path) -> None:
    """Assert that every run is committed with all its rows, each key once, and nothing else lies around."""
    assert verify(tables) == []
    (doubled,) = select(
        tables,
        """SELECT count(*) AS n FROM (
             FROM all_explanations SELECT run_id, row_id, sample GROUP BY ALL HAVING count(*) > 1)""",
    )
    assert doubled == {"n": 0}


def same_rows(
    ours: list[Row], theirs: list[Row], *, within: float = 0.0, apart: tuple[str, ...] = ()
) -> None:
    """Assert that two lists of rows are equal, numbers to `within`, without the columns in `apart`."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one.keys() - set(apart):
            assert _equal(one[name], other[name], within), (name, one, other)


def _equal(one: object, other: object, within: float) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return bool(one == pytest.approx(other, rel=0, abs=within, nan_ok=True))
    return one == other


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time of change and content of every file in a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
