"""Committed tables as an ordinary DuckDB connection: explicit file lists, digests verified, views on top."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import duckdb

from nla_ray.store.parquet import OFFLINE, exact_glob
from nla_ray.store.sql.committed import committed
from nla_ray.store.sql.views import add_views


def connect(
    path: str | Path,
    *,
    runs: Collection[str] | None = None,
    labels: Mapping[str, str] = {},
    without: Collection[str] = (),
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB connection to the committed tables at a folder or `s3://bucket/prefix`.

    Views: `explanations` (about the own vectors), `controls`, `all_explanations`, `runs`, `failures`, and
    what runs keep beside: `documents`, `activations` (empty where none does). Every file is verified against
    its manifest once, here; those on S3 are kept in a local cache. `runs` are ids, and `labels` are those
    that a run must have in a cell: of other runs and cells nothing is read. A run that no cell needs any more
    is in `all_runs` and `all_cells` alone, unless `runs` names it. `without` names tables (of `LARGE`) that
    are not even fetched; to ask about them is then an error. Raises NoFileError where there are no tables or
    none is committed, InputError where a file is missing or changed, or a newer nla_ray wrote it.
    """
    found = committed(path, runs=runs, labels=labels, without=without)
    connection = duckdb.connect(config=OFFLINE)
    names = {table: [exact_glob(path) for path in paths] for table, paths in found.files.items()}
    add_views(connection, names, found.runs, found.cells)
    return connection
