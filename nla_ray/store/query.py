"""One SELECT of an analyst over committed tables, which can change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from nla_ray.errors import InputError
from nla_ray.store.read import connect_files, exact_glob

BATCH = 1000


@dataclass(frozen=True)
class Answer:
    """Columns and rows of an answer; rows come as they are asked for."""

    columns: Sequence[str]
    rows: Iterator[tuple[Any, ...]]


def query(path: str | Path, sql: str) -> Answer:
    """Answer one SELECT over the tables at `path`; it can read no file but theirs.

    Raises InputError for anything but exactly one SELECT, and for one that DuckDB refuses.
    """
    statement = one_select(sql)
    connection, files = connect_files(path)
    readable = sorted({name for file in files for name in (str(file.absolute()), exact_glob(file))})
    connection.execute("SET allowed_paths = $files", {"files": readable})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    try:
        connection.execute(statement)
    except duckdb.Error as error:
        raise InputError(f"sql: {_first_line(error)}") from None
    return Answer([column[0] for column in connection.description], _rows(connection))


def one_select(sql: str) -> duckdb.Statement:
    """The one SELECT in `sql`, parsed. Raises InputError for none, several or another kind of statement."""
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise InputError(f"sql: {_first_line(error)}") from None
    kinds = [statement.type.name for statement in statements]
    if kinds != ["SELECT"]:
        found = ", ".join(kinds) or "nothing"
        raise InputError(
            f"sql: found {found} where exactly one SELECT belongs; use nla_ray.store.connect for more"
        )
    return statements[0]


def _rows(connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    try:
        while batch := connection.fetchmany(BATCH):
            yield from batch
    except duckdb.Error as error:
        raise InputError(f"sql: {_first_line(error)}") from None


def _first_line(error: duckdb.Error) -> str:
    """DuckDB's message without the drawing that follows it."""
    return str(error).split("\n\n")[0]
