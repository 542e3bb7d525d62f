"""Parquet files in DuckDB: exactly these, and nothing is fetched for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

MEMORY = "1GB"
"""What rows that are sorted or counted take; the rest of them waits in temporary files."""

AT_ONCE = 4096
"""Files that are read together: each takes about 100 kB meanwhile."""

OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


def read_files(names: Sequence[str]) -> str:
    """The table function over Parquet files, named by pattern; a column that one has not is null there."""
    options = "hive_partitioning = false, union_by_name = true"
    return f"read_parquet([{', '.join(map(_literal, names))}], {options})"


def read_some(paths: Sequence[Path]) -> Iterator[str]:
    """The same over so many files at a time that a question about them stays within memory."""
    for start in range(0, len(paths), AT_ONCE):
        yield read_files([exact_glob(path) for path in paths[start : start + AT_ONCE]])


@contextmanager
def spilling() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that stays within `MEMORY`, whatever it sorts or counts."""
    with TemporaryDirectory(prefix="nla-ray-spill-") as folder, duckdb.connect(config=OFFLINE) as connection:
        connection.execute("SET temp_directory = $folder", {"folder": folder})
        connection.execute("SET memory_limit = $memory", {"memory": MEMORY})
        yield connection


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def exact_glob(path: Path) -> str:
    """A path as the pattern that matches nothing else."""
    return re.sub(r"[*?\[]", r"[\g<0>]", str(path.absolute()))
