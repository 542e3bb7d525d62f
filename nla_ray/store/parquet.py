"""Parquet files in DuckDB: exactly these, and nothing is fetched for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

OFFLINE: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}


def read_files(names: Sequence[str]) -> str:
    """The table function over Parquet files, named by pattern; a column that one has not is null there."""
    options = "hive_partitioning = false, union_by_name = true"
    return f"read_parquet([{', '.join(map(_literal, names))}], {options})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def exact_glob(path: Path) -> str:
    """A path as the pattern that matches nothing else."""
    return re.sub(r"[*?\[]", r"[\g<0>]", str(path.absolute()))
